"""Totals in SQL against their definitions in Python, and the plan they are read by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from operator import xor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.kernel.actor import system_actor
from tallystick.kernel.errors import Invalid
from tallystick.metering import queries, service
from tallystick.metering.counting import queries as counting
from tallystick.metering.domain.digest import event_key
from tallystick.metering.domain.events import IncomingEvent, StoredEvent
from tallystick.metering.domain.slices import AccountSlice, UsageSlice, parse_filters
from tallystick.platform.db import Database
from tallystick.rating.domain import aggregation as definitions

START = datetime(2024, 5, 30, tzinfo=UTC)
NOW = START + timedelta(days=10)
ACTOR = system_actor("tests")
METERS = {"plain": None, "sized": "size", "tagged": "tag"}


@dataclass(frozen=True)
class Sent:
    """One event of a generated history: hours after START, quantity, properties, the batch it comes in, whether it is voided."""

    hour: int
    quantity: Decimal
    size: Any
    tag: str | None
    batch: int
    void: bool


quantities = st.decimals(min_value=0, max_value=1000, places=3, allow_nan=False, allow_infinity=False)
sent_events = st.builds(
    Sent,
    st.integers(0, 100),
    quantities,
    st.one_of(st.integers(-5, 5), st.sampled_from([Decimal("1.0"), Decimal("2.50")])),
    st.sampled_from(["a", "b", None]),
    st.integers(0, 2),
    st.booleans(),
)


@dataclass(frozen=True)
class History:
    """What was written: events with the batch of their void, if any, and the last batch."""

    events: list[tuple[Sent, StoredEvent]]
    account_no: int
    meters: dict[str, int]
    last: int


async def write(database: Database, run: int, history: Sequence[Sent]) -> History:
    account = f"acc_{run}"
    async with database.write() as session:
        account_no = await session.fetchval(
            """
            INSERT INTO accounts (id, entity_id, currency, timezone, zone_history, livemode, metadata, usage_from, usage_billed_to,
                                  opened_at)
            VALUES ($1, 1, 'USD', 'UTC', '[]', true, '{}', $2, $2, $2) RETURNING no
            """,
            account,
            START,
        )
        await session.execute(
            "INSERT INTO meters (code, name, aggregation, field, filters, unit) VALUES ('plain', 'M', 'sum', NULL, '{}', 'u') "
            "ON CONFLICT DO NOTHING"
        )
        meter = await session.fetchval("SELECT id FROM meters WHERE code = 'plain'")
    for batch in range(3):
        events = [
            IncomingEvent(
                id=f"{run}-{number}", meter="plain", account_id=account, quantity=each.quantity,
                occurred_at=START + timedelta(hours=each.hour), unit_price=each.hour % 3 or None,
                properties={"size": each.size} | ({"tag": each.tag} if each.tag else {}),
            )
            for number, each in enumerate(history)
            if each.batch == batch
        ]  # fmt: skip
        if events:
            verdicts = await service.ingest(database, ACTOR, events, now=NOW, request_id="")
            assert {verdict.status for verdict in verdicts} == {"accepted"}
    keys = [event_key("", f"{run}-{number}") for number in range(len(history))]
    async with database.write() as session:
        stored = await queries.stored(session, keys)
        for each, key in zip(history, keys, strict=True):
            if each.void:
                await service.void(session, ACTOR, stored[key], now=NOW, reason="", request_id="")
        stored = await queries.stored(session, keys)
    last = max((e.voided_by or e.batch_id for e in stored.values()), default=0)
    return History(
        [(each, stored[key]) for each, key in zip(history, keys, strict=True)],
        account_no,
        {"plain": meter},
        last,
    )


def chosen(history: History, wanted: UsageSlice) -> list[tuple[Sent, StoredEvent]]:
    """The events of a slice, by its definition."""
    return [
        (sent, event)
        for sent, event in history.events
        if wanted.start <= event.occurred_at < wanted.end
        and wanted.from_batch < event.batch_id <= wanted.to_batch
        and not (event.voided_by is not None and event.voided_by <= wanted.to_batch)
        and all(
            event.properties.get(name, ()) in (allowed if isinstance(allowed, list) else [allowed])
            for name, allowed in wanted.filters.items()
        )
    ]


def expected(history: History, wanted: UsageSlice) -> tuple[Any, int, int]:
    """Quantity, count and checksum by the definitions of rating."""
    counted = chosen(history, wanted)

    def value(event: StoredEvent) -> Any:
        return event.quantity if wanted.field is None else event.properties.get(wanted.field)

    events = [
        definitions.Event(event.occurred_at, event.batch_id, event.position, value(event))  # type: ignore[arg-type]
        for _, event in counted
        if value(event) is not None
    ]
    kind = definitions.Aggregation(wanted.aggregation)
    checksum = reduce(xor, (event.checksum for _, event in counted), 0)
    return definitions.aggregate(kind, events), len(counted), checksum


runs = iter(range(10**9))
fields = {
    "count": [None],
    "sum": [None, "size"],
    "max": [None, "size"],
    "latest": [None, "size"],
    "unique": [None, "size", "tag"],
}
filters: list[dict[str, Any]] = [
    {},
    {"tag": "a"},
    {"tag": ["a", "b"]},
    {"tag": ["b"], "size": [1, Decimal("2.5")]},
]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=st.lists(sent_events, max_size=12),
    bounds=st.tuples(st.integers(0, 60), st.integers(20, 101)),
    batches=st.tuples(st.integers(0, 2), st.integers(1, 12)),
)
async def test_totals_are_what_their_definitions_say(
    database: Database, history: list[Sent], bounds: tuple[int, int], batches: tuple[int, int]
) -> None:
    written = await write(database, next(runs), history)
    first = min((event.batch_id for _, event in written.events), default=1)
    slices = [
        UsageSlice(
            written.account_no, written.meters["plain"], kind, START + timedelta(hours=bounds[0]),
            START + timedelta(hours=bounds[1]), first - 1 + batches[1], first - 1 + batches[0], field, chosen_filters,
        )
        for kind, possible in fields.items()
        for field in possible
        for chosen_filters in filters
    ]  # fmt: skip
    async with database.read() as session:
        totals = await queries.aggregate(session, slices)
    for wanted, total in zip(slices, totals, strict=True):
        assert (total.quantity, total.count, total.checksum) == expected(written, wanted), wanted


async def test_events_of_a_slice_come_in_order_page_by_page(database: Database) -> None:
    history = [Sent(n % 7, Decimal(n), n, "a" if n % 2 else "b", n % 3, n % 5 == 0) for n in range(40)]
    written = await write(database, next(runs), history)
    wanted = UsageSlice(
        written.account_no, written.meters["plain"], "sum", START, NOW, written.last, filters={"tag": "a"}
    )
    found: list[StoredEvent] = []
    after = None
    async with database.read() as session:
        while page := await queries.events(session, wanted, 4, after):
            found += page
            after = (page[-1].occurred_at, page[-1].batch_id, page[-1].position)
    ordered = sorted(
        (e for _, e in chosen(written, wanted)), key=lambda e: (e.occurred_at, e.batch_id, e.position)
    )
    assert [e.id for e in found] == [e.id for e in ordered]


async def test_priced_usage_is_grouped_by_meter_and_price(database: Database) -> None:
    history = [Sent(n, Decimal(n), n, None, 0, n == 4) for n in range(9)]
    written = await write(database, next(runs), history)
    async with database.read() as session:
        rows = await queries.recorded(session, [AccountSlice(written.account_no, START, NOW, written.last)])
    assert [(row.unit_price, row.quantity, row.count) for row in rows] == [(1, 8, 2), (2, 15, 3)]
    for row in rows:
        counted = [e for s, e in written.events if e.unit_price == row.unit_price and not s.void]
        assert row.checksum == reduce(xor, (e.checksum for e in counted))


async def test_nothing_asked_is_nothing_answered(database: Database) -> None:
    async with database.read() as session:
        assert await queries.aggregate(session, []) == []
        assert await queries.recorded(session, []) == []
        (total,) = await queries.aggregate(session, [UsageSlice(1, 1, "max", START, NOW, 10)])
    assert (total.quantity, total.count, total.checksum) == (0, 0, 0)


@pytest.mark.parametrize("wrong", [{"a": {}}, {"a": []}, {"a": [[1]]}, {"a": None}])
def test_filters_are_scalars(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        parse_filters(wrong)


async def test_a_filter_is_bound_and_never_part_of_the_statement(database: Database) -> None:
    written = await write(database, next(runs), [Sent(1, Decimal(1), 1, "a", 0, False)])
    hostile = "a'); DROP TABLE usage_events; --"
    wanted = UsageSlice(
        written.account_no,
        written.meters["plain"],
        "count",
        START,
        NOW,
        written.last,
        filters={hostile: hostile},
    )
    async with database.read() as session:
        assert [total.count for total in await queries.aggregate(session, [wanted])] == [0]


@pytest.mark.parametrize("kinds", [("sum", "count", "max"), ("min", "average", "weighted_sum")])
async def test_totals_read_the_covering_index_alone_and_only_the_months_asked(
    database: Database, kinds: tuple[str, ...]
) -> None:
    """Index-only, no sequential scan of events, and the partitions of other months are never touched."""
    history = [Sent(n % 100, Decimal(n), n, None, n % 3, False) for n in range(300)]
    written = await write(database, next(runs), history)
    async with database.pool.acquire() as connection:
        await connection.execute(
            "SET synchronous_commit = on"
        )  # else VACUUM leaves pages not yet visible to all
        for part in ("2024_05", "2024_06"):
            await connection.execute(f"VACUUM ANALYZE usage_partitions.usage_events_{part}")
    june = datetime(2024, 6, 1, tzinfo=UTC)
    slices = [
        UsageSlice(written.account_no, written.meters["plain"], kind, june, NOW, written.last)
        for kind in kinds * 20
    ]
    if kinds[0] == "sum":
        statement, arguments = counting._SIMPLE, counting._plain_arguments(slices)
    else:
        statement, arguments = counting.EVEN[0], counting.slice_arguments(slices)
    async with database.read() as session:
        (plan,) = await session.fetchrow(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, *arguments
        ) or (None,)
    scans = list(_scans(_plan(plan)))
    assert not [s for s in scans if s["Node Type"] == "Seq Scan" and "usage_events" in s["Relation Name"]]
    june_scans = [s for s in scans if s.get("Relation Name") == "usage_events_2024_06" and s["Actual Loops"]]
    assert {s["Node Type"] for s in june_scans} == {"Index Only Scan"}
    assert sum(s["Heap Fetches"] for s in june_scans) == 0
    assert not [s for s in scans if s.get("Relation Name") == "usage_events_2024_05" and s["Actual Loops"]]


def _plan(text: Any) -> dict[str, Any]:
    import json

    parsed = json.loads(text) if isinstance(text, str) else text
    plan: dict[str, Any] = parsed[0]["Plan"]
    return plan


def _scans(node: dict[str, Any]) -> Any:
    if "Relation Name" in node:
        yield node
    for child in node.get("Plans", ()):
        yield from _scans(child)
