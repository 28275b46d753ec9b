"""Wallets in the database: what bills draw, what voids give back, what ends, who races, and the books after each."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tallystick.accounts import repository as account_rows
from tallystick.accounts.domain import Account, Clock, NewAccount
from tallystick.accounts.service import open_account
from tallystick.billing.service import clocks, closing, ranges, voiding
from tallystick.billing.service.book import Shelf
from tallystick.billing.service.renewal import Order, bill_accounts
from tallystick.invoicing import invariants as invoicing_invariants
from tallystick.invoicing.notes import queries as notes
from tallystick.invoicing.queries import InvoiceView
from tallystick.kernel.errors import Refusal
from tallystick.metering import queries as metering
from tallystick.metering.domain.digest import event_key
from tallystick.metering.service import seal
from tallystick.metering.service import void as void_usage
from tallystick.platform.db import Database, Session
from tallystick.platform.edge import new_id, new_uuid
from tallystick.taxes import service as taxes
from tallystick.wallets import invariants, queries, service
from tallystick.wallets.domain import (
    GivenBackSpent,
    InsufficientBalance,
    Kind,
    Scope,
    WalletEnded,
    WalletHoldsMoney,
)
from tallystick.wallets.queries import HoldView, TransactionView, WalletView
from tests.db.test_billing_recorded import ACTOR, account, at, bill, healthy, use
from tests.db.test_billing_subscriptions import all_invoices, calls, plan, subscribe

MAY = "2026-01-10"


async def wallet(database: Database, who: Account, now: str = MAY, **fields: Any) -> UUID:
    new = service.NewWallet(new_uuid(), **{"name": "Credits", **fields})
    async with database.write() as session:
        await service.open_wallet(session, ACTOR, who, new, at(now))
    return new.id


async def shown(database: Database, wallet_id: UUID, now: str = MAY) -> WalletView:
    async with database.read() as session:
        return await queries.wallet(session, wallet_id, at(now))


async def inside(
    database: Database, wallet_id: UUID, now: str, work: Callable[[Session, WalletView], Awaitable[Any]]
) -> Any:
    async with database.write() as session:
        return await work(session, await service.locked(session, wallet_id, at(now)))


async def top_up(
    database: Database, wallet_id: UUID, amount: str, kind: Kind = Kind.GRANTED, now: str = MAY, **fields: Any
) -> UUID:
    new = service.TopUp(new_uuid(), kind, Decimal(amount), **fields)
    await inside(database, wallet_id, now, lambda session, mine: service.top_up(session, ACTOR, mine, new))
    return new.id


async def hold(database: Database, wallet_id: UUID, amount: str, now: str = MAY, **fields: Any) -> HoldView:
    new = service.NewHold(new_uuid(), Decimal(amount), **fields)
    made: HoldView = await inside(
        database, wallet_id, now, lambda session, mine: service.hold(session, ACTOR, mine, new)
    )
    return made


async def history(database: Database, wallet_id: UUID) -> list[TransactionView]:
    async with database.read() as session:
        return list(reversed((await queries.transactions(session, wallet_id, limit=200)).rows))


def moved(rows: list[TransactionView]) -> list[tuple[str, str, str]]:
    return [(row.kind, f"{row.amount:f}", f"{row.remaining:f}") for row in rows]


async def entries(database: Database, account: str) -> list[tuple[str, Decimal, datetime]]:
    async with database.read() as session:
        rows = await session.fetch(
            """
            SELECT p.kind, e.amount, p.occurred_at FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account_id
            JOIN ledger_postings p ON p.id = e.posting_id WHERE a.code = $1 OR a.gl_code = $1 ORDER BY e.posting_id
            """,
            account,
        )
    return [(row["kind"], row["amount"], row["occurred_at"]) for row in rows]


async def only(database: Database) -> InvoiceView:
    ((invoice, _),) = await all_invoices(database)
    return invoice


async def void(database: Database, invoice: InvoiceView, now: str) -> None:
    async with database.write() as session:
        await voiding.void_invoice(session, ACTOR, invoice, at(now))


async def ended(database: Database, now: str) -> bool:
    return await service.end_some(database, at(now))


async def test_granted_credit_before_tax_then_paid_money_and_the_preview_says_so(database: Database) -> None:
    async with database.write() as session:
        await taxes.make_tax(session, ACTOR, taxes.NewTax("vat", "VAT", Decimal(19), True))
    who = await account(database)
    mine = await wallet(database, who)
    given = await top_up(database, mine, "4")
    paid = await top_up(database, mine, "5", Kind.PAID)
    await use(database, who, "1", "2026-01-11T10:00", "10", "1")
    await use(database, who, "2", "2026-01-12T10:00", "3", "0.5")
    async with database.snapshot() as session:
        (told,) = (await ranges.preview_next(session, who)).drafts
    assert [row.kind for row in await history(database, mine)] == ["top_up", "top_up"]

    assert (await bill(database, "2026-02-01T01:00")).invoices == 1
    invoice = await only(database)
    assert (invoice.subtotal, invoice.granted, invoice.tax, invoice.total) == (
        Decimal("11.50"), Decimal("4.00"), Decimal("1.43"), Decimal("8.93"),
    )  # fmt: skip
    assert (invoice.wallet_applied, invoice.owed) == (Decimal("5.00"), Decimal("3.93"))
    assert (told.granted, told.total, told.wallet_applied, told.amount_due) == (
        invoice.granted, invoice.total, invoice.wallet_applied, invoice.owed,
    )  # fmt: skip
    async with database.read() as session:
        draws = await queries.draws(session, invoice.id)
    assert [(each.grant_id, each.line, each.amount) for each in draws] == [
        (each.grant.id, index + 1, amount) for each in told.draws for index, amount in each.shares
    ]
    assert {each.grant_id for each in draws} == {given, paid}
    assert (await shown(database, mine)).balance == 0
    await healthy(database)


async def test_several_wallets_in_order_and_in_scope(database: Database) -> None:
    who = await account(database)
    await subscribe(database, who, await plan(database, billing_timing="arrears"), "2026-01-01")
    await calls(database, who, "1", "2026-01-05T00:00", "150")
    await use(database, who, "2", "2026-01-11T10:00", "10", "1")
    anything = await wallet(database, who, name="Anything", priority=9)
    metered = await wallet(database, who, name="Calls only", priority=5, scope=Scope(meters=("calls",)))
    by_plan = await wallet(database, who, name="Pro only", priority=7, scope=Scope(plans=("pro",)))
    other = await wallet(database, who, name="Euros", currency="EUR", priority=0)
    for each, amount in ((anything, "1000"), (metered, "10"), (by_plan, "30"), (other, "1000")):
        await top_up(database, each, amount)
    assert (await bill(database, "2026-02-01T01:00")).invoices == 1
    drawn = [
        [f"{line.amount:f}" for line in row.lines]
        for each in (metered, by_plan, anything, other)
        for row in await history(database, each)
        if row.kind == "draw"
    ]
    assert drawn == [
        ["10.00"],  # calls come to 12.50
        ["27.69", "2.31"],  # the fee of 29.99 and the rest of the calls, in proportion
        ["2.30", "0.19", "10.00"],
    ]
    for invoice, _ in await all_invoices(database):
        assert invoice.status == "paid"
        assert invoice.total == 0
    await healthy(database)


async def test_a_bill_that_fell_due_before_the_end_uses_the_grant_however_late_it_is_made(
    database: Database,
) -> None:
    who = await account(database)
    mine = await wallet(database, who)
    just, too_soon = at("2026-02-01T01:00:00.000001"), at("2026-02-01T01:00")
    await top_up(database, mine, "2", expires_at=just)
    await top_up(database, mine, "3", expires_at=too_soon)
    await use(database, who, "1", "2026-01-11T10:00", "10", "1")
    assert await ended(database, "2026-02-05T00:00"), "what ends at the due instant pays nothing of it"
    assert not await ended(database, "2026-02-05T00:00"), "the other waits for the bill"
    view = await shown(database, mine, "2026-02-05T00:00")
    assert (view.balance, view.available) == (2, 0)
    await bill(database, "2026-02-07T00:00")
    assert (await only(database)).granted == 2
    assert moved(await history(database, mine))[2:] == [
        ("expiry", "-3.00", "0.00"),
        ("draw", "-2.00", "0.00"),
    ]
    await healthy(database)


async def test_what_is_left_at_the_end_is_taken_back_or_earned_dated_at_the_end(database: Database) -> None:
    who = await account(database)
    end = at("2026-01-20T00:00")
    mine = await wallet(database, who, expires_at=end)
    await top_up(database, mine, "3")
    await top_up(database, mine, "7", Kind.PAID, price=Decimal(5))
    assert not await ended(database, "2026-01-19T23:59")
    assert await ended(database, "2026-01-25T00:00")
    assert not await ended(database, "2026-01-25T00:00")
    opened = at(MAY)
    assert sorted(await entries(database, "promotions")) == [
        ("wallet.ended", Decimal(-3), end), ("wallet.topped_up", Decimal(2), opened), ("wallet.topped_up", Decimal(3), opened),
    ]  # fmt: skip
    assert await entries(database, "breakage") == [("wallet.ended", Decimal(-7), end)]
    assert await entries(database, "cash:manual") == [("wallet.topped_up", Decimal(5), opened)]
    view = await shown(database, mine, "2026-01-25T00:00")
    assert (view.status, view.balance) == ("expired", 0)
    with pytest.raises(WalletEnded):
        await top_up(database, mine, "1", now="2026-01-25T00:00")
    await healthy(database)


async def test_a_void_gives_back_to_the_same_grants_and_the_next_bill_takes_again(database: Database) -> None:
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "2", expires_at=at("2026-02-02T00:00"))
    await top_up(database, mine, "3", Kind.PAID)
    await use(database, who, "1", "2026-01-11T10:00", "10", "1")
    await bill(database, "2026-02-01T01:00")
    await void(database, await only(database), "2026-02-05T00:00")
    assert moved(await history(database, mine))[2:] == [
        ("draw", "-2.00", "0.00"), ("draw", "-3.00", "0.00"), ("give_back", "2.00", "2.00"), ("give_back", "3.00", "3.00"),
    ]  # fmt: skip
    await healthy(database)
    assert not await ended(database, "2026-02-05T00:00"), "the bill that is made again may use it"
    await bill(database, "2026-02-06T00:00")
    (_, _), (again, _) = await all_invoices(database)
    assert (again.granted, again.wallet_applied) == (2, 3)
    await healthy(database)


async def test_what_a_void_gave_back_after_the_end_and_nobody_takes_ends_then(database: Database) -> None:
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "2", expires_at=at("2026-02-02T00:00"))
    await use(database, who, "1", "2026-01-11T10:00", "10", "1")
    await bill(database, "2026-02-01T01:00")
    await void(database, await only(database), "2026-02-05T00:00")
    other = await wallet(database, who, priority=1)
    await top_up(database, other, "10", now="2026-02-05T00:00")
    await bill(database, "2026-02-06T00:00")
    assert await ended(database, "2026-02-06T00:00")
    last = (await history(database, mine))[-1]
    assert (last.kind, last.amount, last.occurred_at) == ("expiry", -2, at("2026-02-05T00:00"))
    await healthy(database)


async def test_a_hold_keeps_its_part_from_bills_and_from_the_end(database: Database) -> None:
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "3", expires_at=at("2026-02-01T12:00"))
    await top_up(database, mine, "4", Kind.PAID)
    held = await hold(database, mine, "3.5", now="2026-01-31T23:00", expires_at=at("2026-02-03T00:00"))
    with pytest.raises(InsufficientBalance):
        await hold(database, mine, "3.500001", now="2026-01-31T23:00")
    await use(database, who, "1", "2026-01-11T10:00", "10", "1")
    await bill(database, "2026-02-01T01:00")
    invoice = await only(database)
    assert (invoice.granted, invoice.wallet_applied) == (0, Decimal("3.50"))
    assert not await ended(database, "2026-02-02T00:00")
    assert await ended(database, "2026-02-03T00:00")
    assert moved(await history(database, mine))[2:] == [
        ("hold", "0", "3.00"), ("hold", "0", "4.00"), ("draw", "-3.50", "0.50"), ("release", "0", "3.00"), ("release", "0", "0.50"),
        ("expiry", "-3.00", "0.00"),
    ]  # fmt: skip
    async with database.read() as session:
        over = await queries.hold(session, mine, held.id)
    assert over is not None
    assert (over.status, over.ended_at) == ("expired", at("2026-02-03T00:00"))
    await healthy(database)


async def test_a_capture_earns_its_part_and_lets_go_of_the_rest(database: Database) -> None:
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "1")
    await top_up(database, mine, "4", Kind.PAID)
    held = await hold(database, mine, "3")
    done: HoldView = await inside(
        database, mine, MAY,
        lambda session, own: service.capture_hold(session, ACTOR, own, held.id, Decimal("1.234567"), "calls"),
    )  # fmt: skip
    assert (done.status, done.captured) == ("captured", Decimal("1.234567"))
    assert [amount for _, amount, _ in await entries(database, "calls")] == [Decimal("-1.234567")]
    view = await shown(database, mine)
    assert (view.balance, view.held, view.available) == (Decimal("3.765433"), 0, Decimal("3.765433"))
    await use(database, who, "1", "2026-01-11T10:00", "10", "1")
    await bill(database, "2026-02-01T01:00")
    assert (await only(database)).wallet_applied == Decimal("3.76"), "an invoice draws whole coins"
    assert (await shown(database, mine)).balance == Decimal("0.005433")
    await healthy(database)


async def test_termination_forfeits_what_was_granted_and_refuses_while_money_is_left(
    database: Database,
) -> None:
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "3")

    async def end(session: Session, own: WalletView) -> None:
        await service.change(session, ACTOR, own, {"status": "terminated"})

    held = await hold(database, mine, "1")
    with pytest.raises(WalletHoldsMoney):
        await inside(database, mine, MAY, end)
    await inside(database, mine, MAY, lambda session, own: service.release(session, ACTOR, own, held.id))
    await inside(database, mine, MAY, end)
    assert moved(await history(database, mine))[-1] == ("forfeit", "-3.00", "0.00")
    assert (await shown(database, mine)).status == "terminated"
    with pytest.raises(WalletEnded):
        await inside(
            database, mine, MAY, lambda session, own: service.change(session, ACTOR, own, {"name": "More"})
        )
    rich = await wallet(database, who)
    await top_up(database, rich, "3", Kind.PAID)
    with pytest.raises(WalletHoldsMoney):
        await inside(database, rich, MAY, end)
    await healthy(database)


async def test_an_account_closes_without_paid_money_and_loses_what_was_granted(database: Database) -> None:
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "3")
    paid = await wallet(database, who, expires_at=at("2026-01-11T00:00"))
    await top_up(database, paid, "5", Kind.PAID)

    async def close(now: str) -> None:
        async with database.write() as session:
            await closing.close_account(session, ACTOR, who, at(now))

    with pytest.raises(closing.AccountInUse) as refused:
        await close(MAY)
    assert refused.value.details == {"wallets": "paid and not used, or held: 5.00 USD"}
    assert await ended(database, "2026-01-12T00:00")
    await close("2026-01-12T00:00")
    assert moved(await history(database, mine))[-1] == ("forfeit", "-3.00", "0.00")
    await healthy(database)


async def test_racing_holds_and_bills_never_spend_the_same_money(database: Database) -> None:
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "10", Kind.PAID)
    await use(database, who, "1", "2026-01-11T10:00", "6", "1")

    async def try_hold() -> bool:
        try:
            await hold(database, mine, "3", now="2026-02-01T02:00")
        except InsufficientBalance:
            return False
        return True

    async def pay() -> bool:
        run = await bill(database, "2026-02-01T02:00")
        return run.invoices == 1

    got = await asyncio.gather(*(try_hold() for _ in range(6)), pay(), *(try_hold() for _ in range(3)))
    if not await pay():
        assert got[6]
    view = await shown(database, mine, "2026-02-01T02:00")
    holds = sum(got) - got[6]
    invoice = await only(database)
    assert view.held == 3 * holds
    assert view.balance == 10 - invoice.wallet_applied
    assert view.available < 3
    assert view.available >= 0
    await healthy(database)


async def test_two_who_want_the_last_of_a_wallet(database: Database) -> None:
    """The second waits for the first's lock and then finds what that left."""
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "5", Kind.PAID)
    entered, may_leave = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async def work(session: Session, own: WalletView) -> None:
            await service.hold(session, ACTOR, own, service.NewHold(new_uuid(), Decimal(4)))
            entered.set()
            await may_leave.wait()

        await inside(database, mine, MAY, work)

    holding = asyncio.create_task(first())
    await entered.wait()
    second = asyncio.create_task(hold(database, mine, "2"))
    await asyncio.sleep(0.2)
    assert not second.done()
    may_leave.set()
    await holding
    with pytest.raises(InsufficientBalance):
        await second
    await healthy(database)


