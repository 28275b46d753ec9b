"""Random lives, month after month: the preview is the run, every line comes out again, every invariant holds, no period is left out."""

import os
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tallystick.accounts import queries as accounts
from tallystick.accounts import repository as account_rows
from tallystick.accounts.domain import Account, NewAccount
from tallystick.accounts.service import open_account
from tallystick.billing.corrections.sweep import arrive
from tallystick.billing.service import explaining, ranges, runs
from tallystick.catalog.domain import ChargeTerms, Terms
from tallystick.catalog.service import make_meter, make_plan
from tallystick.cli.doctor import examine
from tallystick.invoicing import queries as invoices
from tallystick.invoicing import service as invoicing
from tallystick.invoicing.domain.draft import Status
from tallystick.invoicing.domain.notes import NoteLine, NothingLeft, NotPositive, OverInvoice, OverTax
from tallystick.kernel.actor import system_actor
from tallystick.kernel.money import exponent
from tallystick.ledger import queries as books
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.service import ingest
from tallystick.platform.db import Database
from tallystick.platform.edge import new_id, new_uuid
from tallystick.subscriptions import queries as subscription_queries
from tallystick.subscriptions import service as subscriptions
from tallystick.taxes.service import NewTax, make_tax
from tallystick.wallets import queries as wallet_rows
from tallystick.wallets import service as wallets
from tallystick.wallets.domain import InsufficientBalance, Kind, Scope

ACTOR = system_actor("test")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland")
TIERS = [
    {"up_to": "50", "unit_amount": "0.333", "flat_amount": "1.00"},
    {"up_to": None, "unit_amount": "0.1"},
]
MODELS: dict[str, dict[str, Any]] = {
    "flat": {"amount": "4.99"},
    "standard": {"unit_amount": "0.0125"},
    "graduated": {"tiers": TIERS},
    "volume": {"tiers": TIERS},
    "package": {"package_size": "10", "package_amount": "0.75", "free_units": "5"},
}
AGGREGATIONS = ("sum", "count", "max", "latest", "unique")
SEEDS = [int(os.environ["TALLYSTICK_SEED"])] if "TALLYSTICK_SEED" in os.environ else [1, 2, 3]


