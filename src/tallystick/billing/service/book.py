"""What a batch of accounts is billed by, read in a constant number of statements whatever their number."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account
from tallystick.catalog import queries as catalog
from tallystick.catalog.domain import Charge, Meter, PlanVersion
from tallystick.entities import queries as entities
from tallystick.entities.domain import Entity
from tallystick.invoicing.coupons import queries as coupons
from tallystick.invoicing.domain.coupons import Applied
from tallystick.kernel.period import Schedule, Terms
from tallystick.ledger import queries as ledger
from tallystick.platform.db import ReadSession
from tallystick.rating.domain import Price, compile_price
from tallystick.subscriptions import queries as subscriptions
from tallystick.subscriptions.domain import Subscription, schedule_of, terms_of
from tallystick.taxes import queries as taxes
from tallystick.taxes.domain import Profile
from tallystick.wallets import queries as wallets
from tallystick.wallets.domain import Grant


@dataclass(slots=True)
class Shelf:
    """What never changes once read: plan versions, meters, compiled prices. Kept for a whole run."""

    versions: dict[int, PlanVersion] = field(default_factory=dict)
    meters: dict[int, Meter] = field(default_factory=dict)
    prices: dict[int, Price] = field(default_factory=dict)
    entities: dict[int, Entity] = field(default_factory=dict)
    frozen: dict[int, dict[str, Any]] = field(default_factory=dict)

    def price(self, charge: Charge, currency: str) -> Price:
        """The charge's compiled price, by the rule version it was accepted under."""
        price = self.prices.get(charge.id)
        if price is None:
            price = compile_price(
                charge.charge_model,
                charge.properties,
                charge.adjustments,
                version=charge.rule_version,
                currency=currency,
            )
            self.prices[charge.id] = price
        return price

    def terms(self, charge: Charge) -> dict[str, Any]:
        """What is frozen on each line of the charge: all that its price and its count follow from."""
        terms = self.frozen.get(charge.id)
        if terms is None:
            meter = self.meters[charge.meter_id]
            terms = self.frozen[charge.id] = {
                "charge_model": charge.charge_model, "properties": charge.properties, "adjustments": charge.adjustments,
                "meter": meter.code, "aggregation": meter.aggregation.value, "field": meter.field, "filters": meter.filters,
            }  # fmt: skip
            further = {
                "percentile": meter.percentile, "recurring": meter.recurring, "charge_filters": charge.filters, "group_by": charge.group_by,
            }  # fmt: skip
            terms.update({name: value for name, value in further.items() if value})
        return terms


@dataclass(frozen=True, slots=True)
class Book:
    """A batch of accounts and all that decides their bills. `subscriptions` are those of which something is still to be billed.

    `owed` is the books' balance of customer credit, by account, entity and currency.
    """

    shelf: Shelf
    accounts: dict[int, Account]
    subscriptions: dict[int, list[Subscription]]
    all_subscriptions: dict[int, list[Subscription]]
    taxes: dict[int, Profile]
    owed: dict[tuple[int, int, str], Decimal]
    grants: dict[int, tuple[Grant, ...]] = field(default_factory=dict)
    coupons: dict[int, list[Applied]] = field(default_factory=dict)

    def credit(self, account: Account, currency: str) -> Decimal:
        """The customer credit there is for the account's invoices in this currency."""
        return -self.owed.get((account.no, account.entity_id, currency), Decimal(0))

    def terms(self, subscription: Subscription) -> Terms:
        """When the subscription's bills fall due."""
        version = self.shelf.versions[subscription.plan_version_id]
        return terms_of(version, self.shelf.entities[subscription.entity_id])

    def schedule(self, subscription: Subscription) -> Schedule:
        """The subscription's boundaries, in its account's zones."""
        version = self.shelf.versions[subscription.plan_version_id]
        return schedule_of(subscription, version)

    def includes_tax(self, subscription: Subscription) -> bool:
        """Whether the plan's prices hold the tax: its own setting, else the entity's."""
        own = self.shelf.versions[subscription.plan_version_id].settings.get("prices_include_tax")
        return self.shelf.entities[subscription.entity_id].prices_include_tax if own is None else bool(own)

    def usage_delay(self, account: Account) -> timedelta:
        """How long after its end a month of recorded usage is billed."""
        return timedelta(seconds=self.shelf.entities[account.entity_id].usage_close_delay_seconds)


async def read_book(session: ReadSession, account_nos: Sequence[int], shelf: Shelf) -> Book:
    """A constant number of statements, fewer once the shelf is filled."""
    if not shelf.entities:
        shelf.entities.update(await entities.all(session))
    known = await accounts.by_nos(session, account_nos)
    running: dict[int, list[Subscription]] = defaultdict(list)
    every: dict[int, list[Subscription]] = defaultdict(list)
    rows = await subscriptions.by_accounts(session, account_nos)
    for row in rows:
        every[row.account_no].append(row)
        if row.next_billing_at is not None:
            running[row.account_no].append(row)
    await stock(session, shelf, {row.plan_version_id for row in rows})
    rates = await taxes.for_accounts(session, [(each.no, each.entity_id) for each in known.values()])
    owed = await ledger.customer_balances(session, account_nos, "customer_credit")
    return Book(
        shelf,
        known,
        running,
        every,
        rates,
        owed,
        await wallets.free(session, account_nos),
        await coupons.effective(session, account_nos),
    )


async def stock(session: ReadSession, shelf: Shelf, version_ids: set[int]) -> None:
    """Reads what the shelf lacks."""
    missing = version_ids - shelf.versions.keys()
    if missing:
        shelf.versions.update(await catalog.plan_versions(session, sorted(missing)))
    meters = {charge.meter_id for version in version_ids for charge in shelf.versions[version].charges}
    await stock_meters(session, shelf, meters)


async def stock_meters(session: ReadSession, shelf: Shelf, meter_ids: set[int]) -> None:
    """Reads the meters that the shelf lacks."""
    missing = meter_ids - shelf.meters.keys()
    if missing:
        shelf.meters.update(await catalog.meters(session, sorted(missing)))