async def test_a_batch_with_wallets_takes_one_statement_more_and_one_for_all_draws(
    database: Database,
) -> None:
    nos = []
    for number in range(9):
        who = await account(database, opened="2026-01-01")
        await use(database, who, f"use-{number}", "2026-01-05T00:00", "10", "0.5")
        nos.append(who.no)
        if number:
            own = await wallet(database, who)
            await top_up(database, own, "2")
            await top_up(database, own, "1", Kind.PAID)
    to_batch = await seal(database, patience=5)
    touched = []
    for group in (nos[:1], nos[1:3], nos[3:]):
        seen: list[str] = []
        async with database.write() as session:
            session.connection.add_query_logger(lambda record, seen=seen: seen.append(record.query))
            order = Order(at("2026-02-01T01:00"), at("2026-02-01T01:00"), to_batch, ACTOR, new_uuid)
            assert len((await bill_accounts(session, group, order, Shelf())).invoices) == len(group)
        touched.append(sum("wallet_grants" in each for each in seen))
    assert touched == [1, 2, 2]
    await healthy(database)


async def void_event(database: Database, event: str) -> None:
    async with database.write() as session:
        key = event_key("", event)
        stored = (await metering.stored(session, [key]))[key]
        assert await void_usage(session, ACTOR, stored, now=at("2026-02-20"), reason="wrong", request_id="t")