class Lives:
    """A handful of accounts on random plans, driven by one seed."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.chance = database, random.Random(seed)
        self.accounts: list[Account] = []
        self.events = self.notes = 0
        self.luck, self.wallets = random.Random(seed + 1000), list[UUID]()

    async def begin(self) -> None:
        async with self.database.write() as session:
            for code, rate in (("a", "19"), ("b", "2.5")):
                await make_tax(session, ACTOR, NewTax(code, code, Decimal(rate), True))
            for kind in AGGREGATIONS:
                field = "who" if kind == "unique" else None
                await make_meter(
                    session,
                    ACTOR,
                    code=kind,
                    name=kind,
                    aggregation=kind,
                    field=field,
                    filters={},
                    unit="unit",
                )
        for number in range(6):
            await self.account(number)

    async def account(self, number: int) -> None:
        currency = self.chance.choice(("USD", "USD", "JPY", "KWD"))
        async with self.database.write() as session:
            offered = await make_plan(
                session, ACTOR, code=f"plan-{number}", name=f"Plan {number}", is_public=True, is_active=True,
                terms=self.terms(currency),
            )  # fmt: skip
            new = NewAccount(
                id=new_id("acc"),
                name=f"Account {number}",
                timezone=self.chance.choice(ZONES),
                currency=currency,
            )
            opened = await open_account(session, ACTOR, new, now=BEGIN)
            locked = (await account_rows.lock_many(session, [opened.no]))[opened.no]
            at = BEGIN + timedelta(hours=self.chance.randrange(24 * 40))
            await subscriptions.start(
                session, ACTOR, locked, subscriptions.Start(new_uuid(), offered.id, at, Decimal(self.chance.randint(1, 3))), now=at
            )  # fmt: skip
        self.accounts.append(opened)

    def terms(self, currency: str) -> Terms:
        choose = self.chance.choice
        charges = tuple(
            ChargeTerms(
                f"charge-{n}", f"Charge {n}", kind, model, self.whole(MODELS[model], currency), self.adjustments(currency), "usage"
            )
            for n, kind in enumerate(self.chance.sample(AGGREGATIONS, self.chance.randint(0, 3)))
            for model in [choose(list(MODELS))]
        )  # fmt: skip
        return Terms(
            price=Decimal(choose((0, 30, 101))),
            currency=currency,
            billing_cycle=choose(("weekly", "monthly", "monthly", "quarterly")),
            billing_timing=choose(("advance", "arrears")),
            alignment=choose(("anniversary", "calendar")),
            proration=choose(("days", "seconds", "thirty_360", "none")),
            minimum=choose((None, None, Decimal(40))),
            charges=charges,
        )

    def whole(self, properties: dict[str, Any], currency: str) -> dict[str, Any]:
        """Flat amounts that fit the currency."""
        if currency != "JPY":
            return properties
        tiers = [
            {**tier, "flat_amount": "1"} if "flat_amount" in tier else tier
            for tier in properties.get("tiers", [])
        ]
        return {
            **properties,
            **({"tiers": tiers} if tiers else {}),
            **({"amount": "5"} if "amount" in properties else {}),
        }

    def adjustments(self, currency: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.chance.random() < 0.3:
            found["discount_percent"] = "12.5"
        if self.chance.random() < 0.2:
            found["minimum_amount"] = "3"
        if self.chance.random() < 0.2:
            found["maximum_amount"] = "20"
        return found

    async def use(self, start: datetime, end: datetime) -> None:
        batch = []
        for account in self.accounts:
            for _ in range(self.chance.randrange(12)):
                self.events += 1
                at = start + (end - start) * self.chance.random()
                batch.append(
                    IncomingEvent(
                        id=str(self.events), account_id=account.id, meter=self.chance.choice((*AGGREGATIONS, "service:Database Hosting")),
                        quantity=Decimal(self.chance.randrange(-200, 5000)) / 100, occurred_at=at,
                        unit_price=Decimal("0.07") if self.chance.random() < 0.3 else None,
                        properties={"who": self.chance.choice("abc")},
                    )
                )  # fmt: skip
        verdicts = (
            await ingest(self.database, ACTOR, batch, now=end, request_id="t", backfill=True) if batch else []
        )
        assert all(verdict.status == "accepted" for verdict in verdicts)

    async def give_back(self, now: datetime) -> None:
        """Some invoices are paid, and some of all are credited: whole, by amount, by line."""
        async with self.database.read() as session:
            made = (await invoices.invoices(session, limit=200)).rows
        for each in made:
            async with self.database.write() as session:
                if self.chance.random() < 0.3 and each.status is Status.FINALIZED:
                    await invoicing.mark_paid(session, ACTOR, each.id, now)
                left = each.total - each.amount_noted
                if self.chance.random() > 0.4 or left <= 0 or each.status is Status.VOID:
                    continue
                wish = self.chance.choice(("all", "amount", "line"))
                unit = Decimal(1).scaleb(-exponent(each.currency))
                amount = self.chance.randint(1, int(left / unit)) * unit if wish == "amount" else None
                line = NoteLine(self.chance.randint(1, len(await invoices.lines(session, each.id))))
                with suppress(NothingLeft, NotPositive, OverInvoice, OverTax):
                    await invoicing.issue(
                        session, ACTOR, each.id, [line] if wish == "line" else [], reason=wish, now=now, note_id=new_uuid(),
                        amount=amount,
                    )  # fmt: skip
                    self.notes += 1

    async def save(self, now: datetime) -> None:
        """Most accounts get wallets of all scopes, top-ups that end soon or never, and holds; what has ended, ends."""
        luck = self.luck
        for number, account in enumerate(self.accounts):
            if number and luck.random() < 0.6:
                scope = luck.choice(
                    (Scope(), Scope(), Scope(meters=("sum", "count")), Scope(plans=(f"plan-{number}",)))
                )
                async with self.database.write() as session:
                    new = wallets.NewWallet(new_uuid(), "Purse", priority=luck.randint(1, 3), scope=scope)
                    await wallets.open_wallet(session, ACTOR, account, new, now)
                    purse = await wallets.locked(session, new.id, now)
                    for _ in range(luck.randint(1, 3)):
                        amount = luck.randint(1, 4000) * Decimal(1).scaleb(-exponent(purse.currency))
                        ends = luck.choice((None, now + timedelta(days=luck.randint(1, 50))))
                        kind = luck.choice(list(Kind))
                        await wallets.top_up(
                            session, ACTOR, purse, wallets.TopUp(new_uuid(), kind, amount, expires_at=ends)
                        )
                self.wallets.append(new.id)
        for wallet_id in self.wallets:
            async with self.database.write() as session:
                purse = await wallets.locked(session, wallet_id, now)
                if purse.available > 1 and luck.random() < 0.4:
                    amount = (purse.available / 6).quantize(Decimal("0.000001"))
                    with suppress(InsufficientBalance):  # of a limited wallet nothing is for everything
                        made = await wallets.hold(
                            session, ACTOR, purse, wallets.NewHold(new_uuid(), 2 * amount)
                        )
                        if luck.random() < 0.5:
                            await wallets.capture_hold(session, ACTOR, purse, made.id, amount)
        while await wallets.end_some(self.database, now):
            pass

    async def bill(self, as_of: datetime) -> None:
        """Each account's bills one by one, each first as a preview, then by a run at the instant it is due."""
        await arrive(self.database, patience=5)
        for account in self.accounts:
            while True:
                async with self.database.snapshot() as session:
                    preview = await ranges.preview_next(session, account)
                    known = (await accounts.by_nos(session, [account.no]))[account.no]
                if known.next_billing_at is None or known.next_billing_at > as_of:
                    break
                due = (
                    preview.due_at if preview.drafts and preview.due_at and preview.due_at <= as_of else as_of
                )
                run = await runs.run_now(
                    self.database, ACTOR, run_id=new_uuid(), as_of=due, now=lambda due=due: due, new_id=new_uuid, account=known
                )  # fmt: skip
                assert run.parked == 0, run.parked_accounts
                await self.compare(run.id, preview if due != as_of or run.invoices else None)

    async def compare(self, run_id: Any, preview: ranges.Preview | None) -> None:
        if preview is None:
            return
        async with self.database.snapshot() as session:
            made = (await invoices.invoices(session, limit=50, run_id=run_id)).rows
            lines = {each.id: await invoices.lines(session, each.id) for each in made}
            drawn = {each.id: await wallet_rows.draws(session, each.id) for each in made}
        wanted = sorted(
            _shape(
                draft, draft.lines, [(each.grant.id, index + 1, part) for each in draft.draws for index, part in each.shares]
            )
            for draft in preview.drafts
            if draft.lines
        )  # fmt: skip
        assert (
            sorted(
                _shape(each, lines[each.id], [(row.grant_id, row.line, row.amount) for row in drawn[each.id]]) for each in made
            )
            == wanted
        )  # fmt: skip


