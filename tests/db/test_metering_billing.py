"""Every kind of meter from the event to the verified invoice: filters, groups, prices of events, states carried over periods."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account
from tallystick.billing.corrections.sweep import arrive
from tallystick.billing.service import current, explaining, ranges, verdicts, voiding
from tallystick.billing.service.recounting import events_of_line
from tallystick.billing.service.usage import NotDivisible
from tallystick.catalog.domain import ChargeTerms, PlanView, Terms
from tallystick.catalog.service import make_meter, make_plan
from tallystick.cli.doctor import examine
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.queries import LineView
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.service import ingest
from tallystick.platform.db import Database
from tests.db.test_billing_recorded import ACTOR, account, at, bill, healthy
from tests.db.test_billing_subscriptions import all_invoices, end, subscribe

ONE = {"unit_amount": "1"}


async def offer(
    database: Database, meters: dict[str, dict[str, Any]], charges: Sequence[ChargeTerms], **terms: Any
) -> PlanView:
    async with database.write() as session:
        for code, meter in meters.items():
            await make_meter(
                session,
                ACTOR,
                **{"code": code, "name": code, "field": None, "filters": {}, "unit": "unit", **meter},
            )
        wanted = {
            "price": Decimal(0),
            "currency": "USD",
            "alignment": "calendar",
            "charges": tuple(charges),
            **terms,
        }
        return await make_plan(
            session, ACTOR, code="kinds", name="Kinds", is_public=True, is_active=True, terms=Terms(**wanted)
        )


def charge(
    code: str, meter: str, model: str = "standard", properties: Any = None, **more: Any
) -> ChargeTerms:
    return ChargeTerms(
        code, code.title(), meter, model, ONE if properties is None else properties, {}, "usage", **more
    )


async def send(
    database: Database,
    who: Account,
    meter: str,
    when: str,
    quantity: str = "1",
    price: str | None = None,
    **properties: Any,
) -> None:
    async with database.read() as session:
        number = await session.fetchval("SELECT count(*) FROM event_keys")
    event = IncomingEvent(
        id=f"e{number}", meter=meter, account_id=who.id, quantity=Decimal(quantity), occurred_at=at(when),
        unit_price=None if price is None else Decimal(price), properties=properties,
    )  # fmt: skip
    (verdict,) = await ingest(database, ACTOR, [event], now=at(when), request_id="t")
    assert verdict.status == "accepted", verdict


def shown(lines: Sequence[LineView]) -> list[tuple[str, str, str]]:
    return [(line.description, f"{line.quantity:f}", f"{line.amount:f}") for line in lines]


async def told(database: Database, place: int = -1) -> list[list[str]]:
    async with database.snapshot() as session:
        found = (await invoices.invoices(session, limit=50)).rows[::-1][place]
        return [line.text for line in (await explaining.explain(session, found)).lines]


async def test_every_aggregation_is_billed_explained_and_verified(database: Database) -> None:
    who = await account(database)
    meters: dict[str, dict[str, Any]] = {
        "low": {"aggregation": "min"},
        "mean": {"aggregation": "average"},
        "p90": {"aggregation": "percentile", "percentile": 90},
        "disk": {"aggregation": "weighted_sum"},
        "who": {"aggregation": "unique", "field": "user"},
    }
    offered = await offer(database, meters, [charge(code, code) for code in meters])
    await subscribe(database, who, offered, "2026-02-01")
    for day, quantity in ((2, "10"), (15, "5"), (20, "5.5")):
        for meter in meters:
            await send(
                database, who, meter, f"2026-02-{day:02}T00:00", quantity, user="ann" if day < 20 else "bob"
            )
    assert (await bill(database, "2026-03-02T00:00")).invoices == 1
    ((_, lines),) = await all_invoices(database)
    # 10 for 27 days, 5 for 14, 5.5 for 9, of 28 days: 389.5 ÷ 28; the mean is 20.5 ÷ 3
    assert [(line.quantity, line.amount) for line in lines] == [
        (Decimal("5"), Decimal("5.00")),
        (Decimal("6.833333333333333333"), Decimal("6.83")),
        (Decimal("10"), Decimal("10.00")),
        (Decimal("13.910714285714285714"), Decimal("13.91")),
        (Decimal("2"), Decimal("2.00")),
    ]
    assert lines[1].inputs["metered"] == {"units": "41/6"}
    texts = [text[0] for text in await told(database)]
    assert texts[0] == "3 events of low, of which the lowest: 5 unit"
    assert texts[1] == "3 events of mean, on average: 6.833333333333333333… unit"
    assert texts[2] == "3 events of p90, of which the percentile 90 by nearest rank: 10 unit"
    assert texts[3].startswith(
        "3 events of disk, as a level over time, divided by the length of the whole period: 13.91"
    )
    await healthy(database)


async def test_groups_and_filters_make_lines_of_their_own(database: Database) -> None:
    who = await account(database)
    meters = {"api": {"aggregation": "sum", "filters": {"env": ["live"]}}}
    tiers = {"tiers": [{"up_to": 10, "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}]}
    offered = await offer(
        database, meters,
        [
            charge("calls", "api", "graduated", tiers, group_by=("region", "tier")),
            charge("gold", "api", filters={"tier": ["gold"]}),
        ],
    )  # fmt: skip
    await subscribe(database, who, offered, "2026-02-01")
    await send(database, who, "api", "2026-02-02T00:00", "12", env="live", region="eu", tier="gold")
    await send(database, who, "api", "2026-02-03T00:00", "3", env="live", region="eu")
    await send(database, who, "api", "2026-02-04T00:00", "4", env="live", region="ap", tier="gold")
    await send(database, who, "api", "2026-02-05T00:00", "1", env="live", region="eu", tier="gold")
    await send(database, who, "api", "2026-02-06T00:00", "99", env="test", region="eu", tier="gold")
    async with database.snapshot() as session:
        usage = await current.current_usage(session, who)
    assert [(line.description, str(line.quantity)) for line in usage.periods[0].lines] == [
        ("Calls: region ap, tier gold", "4"),
        ("Calls: region eu, tier gold", "13"),
        ("Calls: region eu, without tier", "3"),
        ("Gold", "17"),
    ]
    assert [[(f"{day.date}", str(day.quantity)) for day in line.days] for line in usage.periods[0].lines] == [
        [("2026-02-04", "4")],
        [("2026-02-02", "12"), ("2026-02-05", "1")],
        [("2026-02-03", "3")],
        [("2026-02-02", "12"), ("2026-02-04", "4"), ("2026-02-05", "1")],
    ]
    await bill(database, "2026-03-02T00:00")
    ((invoice, lines),) = await all_invoices(database)
    assert shown(lines) == [
        ("Calls: region ap, tier gold", "4", "4.00"),
        ("Calls: region eu, tier gold", "13", "11.50"),
        ("Calls: region eu, without tier", "3", "3.00"),
        ("Gold", "17", "17.00"),
    ]
    assert lines[2].inputs["group"] == {"region": "eu", "tier": None}
    assert [line.evidence.count for line in lines if line.evidence] == [1, 2, 1, 3]
    assert [text[0] for text in await told(database)][1:] == [
        "2 events of api with env live, region eu, tier gold, added up: 13 unit",
        "1 event of api with env live, region eu without tier, added up: 3 unit",
        "3 events of api with env live, tier gold, added up: 17 unit",
    ]
    async with database.snapshot() as session:
        found = [[event.id for event in await events_of_line(session, line, 10)] for line in lines]
        assert found == [["e2"], ["e0", "e3"], ["e1"], ["e0", "e2", "e3"]]
        fates = [await verdicts.fate(session, ACTOR, "", f"e{n}") for n in range(5)]
    assert [(fate.state, fate.line) for fate in fates] == [
        ("billed", 2), ("billed", 3), ("billed", 1), ("billed", 2), ("unpriced", None),
    ]  # fmt: skip
    assert invoice.total == Decimal("35.50")
    await healthy(database)


async def test_prices_of_single_events(database: Database) -> None:
    who = await account(database)
    meters = {
        "pay": {"aggregation": "sum"},
        "spot": {"aggregation": "sum"},
        "vm": {"aggregation": "sum", "field": "hours"},
    }
    matrix = {
        "dimensions": ["region", "size"],
        "rows": [{"values": {"region": "eu", "size": "s"}, "unit_amount": "2"}, {"values": {"region": "us"}, "unit_amount": "3"}],
        "default": {"unit_amount": "1"},
    }  # fmt: skip
    offered = await offer(
        database, meters,
        [
            charge("fees", "pay", "percentage", {"rate": "0.1", "fixed_amount": "0.30", "free_events": 1, "max_per_event": "5"}),
            charge("spot", "spot", "dynamic", {}),
            charge("machines", "vm", "matrix", matrix),
            charge("by-team", "vm", "matrix", matrix, group_by=("team",)),
        ],
    )  # fmt: skip
    await subscribe(database, who, offered, "2026-02-01")
    for n, quantity in enumerate(("100", "20", "80")):
        await send(database, who, "pay", f"2026-02-0{n + 2}T00:00", quantity)
    await send(database, who, "spot", "2026-02-02T00:00", "3", "0.5")
    await send(database, who, "spot", "2026-02-03T00:00", "2", "0.75")
    await send(database, who, "vm", "2026-02-02T00:00", region="eu", size="s", hours=3, team="a")
    await send(database, who, "vm", "2026-02-03T00:00", region="us", size="l", hours=Decimal("1.5"), team="b")
    await send(database, who, "vm", "2026-02-04T00:00", region="ap", hours=2, team="a")
    await bill(database, "2026-03-02T00:00")
    ((_, lines),) = await all_invoices(database)
    assert [(line.description, f"{line.amount:f}") for line in lines] == [
        ("Fees", "7.30"),  # 0 + 2.30 + 5
        ("Spot", "3.00"),
        ("Machines", "12.50"),
        ("By-Team: team a", "8.00"),
        ("By-Team: team b", "4.50"),
    ]
    assert lines[2].inputs["metered"]["groups"] == [
        [["ap", None], "2"],
        [["eu", "s"], "3"],
        [["us", "l"], "3/2"],
    ]
    await healthy(database)


async def test_seats_and_storage_are_carried_over_three_periods_of_which_one_is_empty(
    database: Database,
) -> None:
    who = await account(database, "Europe/Berlin")
    meters = {
        "seats": {"aggregation": "unique", "field": "user", "recurring": True},
        "slots": {"aggregation": "sum", "recurring": True},
        "disk": {"aggregation": "weighted_sum", "field": "gb", "recurring": True},
    }  # fmt: skip
    offered = await offer(
        database, meters,
        [charge("seats", "seats"), charge("slots", "slots"), charge("disk", "disk", group_by=("zone",))],
    )  # fmt: skip
    await send(
        database, who, "seats", "2026-01-20T00:00", user="early"
    )  # before the subscription: there when it begins
    await subscribe(database, who, offered, "2026-01-31T23:00")
    await send(database, who, "seats", "2026-02-14T22:00", user="ann")  # the 14th in Berlin: 15 of 28 days
    await send(database, who, "seats", "2026-02-20T10:00", user="early", operation_type="remove")  # 20 days
    await send(database, who, "slots", "2026-02-01T00:00", "4")
    await send(database, who, "slots", "2026-02-10T12:00", "-3")  # 10 days of 4, 18 of 1
    await send(database, who, "disk", "2026-02-14T23:00", gb=20, zone="a")  # half of February
    await bill(database, "2026-03-01T12:00")
    async with database.snapshot() as session:
        preview = await ranges.preview_next(session, (await accounts.by_nos(session, [who.no]))[who.no])
    await bill(database, "2026-04-01T12:00")  # March was empty; it holds the day of 23 hours
    await send(database, who, "seats", "2026-04-10T12:00", user="ann", operation_type="remove")
    await send(database, who, "seats", "2026-04-10T20:00", user="ann", operation_type="add")
    await send(database, who, "seats", "2026-04-15T12:00", user="ann", operation_type="remove")
    await bill(database, "2026-05-01T12:00")
    february, march, april = await all_invoices(database)
    assert [f"{line.quantity:f}" for line in february[1]] == ["1.25", "2.071428571428571428", "10"]
    assert shown(march[1]) == [
        ("Seats", "1", "1.00"),
        ("Slots", "1", "1.00"),
        ("Disk: zone a", "20", "20.00"),
    ]
    assert [(line.description, line.amount) for line in preview.drafts[0].lines] == [
        (line.description, line.amount) for line in march[1]
    ]
    assert [f"{line.amount:f}" for line in april[1]] == ["0.50", "1.00", "20.00"]
    assert [line.evidence.count for line in march[1] if line.evidence] == [0, 0, 0]
    carried = march[1][0].inputs["carried"]
    assert (carried["at"], carried["level"]) == ("2026-02-28T23:00:00Z", "1")
    texts = await told(database, 1)
    assert texts[0][:2] == [
        f"began with 1, carried in from the state frozen at 2026-02-28 23:00 UTC, batch {carried['to_batch']}",
        "0 events of seats, as units active on each local day, added up and divided by the days of the whole period: 1 unit",
    ]
    await healthy(database)


async def test_what_was_frozen_cannot_be_changed_unseen(database: Database) -> None:
    who = await account(database)
    meters = {
        "seats": {"aggregation": "unique", "field": "user", "recurring": True},
        "slots": {"aggregation": "sum", "recurring": True},
    }
    await subscribe(
        database,
        who,
        await offer(database, meters, [charge("seats", "seats"), charge("slots", "slots")]),
        "2026-02-01",
    )
    for meter in meters:
        await send(database, who, meter, "2026-02-02T00:00", "5", user="ann")
    await bill(database, "2026-03-02T00:00")
    await bill(database, "2026-04-02T00:00")
    await all_invoices(database)
    async with database.write() as session:
        await session.execute("ALTER TABLE meter_states DISABLE TRIGGER ALL")
        await session.execute("""UPDATE meter_states SET levels = '[[[], "6"]]' WHERE units IS NULL""")
        await session.execute(
            """UPDATE meter_states SET units = '[[[], "ann"], [[], "bob"]]' WHERE units IS NOT NULL"""
        )
    async with database.snapshot() as session:
        second, first = (await invoices.invoices(session, limit=5)).rows
        assert (await explaining.verify(session, first)).agrees
        report = await explaining.verify(session, second)
    assert report.problems == [
        "line 1: the same events come to another quantity", "line 2: the same events come to another quantity",
    ]  # fmt: skip
    violated = {each["invariant"].split(".")[-1] for each in await examine(database) if each["violations"]}
    assert "every_state_holds_its_units" in violated
    async with database.write() as session:
        await session.execute("UPDATE meter_states SET to_batch = to_batch + 1000")
    violated = {each["invariant"].split(".")[-1] for each in await examine(database) if each["violations"]}
    assert "every_state_is_sealed" in violated
    async with database.write() as session:
        await session.execute("DELETE FROM meter_states")
    async with database.snapshot() as session:
        report = await explaining.verify(session, second)
    assert report.problems == [
        "line 1: the state it began from is not there", "line 2: the state it began from is not there",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "meter",
    [
        {"aggregation": "min"}, {"aggregation": "average"}, {"aggregation": "weighted_sum"}, {"aggregation": "unique", "field": "user"},
        {"aggregation": "percentile", "percentile": 50}, {"aggregation": "sum", "recurring": True}, {"aggregation": "count", "recurring": True},
        {"aggregation": "max"}, {"aggregation": "latest"},
    ],
)  # fmt: skip
async def test_a_part_of_a_period_says_nothing_about_these(database: Database, meter: dict[str, Any]) -> None:
    who = await account(database)
    await subscribe(
        database, who, await offer(database, {"odd": meter}, [charge("odd", "odd")]), "2026-02-01"
    )
    await send(database, who, "odd", "2026-02-02T00:00", user="ann")
    await arrive(database, patience=5)
    wanted = ranges.Range(at("2026-02-01"), at("2026-02-10"))
    with pytest.raises(NotDivisible) as refused:
        async with database.write() as session:
            await ranges.bill_range(session, ACTOR, who, wanted, now=at("2026-02-20"), new_id=_new_id)
    assert (refused.value.status, refused.value.code, refused.value.details) == (
        409,
        "not_divisible",
        {"meter": "odd"},
    )


def _new_id() -> Any:
    from tallystick.platform.edge import new_uuid

    return new_uuid()


async def test_groups_are_billed_in_parts_and_settle_when_the_period_closes(database: Database) -> None:
    who = await account(database)
    tiers = {"tiers": [{"up_to": 10, "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}]}
    offered = await offer(
        database,
        {"api": {"aggregation": "sum"}},
        [charge("calls", "api", "graduated", tiers, group_by=("region",))],
    )
    await subscribe(database, who, offered, "2026-02-01")
    await send(database, who, "api", "2026-02-02T00:00", "8", region="eu")
    await arrive(database, patience=5)
    async with database.write() as session:
        await ranges.bill_range(
            session,
            ACTOR,
            who,
            ranges.Range(at("2026-02-01"), at("2026-02-10")),
            now=at("2026-02-20"),
            new_id=_new_id,
        )
    await send(database, who, "api", "2026-02-12T00:00", "4", region="eu")
    await send(database, who, "api", "2026-02-13T00:00", "1", region="us")
    await bill(database, "2026-03-02T00:00")
    (_, part), (_, rest) = await all_invoices(database)
    assert shown(part) == [("Calls: region eu", "8", "8.00")]
    assert shown(rest) == [("Calls: region eu", "4", "3.00"), ("Calls: region us", "1", "1.00")]
    await healthy(database)


async def test_a_grouped_charge_without_events_still_owes_what_is_due_for_nothing(database: Database) -> None:
    who = await account(database)
    tiers = {"tiers": [{"up_to": None, "unit_amount": "1", "flat_amount": "3"}]}
    offered = await offer(
        database,
        {"api": {"aggregation": "sum"}},
        [charge("calls", "api", "graduated", tiers, group_by=("region",))],
    )
    await subscribe(database, who, offered, "2026-02-01")
    await bill(database, "2026-03-02T00:00")
    ((_, lines),) = await all_invoices(database)
    assert shown(lines) == [("Calls", "0", "3.00")]


async def test_a_voided_invoice_is_billed_again_from_the_state_before_it(database: Database) -> None:
    who = await account(database)
    meters = {"seats": {"aggregation": "unique", "field": "user", "recurring": True}}
    await subscribe(database, who, await offer(database, meters, [charge("seats", "seats")]), "2026-02-01")
    await send(database, who, "seats", "2026-02-01T00:00", user="ann")
    await bill(database, "2026-03-02T00:00")
    await send(database, who, "seats", "2026-03-01T00:00", user="bob")
    await bill(database, "2026-04-02T00:00")
    async with database.write() as session:
        latest = (await invoices.invoices(session, limit=1)).rows[0]
        await voiding.void_invoice(session, ACTOR, latest, at("2026-04-03T00:00"))
    event = IncomingEvent(
        id="x",
        meter="seats",
        account_id=who.id,
        occurred_at=at("2026-03-01T00:00"),
        properties={"user": "cid"},
    )
    await ingest(database, ACTOR, [event], now=at("2026-04-03T00:00"), request_id="t")
    await bill(database, "2026-04-04T00:00")
    *_, (_, lines) = await all_invoices(database)
    assert shown(lines) == [("Seats", "3", "3.00")]
    await bill(database, "2026-05-02T00:00")
    *_, (_, lines) = await all_invoices(database)
    assert shown(lines) == [("Seats", "3", "3.00")]
    await healthy(database)


async def test_a_subscription_that_ends_counts_the_days_it_ran(database: Database) -> None:
    who = await account(database)
    meters = {
        "seats": {"aggregation": "unique", "field": "user", "recurring": True},
        "disk": {"aggregation": "weighted_sum", "recurring": True},
    }
    mine = await subscribe(
        database,
        who,
        await offer(database, meters, [charge("seats", "seats"), charge("disk", "disk")]),
        "2026-02-01",
    )
    for meter in meters:
        await send(database, who, meter, "2026-02-01T00:00", "28", user="ann")
    await end(database, mine, "2026-02-08T00:00")
    await bill(database, "2026-03-02T00:00")
    ((_, lines),) = await all_invoices(database)
    assert shown(lines) == [("Seats", "0.25", "0.25"), ("Disk", "7", "7.00")]
    assert replace(lines[0], position=1).inputs["whole"] == 28


async def test_a_late_seat_corrects_every_period_that_it_was_there_in(database: Database) -> None:
    who = await account(database)
    meters = {"seats": {"aggregation": "unique", "field": "user", "recurring": True}}
    await subscribe(database, who, await offer(database, meters, [charge("seats", "seats")]), "2026-02-01")
    await send(database, who, "seats", "2026-02-01T00:00", user="ann")
    await bill(database, "2026-03-02T00:00")
    await bill(database, "2026-04-02T00:00")
    late = IncomingEvent(
        id="late",
        meter="seats",
        account_id=who.id,
        occurred_at=at("2026-02-15T00:00"),
        properties={"user": "bob"},
    )
    (verdict,) = await ingest(
        database, ACTOR, [late], now=at("2026-04-05T00:00"), request_id="t", backfill=True
    )
    assert verdict.status == "accepted"
    await bill(database, "2026-05-02T00:00")
    *_, (_, lines) = await all_invoices(database)
    assert sorted((str(line.kind), f"{line.amount:f}") for line in lines) == [
        ("correction", "0.50"),  # bob's 14 of February's 28 days
        ("correction", "1.00"),  # and the whole of March, in which nothing happened
        ("usage", "2.00"),
    ]
    await bill(database, "2026-06-02T00:00")
    *_, (_, lines) = await all_invoices(database)
    assert shown(lines) == [("Seats", "2", "2.00")]
    await healthy(database)


async def test_a_late_removal_gives_back_what_was_only_carried(database: Database) -> None:
    who = await account(database)
    meters = {"seats": {"aggregation": "unique", "field": "user", "recurring": True}}
    await subscribe(database, who, await offer(database, meters, [charge("seats", "seats")]), "2026-02-01")
    await send(database, who, "seats", "2026-02-01T00:00", user="ann")
    await bill(database, "2026-03-02T00:00")
    await bill(database, "2026-04-02T00:00")
    await send(database, who, "seats", "2026-04-03T00:00", user="bob")
    late = IncomingEvent(
        id="late", meter="seats", account_id=who.id, occurred_at=at("2026-02-07T12:00"),
        properties={"user": "ann", "operation_type": "remove"},
    )  # fmt: skip
    await ingest(database, ACTOR, [late], now=at("2026-04-05T00:00"), request_id="t", backfill=True)
    await bill(database, "2026-05-02T00:00")
    async with database.read() as session:
        billed = await session.fetchval("SELECT sum(amount) FROM invoice_lines")
        noted = await session.fetchval("SELECT coalesce(sum(amount), 0) FROM noted_corrections")
    # February's seven days, nothing of March, bob's 28 days of April
    assert billed + noted == Decimal("0.25") + Decimal("0.93")
    await all_invoices(database)
    await healthy(database)