async def test_a_correction_gives_back_what_a_grant_paid(database: Database) -> None:
    """On the next invoice, whose void takes it again while it is there; on a credit note where no invoice can take it."""
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "6")
    await use(database, who, "1", "2026-01-11T10:00", "4", "1")
    await use(database, who, "2", "2026-01-12T10:00", "5", "1")
    await bill(database, "2026-02-01T01:00")
    await use(database, who, "3", "2026-02-12T10:00", "1", "1")
    await void_event(database, "1")
    assert (await bill(database, "2026-03-01T01:00")).invoices == 1
    rows = moved(await history(database, mine))
    assert rows[1:3] == [("draw", "-6.00", "0.00"), ("give_back", "1.00", "1.00")]
    (first, _), (second, _) = await all_invoices(database)
    async with database.read() as session:
        (note,) = (await notes.notes(session, limit=5)).rows
    assert (note.invoice_id, note.total) == (first.id, Decimal("3.00"))
    assert second.granted == 0
    await healthy(database)
    await bill(database, "2026-04-01T01:00")
    await use(database, who, "4", "2026-04-12T10:00", "3", "1")
    await bill(database, "2026-05-01T01:00")
    assert moved(await history(database, mine))[3:] == [("draw", "-1.00", "0.00")]
    await healthy(database)


