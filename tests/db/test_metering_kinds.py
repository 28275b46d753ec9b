"""Every aggregation × filters × groups × voids × batches against a model that does it event by event, in Python."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from operator import xor
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tallystick.kernel.actor import system_actor
from tallystick.metering import queries, service
from tallystick.metering.domain.carried import day_bounds, whole_of
from tallystick.metering.domain.digest import event_key
from tallystick.metering.domain.events import IncomingEvent, StoredEvent
from tallystick.metering.domain.slices import OPERATION, Part, UsageSlice, UsageTotal, metered_of
from tallystick.platform.db import Database
from tallystick.rating.domain import aggregation as definitions
from tallystick.rating.domain.metered import Need

BERLIN = "Europe/Berlin"
ZONE = ZoneInfo(BERLIN)
ACTOR = system_actor("tests")
BOUNDS = [datetime(2024, month, 1, tzinfo=ZONE).astimezone(UTC) for month in (2, 3, 4, 5, 6)]
"""Local months; March holds the day of 23 hours."""
NOW = datetime(2024, 7, 1, tzinfo=UTC)
BATCHES = 4


@dataclass(frozen=True)
class History:
    """Events as they are stored, with the batch of their void."""

    account_no: int
    meter_id: int
    events: list[StoredEvent]
    batches: list[int]


async def account_and_meter(database: Database, name: str) -> tuple[int, int]:
    async with database.write() as session:
        account_no = await session.fetchval(
            """
            INSERT INTO accounts (id, entity_id, currency, timezone, zone_history, livemode, metadata, usage_from, usage_billed_to, opened_at)
            VALUES ($1, 1, 'USD', $2, '[]', true, '{}', $3, $3, $3) RETURNING no
            """,
            name, BERLIN, BOUNDS[0],
        )  # fmt: skip
        meter_id = await session.fetchval(
            "INSERT INTO meters (code, name, aggregation, field, filters, unit) VALUES ($1, 'M', 'sum', NULL, '{}', 'u') RETURNING id",
            name,
        )
    return account_no, meter_id


def instants(random: Random) -> Iterable[datetime]:
    """Anywhere in the months, and often on a midnight, on the switch to summer time, or where another event was."""
    used: list[datetime] = []
    while True:
        chance = random.random()
        if chance < 0.2:
            at = datetime(2024, random.randint(2, 5), random.randint(1, 29), tzinfo=ZONE).astimezone(UTC)
        elif chance < 0.3:
            at = datetime(2024, 3, 30, 22, tzinfo=UTC) + timedelta(hours=random.randint(0, 26))
        elif chance < 0.4 and used:
            at = random.choice(used)
        elif chance < 0.8:
            at = datetime(2024, 3, random.randint(1, 31), random.randint(0, 23), tzinfo=UTC)
        else:
            at = BOUNDS[0] + timedelta(microseconds=random.randrange(120 * 86_400_000_000))
        used.append(at)
        yield at


def sent(random: Random, name: str, number: int, at: datetime) -> IncomingEvent:
    properties: dict[str, Any] = {"user": random.choice(["ann", "bob", "cid", 7])}
    if random.random() < 0.8:
        properties["region"] = random.choice(["eu", "us", 3])
    if random.random() < 0.7:
        properties["tier"] = random.choice(["a", "b"])
    if random.random() < 0.5:
        properties["size"] = random.choice([1, 2, Decimal("2.5"), -3])
    if random.random() < 0.5:
        properties[OPERATION] = random.choice(["add", "remove", "remove"])
    quantity = Decimal(random.randint(-4000, 9000)).scaleb(-random.randint(0, 3))
    price = Decimal(random.randint(1, 99)).scaleb(-2) if random.random() < 0.8 else None
    return IncomingEvent(
        id=str(number), source=name, meter=name, account_id=name, occurred_at=at, quantity=quantity, unit_price=price,
        properties=properties,
    )  # fmt: skip


async def make_history(database: Database, name: str, seed: int, count: int) -> History:
    random = Random(seed)
    account_no, meter_id = await account_and_meter(database, name)
    times = iter(instants(random))
    numbers = iter(range(10**6))
    batches: list[int] = []
    for _ in range(BATCHES):
        events = [sent(random, name, next(numbers), next(times)) for _ in range(random.randint(0, count))]
        if events:
            verdicts = await service.ingest(database, ACTOR, events, now=NOW, request_id="", backfill=True)
            assert {verdict.status for verdict in verdicts} == {"accepted"}
        async with database.write() as session:
            made = next(numbers)
            keys = [event_key(name, str(n)) for n in range(made)]
            known = await queries.stored(session, keys)
            for event in sorted(known.values(), key=lambda each: each.key):
                if event.voided_by is None and random.random() < 0.15:
                    await service.void(session, ACTOR, event, now=NOW, reason="", request_id="")
        async with database.read() as session:
            batches.append(await session.fetchval("SELECT coalesce(max(id), 0) FROM ingest_batches"))
    async with database.read() as session:
        stored = await queries.stored(session, [event_key(name, str(n)) for n in range(next(numbers))])
    return History(account_no, meter_id, list(stored.values()), batches)


# The model ------------------------------------------------------------------------------------------------------------------------


def matches(event: StoredEvent, wanted: UsageSlice) -> bool:
    tests = [*wanted.filters.items(), *wanted.also.items()]
    return all(
        event.properties.get(name, ()) in (allowed if isinstance(allowed, list) else [allowed])
        for name, allowed in tests
    )


def alive(history: History, wanted: UsageSlice, since: datetime | None) -> list[StoredEvent]:
    """Events of the slice from `since` on, by time and arrival."""
    found = [
        event
        for event in history.events
        if (since is None or since <= event.occurred_at)
        and event.occurred_at < wanted.end
        and wanted.from_batch < event.batch_id <= wanted.to_batch
        and (event.voided_by is None or event.voided_by > wanted.to_batch)
        and matches(event, wanted)
    ]
    return sorted(found, key=lambda each: (each.occurred_at, each.batch_id, each.position))


def part_of(event: StoredEvent, names: Sequence[str]) -> Part:
    return tuple(None if event.properties.get(n) is None else str(event.properties[n]) for n in names)


def value_of(event: StoredEvent, wanted: UsageSlice) -> Any:
    return event.quantity if wanted.field is None else event.properties.get(wanted.field)


def step(event: StoredEvent, wanted: UsageSlice) -> Fraction:
    if wanted.aggregation == "count":
        return Fraction(-1 if event.properties.get(OPERATION) == "remove" else 1)
    value = value_of(event, wanted)
    return Fraction(value) if isinstance(value, int | Decimal) else Fraction(0)


def level_at(events: Sequence[StoredEvent], wanted: UsageSlice, at: datetime) -> Fraction:
    return sum((step(event, wanted) for event in events if event.occurred_at <= at), Fraction(0))


def units_at(events: Sequence[StoredEvent], wanted: UsageSlice, at: datetime) -> set[Any]:
    held: set[Any] = set()
    for event in events:
        if event.occurred_at <= at:
            unit = event.properties.get(wanted.field or "")
            if event.properties.get(OPERATION) == "remove":
                held.discard(unit)
            else:
                held.add(unit)
    return held


def local_days(wanted: UsageSlice) -> Iterable[tuple[datetime, datetime]]:
    day: date = wanted.start.astimezone(ZONE).date()
    while day < wanted.end.astimezone(ZONE).date():
        begins = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
        day += timedelta(days=1)
        yield max(begins, wanted.start), datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)


def recurring_quantity(events: Sequence[StoredEvent], wanted: UsageSlice) -> Fraction:
    """Instant by instant: whatever is active at one of them counts for the day."""
    total = Fraction(0)
    for begins, ends in local_days(wanted):
        moments = [begins, *(e.occurred_at for e in events if begins <= e.occurred_at < ends)]
        if wanted.aggregation == "unique":
            total += len(set().union(*(units_at(events, wanted, at) for at in moments)))
        else:
            total += max(level_at(events, wanted, at) for at in moments)
    return total / wanted.whole


def quantity(events: Sequence[StoredEvent], wanted: UsageSlice) -> Fraction:
    inside = [event for event in events if event.occurred_at >= wanted.start]
    if wanted.recurring and wanted.aggregation != "weighted_sum":
        return recurring_quantity(events, wanted)
    measured = [
        definitions.Event(e.occurred_at, e.batch_id, e.position, value_of(e, wanted))
        for e in inside
        if value_of(e, wanted) is not None
    ]
    if wanted.aggregation == "weighted_sum":
        before = [event for event in events if event.occurred_at < wanted.start]
        level = level_at(before, wanted, wanted.start)
        whole = timedelta(microseconds=wanted.whole)
        return definitions.weighted_sum(measured, wanted.end, whole, start=wanted.start, level=level)
    kind = definitions.Aggregation(wanted.aggregation)
    return definitions.aggregate(kind, measured, percentile=wanted.percentile)


@dataclass(frozen=True)
class Expected:
    """What the model makes of one group."""

    units: Fraction
    count: int
    checksum: int
    groups: tuple[tuple[Part, Fraction], ...]


def ordered(parts: Iterable[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: [(value is None, value or "") for value in part])


def expected(history: History, wanted: UsageSlice) -> dict[Part, Expected]:
    events = alive(history, wanted, None if wanted.recurring else wanted.start)
    width = len(wanted.group_by)
    split: dict[Part, dict[Part, list[StoredEvent]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        part = part_of(event, wanted.split_by)
        split[part[:width]][part[width:]].append(event)
    if not width:
        split.setdefault((), defaultdict(list))
    found = {}
    for group, dimensions in split.items():
        priced = {part: quantity(own, wanted) for part, own in dimensions.items()}
        inside = [e for own in dimensions.values() for e in own if e.occurred_at >= wanted.start]
        found[group] = Expected(
            sum(priced.values(), Fraction(0)),
            len(inside),
            reduce(xor, (e.checksum for e in inside), 0),
            tuple((part, priced[part]) for part in ordered(priced)),
        )
    return found


def check(total: UsageTotal, history: History, wanted: UsageSlice) -> None:
    model = expected(history, wanted)
    groups = dict(total.parts) if wanted.group_by else {(): total}
    told = {part: (each.units, each.count, each.checksum) for part, each in groups.items()}
    meant = {part: (each.units, each.count, each.checksum) for part, each in model.items()}
    if wanted.recurring:  # a group that came and went may be left out, or stand at nothing
        told = {part: each for part, each in told.items() if each != (0, 0, 0)}
        meant = {part: each for part, each in meant.items() if each != (0, 0, 0)}
    assert told == meant, wanted
    if wanted.group_by:
        assert [part for part, _ in total.parts] == ordered(groups)
        assert total.units == sum((each.units for each in model.values()), Fraction(0))
    if wanted.dimensions:
        for part, each in groups.items():
            if part in model and not wanted.recurring:
                assert each.groups == model[part].groups, wanted


def slices_of(history: History) -> Iterable[UsageSlice]:
    """Every aggregation with every way to choose and to split, over a month, a part of a month that ends within a day, and a quarter."""
    last, early = history.batches[-1], history.batches[1]
    spans = [
        (BOUNDS[1], BOUNDS[2], last, 0),
        (BOUNDS[1] + timedelta(hours=40), BOUNDS[3] - timedelta(hours=7), early, 0),
        (BOUNDS[0], BOUNDS[3], last, history.batches[0]),
    ]
    kinds: list[dict[str, Any]] = [
        {"aggregation": kind} for kind in ("count", "sum", "max", "min", "average", "latest")
    ]
    kinds += [{"aggregation": kind, "field": "size"} for kind in ("sum", "min", "average", "latest", "max")]
    kinds += [{"aggregation": "percentile", "percentile": p} for p in (1, 50, 95, 100)]
    kinds += [{"aggregation": "unique", "field": "user"}, {"aggregation": "unique", "field": "size"}]
    kinds += [{"aggregation": "weighted_sum"}, {"aggregation": "weighted_sum", "field": "size"}]
    kinds += [{"aggregation": kind, "recurring": True} for kind in ("count", "sum", "weighted_sum")]
    kinds += [
        {"aggregation": "sum", "field": "size", "recurring": True},
        {"aggregation": "unique", "field": "user", "recurring": True},
    ]
    choices: list[dict[str, Any]] = [
        {},
        {"filters": {"region": ["eu", 3]}},
        {"filters": {"tier": "a"}, "also": {"region": ["eu", "us"]}},
        {"group_by": ("region",)},
        {"group_by": ("tier", "region"), "also": {"tier": ["a", "b"]}},
        {"dimensions": ("region", "tier"), "need": Need.GROUPS},
        {"group_by": ("region",), "dimensions": ("tier",), "need": Need.GROUPS},
    ]
    for kind in kinds:
        for choice in choices:
            for start, end, to_batch, from_batch in spans:
                first = 0 if kind.get("recurring") else from_batch
                slice_ = UsageSlice(
                    history.account_no,
                    history.meter_id,
                    start=start,
                    end=end,
                    to_batch=to_batch,
                    from_batch=first,
                    **kind,
                    **choice,
                )
                yield measured(slice_, start, end)


def measured(slice_: UsageSlice, start: datetime, end: datetime) -> UsageSlice:
    """With the length of its whole period and its local days."""
    return replace(
        slice_,
        whole=whole_of(slice_.aggregation, start, end, BERLIN, recurring=slice_.recurring),
        days=day_bounds(slice_.start, slice_.end, BERLIN),
    )


@pytest.mark.parametrize("seed", range(6))
async def test_every_kind_is_what_the_model_says(database: Database, seed: int) -> None:
    history = await make_history(database, f"acc_{seed}", seed, (0, 3, 8, 20, 40, 60)[seed])
    wanted = list(slices_of(history))
    async with database.read() as session:
        totals = await queries.aggregate(session, wanted)
    for slice_, total in zip(wanted, totals, strict=True):
        check(total, history, slice_)


async def test_values_and_prices_are_given_where_they_are_needed(database: Database) -> None:
    history = await make_history(database, "acc_values", 11, 30)
    base = UsageSlice(history.account_no, history.meter_id, "sum", BOUNDS[0], BOUNDS[3], history.batches[-1])
    events = alive(history, base, base.start)
    wanted = [
        replace(base, need=Need.VALUES),
        replace(base, need=Need.PRICED),
        replace(base, aggregation="count", need=Need.VALUES),
        replace(base, need=Need.VALUES, group_by=("region",)),
    ]
    async with database.read() as session:
        values, priced, ones, grouped = await queries.aggregate(session, wanted)
    assert list(values.values) == [event.quantity for event in events]
    assert priced.priced == sum(e.quantity * e.unit_price for e in events if e.unit_price is not None)
    assert metered_of(priced, Need.PRICED).priced == Fraction(priced.priced)
    assert list(ones.values) == [1] * len(events)
    assert metered_of(values, Need.VALUES).events == len(events)
    for part, each in grouped.parts:
        assert list(each.values) == [e.quantity for e in events if part_of(e, ("region",)) == part]


@pytest.mark.parametrize("seed", range(5))
async def test_the_carried_state_is_all_that_a_period_needs(database: Database, seed: int) -> None:
    """Four periods, each closed with what had arrived: the next from its state is as if all were counted from the first event."""
    name = f"acc_carried_{seed}"
    history = await make_history(database, name, seed + 100, (1, 4, 12, 30, 50)[seed])
    kinds: list[dict[str, Any]] = [
        {"aggregation": "count"}, {"aggregation": "sum"}, {"aggregation": "weighted_sum"}, {"aggregation": "unique", "field": "user"},
    ]  # fmt: skip
    choices: list[dict[str, Any]] = [{}, {"group_by": ("region",)}, {"filters": {"tier": "a"}}]
    last = history.batches[-1]
    for kind in kinds:
        for choice in choices:
            for start, end in pairwise(BOUNDS):
                slice_ = UsageSlice(
                    history.account_no,
                    history.meter_id,
                    start=start,
                    end=end,
                    to_batch=last,
                    recurring=True,
                    **kind,
                    **choice,
                )
                slice_ = measured(slice_, start, end)
                async with database.write() as session:
                    (begun,) = await queries.with_states(session, [slice_])
                    assert (begun.base is None) == (start == BOUNDS[0])
                    (total,) = await queries.aggregate(session, [begun])
                    await service.keep_states(session, [begun], [total])
                    await service.keep_states(session, [begun], [total])  # a repeat changes nothing
                check(total, history, slice_)
    async with database.read() as session:
        kept = await session.fetchval(
            "SELECT count(*) FROM meter_states WHERE account_no = $1", history.account_no
        )
    assert kept == len(kinds) * len(choices) * 4


async def test_a_period_without_events_carries_what_there_was(database: Database) -> None:
    account_no, meter_id = await account_and_meter(database, "acc_empty")
    seats = [
        IncomingEvent(
            id=user,
            meter="acc_empty",
            account_id="acc_empty",
            occurred_at=BOUNDS[0],
            properties={"user": user},
        )
        for user in ("ann", "bob")
    ]
    await service.ingest(database, ACTOR, seats, now=NOW, request_id="", backfill=True)
    for index, (start, end) in enumerate(pairwise(BOUNDS)):
        for kind in (
            {"aggregation": "unique", "field": "user"},
            {"aggregation": "sum"},
            {"aggregation": "weighted_sum"},
        ):
            slice_ = UsageSlice(
                account_no, meter_id, start=start, end=end, to_batch=10**6, recurring=True, **kind
            )  # type: ignore[arg-type]
            async with database.write() as session:
                (begun,) = await queries.with_states(session, [measured(slice_, start, end)])
                (total,) = await queries.aggregate(session, [begun])
                await service.keep_states(session, [begun], [total])
            assert (total.units, total.count) == (2, 2 if index == 0 else 0), (kind, start)
            assert total.carried == (0 if index == 0 else 2)


async def test_a_late_event_waits_for_the_period_to_be_rederived(database: Database) -> None:
    account_no, meter_id = await account_and_meter(database, "acc_late")

    async def send(number: str, at: datetime, user: str, operation: str = "add") -> int:
        event = IncomingEvent(
            id=number, meter="acc_late", account_id="acc_late", occurred_at=at, quantity=1 if operation == "add" else -1,
            properties={"user": user, OPERATION: operation},
        )  # fmt: skip
        await service.ingest(database, ACTOR, [event], now=NOW, request_id="", backfill=True)
        async with database.read() as session:
            batch: int = await session.fetchval("SELECT coalesce(max(id), 0) FROM ingest_batches")
            return batch

    def slices(period: int, to_batch: int) -> list[UsageSlice]:
        start, end = BOUNDS[period], BOUNDS[period + 1]
        base = UsageSlice(account_no, meter_id, "sum", start, end, to_batch, recurring=True)
        return [
            measured(base, start, end),
            measured(replace(base, aggregation="unique", field="user"), start, end),
        ]

    async def closed(period: int, to_batch: int) -> list[Fraction]:
        async with database.write() as session:
            return [total.units for total in await service.rederive(session, slices(period, to_batch))]

    first = await send("1", BOUNDS[0], "ann")
    assert await closed(0, first) == [1, 1]
    assert await closed(1, first) == [1, 1]
    late = await send("2", BOUNDS[0] + timedelta(days=10), "bob")
    assert await closed(2, late) == [1, 1], "what came late is not billed by the way"
    days = (BOUNDS[1] - BOUNDS[0]).days
    assert await closed(0, late) == [1 + Fraction(days - 10, days)] * 2
    assert await closed(1, late) == [2, 2]
    assert await closed(2, late) == [2, 2]
    assert await closed(0, first) == [1, 1], "what was billed comes out as it was"
    gone = await send("3", BOUNDS[1] + timedelta(hours=1), "ann", "remove")
    march = Fraction(1, 31)
    assert await closed(1, gone) == [1 + march] * 2
    assert await closed(2, gone) == [1, 1]
    assert await closed(3, gone) == [1, 1]
    later = await send("4", BOUNDS[0] + timedelta(days=20), "cid")
    async with database.write() as session:
        wanted = [slice_ for period in range(3) for slice_ in slices(period, later)]
        together = [total.units for total in await service.rederive(session, wanted)]
    february = 1 + Fraction(days - 10, days) + Fraction(days - 20, days)
    assert together == [february] * 2 + [2 + march] * 2 + [2] * 2
    assert await closed(3, later) == [2, 2]


async def test_events_of_a_group_come_by_themselves(database: Database) -> None:
    history = await make_history(database, "acc_group", 5, 30)
    wanted = UsageSlice(
        history.account_no, history.meter_id, "sum", BOUNDS[0], BOUNDS[4], history.batches[-1], group_by=("region", "tier"),
        also={"tier": ["a", "b"]},
    )  # fmt: skip
    async with database.read() as session:
        (total,) = await queries.aggregate(session, [wanted])
        assert len(total.parts) > 2
        for part, each in total.parts:
            found = await queries.events(session, wanted, 1000, group=part)
            assert len(found) == each.count
            assert reduce(xor, (event.checksum for event in found), 0) == each.checksum
            assert {part_of(event, wanted.group_by) for event in found} == {part}
