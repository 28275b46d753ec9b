"""A random life on a test clock: everything that bills is made of, drawn from one seed.

Plans of every charge model on every kind of meter, filtered and grouped, with trials, in advance and in arrears, on every alignment and
proration; usage in time, late and voided; coupons, wallets, credit notes, customer credit; several taxes with dated rates, inclusive
and exempt, both roundings. `World.live` moves the clock from one due instant to the next.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.accounts import queries as accounts
from tallystick.accounts import repository as account_rows
from tallystick.accounts.domain import Account, Clock, NewAccount
from tallystick.accounts.service import make_clock, open_account
from tallystick.billing.corrections.sweep import arrive
from tallystick.billing.service import clocks
from tallystick.catalog import queries as catalog
from tallystick.catalog.domain import ChargeTerms, Settings, Terms
from tallystick.catalog.service import make_meter, make_plan
from tallystick.entities import service as entities
from tallystick.entities.domain import TEST_ID
from tallystick.invoicing import queries as invoices
from tallystick.invoicing import service as invoicing
from tallystick.invoicing.domain import coupons
from tallystick.invoicing.domain.draft import Status
from tallystick.invoicing.domain.notes import NoteLine, NothingLeft, NotPositive, OverInvoice, OverTax
from tallystick.invoicing.service import couponing
from tallystick.kernel.actor import system_actor
from tallystick.kernel.errors import Refusal
from tallystick.kernel.money import exponent
from tallystick.metering import queries as metering
from tallystick.metering.domain.digest import event_key
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.service import ingest, void
from tallystick.platform.db import Database
from tallystick.platform.edge import new_id, new_uuid
from tallystick.subscriptions import queries as subscription_rows
from tallystick.subscriptions import service as subscriptions
from tallystick.taxes import service as taxes
from tallystick.wallets import service as wallets
from tallystick.wallets.domain import InsufficientBalance, Kind, Scope

ACTOR = system_actor("test")
BEGIN = datetime(2026, 1, 28, 9, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland")
CURRENCIES = ("USD", "USD", "EUR", "JPY", "KWD")
METERS: dict[str, dict[str, Any]] = {
    **{kind: {} for kind in ("sum", "count", "max", "min", "average", "latest", "weighted_sum")},
    "unique": {"field": "who"},
    "percentile": {"percentile": 90},
    "sum-size": {"aggregation": "sum", "field": "size"},
    "sum-eu": {"aggregation": "sum", "filters": {"region": ("eu",)}},
    **{f"held-{kind}": {"aggregation": kind, "recurring": True} for kind in ("count", "sum", "weighted_sum")},
    "held-unique": {"aggregation": "unique", "field": "who", "recurring": True},
}
SERVICE = "service:Database Hosting"
TIERS = [{"up_to": "20", "unit_amount": "0.333", "flat_amount": "1"}, {"up_to": None, "unit_amount": "0.1"}]
RATES = [{"up_to": "30", "rate": "0.1", "flat_amount": "2"}, {"up_to": None, "rate": "0.055"}]
STEPS = [
    {"up_to": "5", "flat_amount": "3"},
    {"up_to": "60", "flat_amount": "7"},
    {"up_to": None, "flat_amount": "11"},
]
ROWS = [{"values": ["eu", "a"], "unit_amount": "0.5"}, {"values": ["eu", None], "unit_amount": "0.07"}]
MODELS: dict[str, list[dict[str, Any]]] = {
    "flat": [{"amount": "4"}],
    "standard": [{"unit_amount": "0.0125"}, {"unit_amount": "0.333333333333"}],
    "graduated": [{"tiers": TIERS}, {"tiers": TIERS, "first_tier_flat_at_zero": False}],
    "volume": [{"tiers": TIERS}],
    "package": [{"package_size": "7", "package_amount": "2", "free_units": "5"}],
    "stairstep": [{"tiers": STEPS}, {"tiers": STEPS, "first_tier_flat_at_zero": False}],
    "graduated_percentage": [{"tiers": RATES}],
    "matrix": [{"dimensions": ["region", "who"], "rows": ROWS, "default": {"unit_amount": "0.01"}}],
    "percentage": [
        {"rate": "0.029"},
        {"rate": "0.029", "fixed_amount": "0.3", "free_events": 2},
        {"rate": "0.05", "free_total": "30", "min_per_event": "0.1", "max_per_event": "1.5", "fixed_amount": "0.02"},
    ],
    "dynamic": [{}],
}  # fmt: skip
ADDING = ("sum", "count", "sum-size", "sum-eu")
"""Meters that prices of single events can use; a dynamic price only those that add up."""
_REFUSED = (NothingLeft, NotPositive, OverInvoice, OverTax)


class World:
    """One clock and what lives on it."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.luck = database, random.Random(seed)
        self.clock = new_uuid()
        self.now = BEGIN
        self.accounts: list[Account] = []
        self.plans: list[tuple[int, str]] = []
        self.metered: dict[int, list[str]] = {}  # the meters that a plan charges
        self.owned: dict[str, list[int]] = {}  # the plans of an account
        self.wallets: list[UUID] = []
        self.events = 0
        self.seen: set[str] = set()  # which kinds of things happened
        self.used_to: dict[int, datetime] = {}

    async def begin(self, people: int = 4) -> None:
        luck = self.luck
        async with self.database.write() as session:
            await make_clock(session, ACTOR, clock_id=self.clock, name="clock", frozen_time=BEGIN)
            for code, asked in METERS.items():
                given = {"aggregation": code, "field": None, "filters": {}} | asked
                await make_meter(session, ACTOR, code=code, name=code, unit="unit", **given)
            new = taxes.NewTax
            dated = await taxes.make_tax(session, ACTOR, new("vat", "VAT", Decimal(19), True), livemode=False)
            await taxes.add_rate(session, ACTOR, dated, (BEGIN + timedelta(days=45)).date(), Decimal("20.5"))
            city = new(
                "city", "City tax", Decimal("2.5"), luck.random() < 0.6, categories=("standard", "books")
            )
            await taxes.make_tax(session, ACTOR, city, livemode=False)
            await taxes.make_tax(session, ACTOR, new("zero", "Zero", Decimal(0), kind="zero"), livemode=False)
            await taxes.make_tax(session, ACTOR, new("low", "Low", Decimal("7")), livemode=False)
        await self.settings()
        for number in range(6):
            await self.offer(number)
        for number in range(6):
            await self.coupon(number)
        for number in range(people):
            await self.join(number)
            await self.redeem()
            await self.save()

    # What is set up ---------------------------------------------------------------------------------------------------------------

    async def settings(self) -> None:
        choose = self.luck.choice
        changes = {
            "rounding": choose(("half_away", "half_away", "half_even", "up", "down")), "tax_rounding": choose(("rate", "line")),
            "tax_point": choose(("period_end", "issue_date")), "prices_include_tax": self.luck.random() < 0.3,
        }  # fmt: skip
        async with self.database.write() as session:
            await entities.change(session, ACTOR, await entities.locked(session, TEST_ID), changes)

    async def offer(self, number: int) -> None:
        choose, luck = self.luck.choice, self.luck
        calendar = luck.random() < 0.5
        cycle = choose(("weekly", "monthly", "monthly", "quarterly"))
        currency = choose(CURRENCIES)
        charges = tuple(self.charge(n, currency) for n in range(luck.choice((1, 2, 3, 4, 5))))
        terms = Terms(
            price=Decimal(choose((0, 30, 101))), currency=currency, billing_cycle=cycle, billing_timing=choose(("advance", "arrears")),
            alignment="calendar" if calendar else "anniversary", trial_period_days=choose((0, 0, 7, 14)),
            proration=choose(("days", "seconds", "thirty_360", "none")), minimum=choose((None, None, Decimal(40))),
            settings=Settings(
                billing_day=choose((None, 5, 31)) if calendar and cycle != "weekly" else None, bill_last_day=luck.random() < 0.5,
                prorate_limits=luck.random() < 0.5, prices_include_tax=choose((None, None, True, False)),
            ),
            tax_category=choose(("standard", "standard", "books", "other")), charges=charges,
        )  # fmt: skip
        async with self.database.write() as session:
            made = await make_plan(
                session, ACTOR, code=f"plan-{number}", name=f"Plan {number}", is_public=True, is_active=True, terms=terms
            )  # fmt: skip
        self.plans.append((made.id, currency))
        self.metered[made.id] = [each.meter for each in charges]

    def charge(self, number: int, currency: str) -> ChargeTerms:
        luck = self.luck
        model = luck.choice(list(MODELS))
        properties = luck.choice(MODELS[model])
        meter = luck.choice(list(METERS))
        if model == "dynamic":
            meter = luck.choice([each for each in ADDING if each != "count"])
        elif model == "percentage" and len(properties) > 1:
            meter = luck.choice(ADDING)
        adjustments: dict[str, Any] = {}
        if luck.random() < 0.3:
            adjustments["discount_percent"] = "12.5"
        if luck.random() < 0.2:
            adjustments["minimum_amount"] = "3"
        if luck.random() < 0.2:
            adjustments["maximum_amount"] = "20"
        if luck.random() < 0.2:
            adjustments["rounding"] = luck.choice(("half_even", "up", "down"))
        if luck.random() < 0.2 and model not in ("percentage", "matrix", "dynamic"):
            adjustments["usage_discount_units"] = "3.5"
        if luck.random() < 0.15 and model not in ("percentage", "matrix", "dynamic"):
            adjustments["unit_conversion"] = {"divide": "3", "round_up": True}
        filters = {"region": luck.choice((["eu"], ["us", "eu"]))} if luck.random() < 0.25 else {}
        groups = luck.choice((("region",), ("region", "who"))) if luck.random() < 0.3 else ()
        return ChargeTerms(
            f"c{number}", f"Charge {number}", meter, model, properties, adjustments, "usage", filters, groups
        )

    async def coupon(self, number: int) -> None:
        luck = self.luck
        fixed = luck.random() < 0.5
        scope = luck.choice(
            (Scope(), Scope(), Scope(meters=("sum", "count", "max")), Scope(plans=("plan-1",)))
        )
        duration, periods = luck.choice((("once", None), ("repeating", 2), ("forever", None)))
        terms = coupons.Terms(
            coupons.Kind.FIXED if fixed else coupons.Kind.PERCENT, Decimal(luck.choice((3, 17)) if fixed else luck.choice((10, 33, 100))),
            luck.choice(CURRENCIES) if fixed else None, coupons.Duration(duration), periods, scope,
        )  # fmt: skip
        async with self.database.write() as session:
            made = couponing.NewCoupon(
                f"C{number}", f"Coupon {number}", terms, max_redemptions=luck.choice((None, 2))
            )
            await couponing.make_coupon(session, ACTOR, made, livemode=False)

    async def join(self, number: int) -> None:
        luck = self.luck
        new = NewAccount(
            id=new_id("acc"), name=f"Account {number}", timezone=luck.choice(ZONES), currency=luck.choice(CURRENCIES),
            test_clock_id=self.clock,
        )  # fmt: skip
        async with self.database.write() as session:
            opened = await open_account(session, ACTOR, new, now=self.now)
            if luck.random() < 0.5:
                codes = luck.sample(("vat", "city", "low", "zero"), luck.randint(1, 3))
                await taxes.set_account_taxes(session, ACTOR, opened, codes)
            if luck.random() < 0.15:
                await taxes.set_treatment(session, ACTOR, opened, "exempt", "a charity")
        self.accounts.append(opened)
        self.used_to[opened.no] = self.now
        for _ in range(luck.choice((1, 1, 2))):
            await self.subscribe(opened)

    async def subscribe(self, account: Account) -> None:
        plan_id, currency = self.luck.choice(self.plans)
        at = self.now + timedelta(hours=self.luck.choice((0, 0, 5, 49, 24 * 20)))
        async with self.database.write() as session:
            locked = (await account_rows.lock_many(session, [account.no]))[account.no]
            start = subscriptions.Start(new_uuid(), plan_id, at, Decimal(self.luck.randint(1, 3)))
            await subscriptions.start(session, ACTOR, locked, start, now=self.now)
        self.owned.setdefault(account.id, []).append(plan_id)
        if currency != account.currency:
            self.seen.add("several currencies")

    # What happens -----------------------------------------------------------------------------------------------------------------

    async def advance(self, to: datetime) -> Clock:
        """Moves the clock, which bills what falls due on the way."""
        async with self.database.write() as session:
            await clocks.request_advance(session, ACTOR, self.clock, to)
        arrived = await clocks.walk(self.database, self.clock, new_uuid)
        assert (arrived.status, arrived.error) == ("ready", None)
        self.now = arrived.frozen_time
        return arrived

    async def happen(self) -> None:
        """Usage of the time that passed, and perhaps a few other things."""
        await self.use()
        doings: list[tuple[float, Callable[[], Any]]] = [
            (0.25, self.void), (0.3, self.save), (0.4, self.redeem), (0.3, self.give_back), (0.05, self.settings),
            (0.05, self.end_one), (0.04, self.one_more),
        ]  # fmt: skip
        for chance, do in doings:
            if self.luck.random() < chance:
                await do()

    async def use(self) -> None:
        batch, luck = [], self.luck
        for account in self.accounts:
            since = self.used_to[account.no]
            for _ in range(luck.randrange(8)):
                at = since + (self.now - since) * luck.random()
                if luck.random() < 0.15:
                    at = max(
                        BEGIN - timedelta(days=20), self.now - timedelta(hours=luck.randrange(1, 24 * 60))
                    )
                    self.seen.add("late")
                batch.append(self.event(account, at))
            self.used_to[account.no] = self.now
        if batch:
            verdicts = await ingest(self.database, ACTOR, batch, now=self.now, request_id="t", backfill=True)
            assert {verdict.status for verdict in verdicts} == {"accepted"}

    def event(self, account: Account, at: datetime) -> IncomingEvent:
        luck = self.luck
        self.events += 1
        properties: dict[str, Any] = {"who": luck.choice("abc"), "size": luck.choice((1, Decimal("2.5"), 40))}
        if luck.random() < 0.8:
            properties["region"] = luck.choice(("eu", "us"))
        if luck.random() < 0.2:
            properties["operation_type"] = "remove"
        meters = [meter for plan in self.owned[account.id] for meter in self.metered[plan]]
        meter = luck.choice(meters) if luck.random() < 0.7 else luck.choice((*METERS, SERVICE))
        return IncomingEvent(
            id=str(self.events), account_id=account.id, meter=meter, quantity=Decimal(luck.randrange(-200, 6000)) / 100, occurred_at=at,
            unit_price=Decimal(luck.choice(("0.07", "0.1"))) if luck.random() < 0.3 else None, properties=properties,
        )  # fmt: skip

    async def void(self) -> None:
        for _ in range(self.luck.randint(1, 4)):
            key = event_key("", str(self.luck.randint(1, self.events)))
            async with self.database.write() as session:
                stored = (await metering.stored(session, [key]))[key]
                await void(session, ACTOR, stored, now=self.now, reason="", request_id="t")
        self.seen.add("voided")

    async def save(self) -> None:
        luck, account = self.luck, self.luck.choice(self.accounts)
        scope = luck.choice(
            (Scope(), Scope(), Scope(meters=("sum", "count", "max")), Scope(plans=("plan-0", "plan-2")))
        )
        async with self.database.write() as session:
            new = wallets.NewWallet(new_uuid(), "Purse", priority=luck.randint(1, 3), scope=scope)
            await wallets.open_wallet(session, ACTOR, account, new, self.now)
            purse = await wallets.locked(session, new.id, self.now)
            unit = Decimal(1).scaleb(-exponent(purse.currency))
            for _ in range(luck.randint(1, 3)):
                ends = luck.choice((None, self.now + timedelta(hours=luck.randint(1, 24 * 40))))
                asked = wallets.TopUp(
                    new_uuid(), luck.choice(list(Kind)), luck.randint(1, 4000) * unit, expires_at=ends
                )
                await wallets.top_up(session, ACTOR, purse, asked)
            if luck.random() < 0.4:
                with suppress(InsufficientBalance):
                    held = wallets.NewHold(new_uuid(), unit * 2, expires_at=self.now + timedelta(days=9))
                    made = await wallets.hold(
                        session, ACTOR, await wallets.locked(session, new.id, self.now), held
                    )
                    if luck.random() < 0.5:
                        again = await wallets.locked(session, new.id, self.now)
                        await wallets.capture_hold(session, ACTOR, again, made.id, unit / 2)
        self.wallets.append(new.id)

    async def redeem(self) -> None:
        account, code = self.luck.choice(self.accounts), f"C{self.luck.randrange(6)}"
        with suppress(Refusal):  # had already, or exhausted, or of another currency
            async with self.database.write() as session:
                locked = (await account_rows.lock_many(session, [account.no]))[account.no]
                await couponing.redeem(session, ACTOR, locked, code, applied_id=new_uuid(), now=self.now)

    async def give_back(self) -> None:
        """One invoice is paid or credited: whole, by amount, by line."""
        async with self.database.read() as session:
            made = (await invoices.invoices(session, limit=12)).rows
        if not made:
            return
        each = self.luck.choice(made)
        async with self.database.write() as session:
            if self.luck.random() < 0.4 and each.status is Status.FINALIZED:
                await invoicing.mark_paid(session, ACTOR, each.id, self.now)
            left = each.total - each.amount_noted
            wish = self.luck.choice(("all", "amount", "line", "line"))
            unit = Decimal(1).scaleb(-exponent(each.currency))
            amount = self.luck.randint(1, max(int(left / unit), 1)) * unit if wish == "amount" else None
            line = NoteLine(self.luck.randint(1, len(await invoices.lines(session, each.id))))
            with suppress(*_REFUSED):
                async with session.savepoint():
                    await invoicing.issue(
                        session, ACTOR, each.id, [line] if wish == "line" else [], reason=wish, now=self.now, note_id=new_uuid(),
                        amount=amount,
                    )  # fmt: skip
                self.seen.add("noted by hand")

    async def end_one(self) -> None:
        account = self.luck.choice(self.accounts)
        async with self.database.write() as session:
            owned = await subscription_rows.by_accounts(session, [account.no])
            running = [each for each in owned if each.ended_at is None]
            if not running:
                return
            chosen = self.luck.choice(running)
            subscription, locked = await subscriptions.locked(session, ACTOR, chosen.id)
            plan = await self.plan_of(session, subscription.plan_version_id)
            at = max(self.now, subscription.started_at) + timedelta(hours=self.luck.choice((0, 30, 24 * 15)))
            with suppress(Refusal):
                async with session.savepoint():
                    await subscriptions.end(session, ACTOR, subscription, locked, plan, at=at, now=self.now)
                self.seen.add("ended")

    async def plan_of(self, session: Any, version_id: int) -> Any:
        return (await catalog.plan_versions(session, [version_id]))[version_id]

    async def one_more(self) -> None:
        await self.subscribe(self.luck.choice(self.accounts))

    async def next_due(self) -> datetime | None:
        async with self.database.read() as session:
            known = await accounts.by_nos(session, [each.no for each in self.accounts])
        return min((each.next_billing_at for each in known.values() if each.next_billing_at), default=None)

    async def live(self, instants: int, due: Callable[[datetime], Any]) -> None:
        """From one due instant to the next: things happen on the way, then `due` is asked to move the clock there."""
        for _ in range(instants):
            coming = await self.next_due()
            if coming is None:
                return
            between = self.now + (coming - self.now) * self.luck.choice((0.1, 0.5, 0.9, 0.999))
            if between > self.now and coming > self.now:
                await self.advance(between)
                await self.happen()
                coming = await self.next_due() or coming
            await arrive(self.database, patience=5)
            await due(max(coming, self.now + timedelta(microseconds=1)))