async def test_a_void_takes_again_what_a_correction_gave_back_while_it_is_there(database: Database) -> None:
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "9")
    await use(database, who, "1", "2026-01-11T10:00", "4", "1")
    await use(database, who, "2", "2026-01-12T10:00", "5", "1")
    await bill(database, "2026-02-01T01:00")
    await use(database, who, "3", "2026-02-12T10:00", "7", "1")
    await void_event(database, "1")
    assert (await bill(database, "2026-03-01T01:00")).invoices == 1
    (_, _), (second, lines) = await all_invoices(database)
    assert [(line.kind, line.granted) for line in lines] == [("recorded", 0), ("correction", -4)]
    assert moved(await history(database, mine))[2:] == [("give_back", "4.00", "4.00")]
    await healthy(database)
    held = await hold(database, mine, "1", now="2026-03-02T00:00")
    with pytest.raises(GivenBackSpent):
        await void(database, second, "2026-03-02T00:00")
    await inside(
        database, mine, "2026-03-02T00:00", lambda session, own: service.release(session, ACTOR, own, held.id)
    )
    await void(database, second, "2026-03-02T00:00")
    assert moved(await history(database, mine))[-1] == ("take_back", "-4.00", "0.00")
    await healthy(database)


async def on_clock(database: Database) -> tuple[Clock, Account]:
    async with database.write() as session:
        clock = await account_rows.insert_clock(session, new_uuid(), 2, "clock", at("2026-01-01"))
        new = NewAccount(id=new_id("acc"), name="Ada", test_clock_id=clock.id, currency="USD")
        return clock, await open_account(session, ACTOR, new, now=at("2026-01-01"))