def _shape(head: Any, lines: Any, draws: list[tuple[UUID, int, Decimal]]) -> tuple[Any, ...]:
    return (
        head.currency, head.subtotal, head.tax, head.total, head.credit_applied, head.granted, head.wallet_applied, draws,
        tuple((each.price_key, each.period_start, each.period_end, each.quantity, each.exact, each.amount) for each in lines),
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_lives(database: Database, seed: int) -> None:
    """`TALLYSTICK_SEED` runs one seed of your own."""
    lives = Lives(database, seed)
    await lives.begin()
    now = BEGIN
    for days in (10, 31, 25, 40, 33):
        now, before = now + timedelta(days=days, hours=1), now
        await lives.use(before, now)
        await lives.bill(now)
        await lives.give_back(now)
        await lives.save(now)
    async with database.snapshot() as session:
        found = (await invoices.invoices(session, limit=200)).rows
        reports = [await explaining.verify(session, each) for each in found]
        owned = await subscription_queries.by_accounts(session, [each.no for each in lives.accounts])
        balances = await books.trial_balance(session)
    assert found
    assert lives.notes
    assert any(each.credit_applied for each in found)
    assert any(each.granted for each in found)
    assert any(each.wallet_applied for each in found)
    assert [report.problems for report in reports if not report.agrees] == []
    assert [each for each in await examine(database) if each["violations"]] == []
    assert all(each.next_billing_at is not None and each.next_billing_at > now for each in owned)
    assert sum(each.debit for each in balances) == sum(each.credit for each in balances)