async def advance(database: Database, clock: Clock, to: str) -> list[datetime]:
    async with database.write() as session:
        await clocks.request_advance(session, ACTOR, clock.id, at(to))
    seen = []
    while (now := await clocks.step(database, clock.id, new_uuid)).status == "advancing":
        seen.append(now.frozen_time)
    assert (now.status, now.frozen_time) == ("ready", at(to)), now
    return seen


async def test_a_clock_ends_grants_and_holds_in_order_with_bills(database: Database) -> None:
    clock, who = await on_clock(database)
    offered = await plan(database, price=Decimal(10), charges=())
    await subscribe(database, who, offered, "2026-01-01")
    mine = await wallet(database, who)
    await top_up(database, mine, "15", expires_at=at("2026-02-15T00:00"))
    await top_up(database, mine, "12", Kind.PAID)
    held = await hold(database, mine, "16", expires_at=at("2026-01-20T00:00"))
    seen = await advance(database, clock, "2026-04-01")
    assert seen == sorted(seen)
    assert {at("2026-01-20T00:00"), at("2026-02-15T00:00")} <= set(seen)
    rows = await history(database, mine)
    told = [(row.kind, f"{row.amount:f}", f"{row.occurred_at:%m-%d}") for row in rows if row.kind != "top_up"]
    assert told == [
        ("hold", "0", "01-01"), ("hold", "0", "01-01"), ("draw", "-10.00", "01-01"), ("release", "0", "01-20"),
        ("release", "0", "01-20"), ("draw", "-10.00", "02-01"), ("expiry", "-5.00", "02-15"), ("draw", "-2.00", "03-01"),
    ]  # fmt: skip
    assert [row.occurred_at for row in rows] == sorted(row.occurred_at for row in rows)
    async with database.read() as session:
        over = await queries.hold(session, mine, held.id)
    assert over is not None
    assert over.status == "expired"
    await healthy(database)


async def test_a_grant_of_a_parked_account_waits_and_the_clock_goes_on(database: Database) -> None:
    clock, who = await on_clock(database)
    await subscribe(database, who, await plan(database, price=Decimal(10), charges=()), "2026-01-15")
    mine = await wallet(database, who)
    await top_up(database, mine, "25", expires_at=at("2026-02-20T00:00"), now=MAY)
    async with database.write() as session:
        await session.execute(
            "INSERT INTO billing_parked (account_no, code, reason) VALUES ($1, 'test', 'set aside')", who.no
        )
    await advance(database, clock, "2026-03-20")
    assert [row.kind for row in await history(database, mine)] == ["top_up"]
    async with database.write() as session:
        await session.execute("DELETE FROM billing_parked")
    await advance(database, clock, "2026-03-21")
    assert moved(await history(database, mine))[1:] == [
        ("draw", "-10.00", "15.00"), ("draw", "-10.00", "5.00"), ("expiry", "-5.00", "0.00"),
    ]  # fmt: skip
    await healthy(database)


PLANTS: dict[str, list[str]] = {
    "wallet_balance_is_what_the_books_say": ["UPDATE ledger_accounts SET balance = balance - 1 WHERE code = 'wallet_paid'"],
    "wallet_grant_is_the_sum_of_its_transactions": ["UPDATE wallet_grants SET remaining = remaining - 1 WHERE kind = 'paid'"],
    "wallet_draws_are_the_sum_of_their_lines": [
        "UPDATE wallet_transactions SET facts = jsonb_set(facts, '{shares,0,1}', '0.07') WHERE kind = 'draw'"
    ],
    "wallet_transactions_follow_one_another": ["UPDATE wallet_transactions SET remaining = remaining + 1 WHERE kind = 'draw'"],
    "wallet_balances_are_not_negative_and_cover_what_is_held": [
        "ALTER TABLE wallet_grants DROP CONSTRAINT ck_wallet_grants_remaining",
        "UPDATE wallet_grants SET remaining = held - 0.01 WHERE held > 0",
    ],
    "wallet_grants_are_of_their_wallet": ["UPDATE wallets SET currency = 'EUR'"],
    "wallet_held_is_what_active_holds_reserve": ["UPDATE wallet_holds SET amount = amount + 1 WHERE status = 'active'"],
    "wallet_held_belongs_to_a_hold": ["DELETE FROM wallet_holds WHERE status = 'active'"],
    "wallet_top_up_is_posted": ["DELETE FROM ledger_postings WHERE kind = 'wallet.topped_up'"],
    "wallet_end_is_posted": ["DELETE FROM ledger_postings WHERE kind = 'wallet.ended'"],
    "wallet_terminated_is_empty_but_for_what_came_back": ["UPDATE wallets SET terminated_at = opened_at"],
}  # fmt: skip


@pytest.fixture
async def used(database: Database) -> Database:
    """A wallet that was topped up, drawn on, held and partly ended."""
    who = await account(database)
    mine = await wallet(database, who)
    await top_up(database, mine, "3", expires_at=at("2026-01-12T00:00"))
    await top_up(database, mine, "9", Kind.PAID)
    await top_up(database, mine, "2")
    await use(database, who, "1", "2026-01-11T10:00", "5", "1")
    assert await ended(database, "2026-01-12T00:00")
    await bill(database, "2026-02-01T01:00")
    await hold(database, mine, "1", now="2026-02-01T01:00")
    return database


def test_every_invariant_has_its_plant() -> None:
    assert set(PLANTS) == set(invariants.INVARIANTS)


@pytest.mark.parametrize("name", sorted(PLANTS))
async def test_a_planted_violation_is_found(name: str, used: Database) -> None:
    await healthy(used)
    async with used.write() as session:
        await session.execute("SET LOCAL session_replication_role = replica")
        for statement in PLANTS[name]:
            assert await session.execute(statement) or statement.startswith("ALTER")
    async with used.read() as session:
        assert await session.fetch(invariants.INVARIANTS[name])


@pytest.mark.parametrize(
    "plant",
    [
        "DELETE FROM wallet_transactions WHERE kind = 'draw'",
        "UPDATE wallet_transactions SET invoice_id = gen_random_uuid() WHERE kind = 'draw'",
        "UPDATE invoice_lines SET reductions = NULL WHERE reductions IS NOT NULL",
        "UPDATE invoices SET status = 'void', voided_at = now(), paid_at = NULL WHERE wallet_applied > 0",
    ],
)
async def test_an_invoice_that_does_not_say_what_wallets_gave_is_found(plant: str, used: Database) -> None:
    async with used.write() as session:
        await session.execute("SET LOCAL session_replication_role = replica")
        assert await session.execute(plant)
    async with used.read() as session:
        assert await session.fetch(invoicing_invariants.INVARIANTS["invoice_wallets_are_what_grants_gave"])


async def test_the_history_is_final(used: Database) -> None:
    for statement in ("UPDATE wallet_transactions SET amount = amount", "DELETE FROM wallet_transactions"):
        with pytest.raises(Exception, match="not changed"):
            async with used.write() as session:
                await session.execute(statement)


async def test_refusals_leave_nothing_behind(database: Database) -> None:
    who = await account(database)
    mine = await wallet(database, who)
    for new in (
        service.TopUp(new_uuid(), Kind.PAID, Decimal("1.001")),
        service.TopUp(new_uuid(), Kind.PAID, Decimal(1), currency="EUR"),
        service.TopUp(new_uuid(), Kind.PAID, Decimal(1), price=Decimal(2)),
        service.TopUp(new_uuid(), Kind.GRANTED, Decimal(1), meters=["nothing"]),
        service.TopUp(new_uuid(), Kind.GRANTED, Decimal(1), plans=["nothing"]),
        service.TopUp(new_uuid(), Kind.GRANTED, Decimal(1), expires_at=at(MAY)),
    ):
        with pytest.raises(Refusal):
            await inside(
                database, mine, MAY, lambda session, own, new=new: service.top_up(session, ACTOR, own, new)
            )
    assert await history(database, mine) == []
    assert replace(await shown(database, mine), as_of=at(MAY)).balance == 0
    await healthy(database)
