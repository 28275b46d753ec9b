"""Commands on taxes. Each works in the caller's transaction and does not commit it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from tallystick.accounts import queries as accounts
from tallystick.accounts.domain import Account, TaxIdRequired
from tallystick.audit import service as audit
from tallystick.entities.domain import TEST_ID
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import NotFound, Stale
from tallystick.platform.db import Session
from tallystick.taxes import queries, repository
from tallystick.taxes.domain import (
    Kind,
    Profile,
    TaxExists,
    Treatment,
    UnknownTax,
    check_kind,
    check_later,
)
from tallystick.taxes.queries import TaxView

CHANGEABLE = ("name", "is_default", "categories", "note")


@dataclass(frozen=True, slots=True)
class NewTax:
    """A tax as asked for. `rate` is in percent; without `categories` it is due on everything."""

    code: str
    name: str
    rate: Decimal
    is_default: bool = False
    kind: str = Kind.STANDARD
    categories: tuple[str, ...] = ()
    note: str = ""


def entities_of(actor: Actor) -> tuple[int, int]:
    """Whose taxes the actor sees: his entity's, and those of the entity that test clocks bill for."""
    return actor.entity_id, TEST_ID


async def make_tax(session: Session, actor: Actor, new: NewTax, *, livemode: bool = True) -> TaxView:
    """Adds a tax to the actor's entity, or to that of test clocks. Raises `TaxExists` (so a repeat adds nothing), `KindHasNoRate`."""
    check_kind(new.kind, new.rate)
    entity_id = actor.entity_id if livemode else TEST_ID
    tax_id = await repository.insert_tax(
        session, entity_id, code=new.code, name=new.name, rate=new.rate, is_default=new.is_default, kind=new.kind,
        categories=new.categories, note=new.note,
    )  # fmt: skip
    if tax_id is None:
        raise TaxExists(details={"code": TaxExists.sentence})
    after = {"code": new.code, "rate": new.rate, "is_default": new.is_default, "kind": new.kind}
    await audit.record(session, actor, "tax.made", "tax", str(tax_id), None, after)
    return await queries.tax(session, [entity_id], tax_id)


async def locked_tax(
    session: Session, actor: Actor, tax_id: int, revisions: Collection[int] | None = None
) -> TaxView:
    """The tax, locked until the transaction ends. Raises `NotFound`, `Stale`."""
    revision = await repository.lock_tax(session, entities_of(actor), tax_id)
    if revision is None:
        raise NotFound
    if revisions is not None and revision not in revisions:
        raise Stale
    return await queries.tax(session, entities_of(actor), tax_id)


async def change_tax(session: Session, actor: Actor, shown: TaxView, changes: Mapping[str, Any]) -> TaxView:
    """Changes name, default, categories or note of a locked tax; drafts made later follow. A repeat changes nothing."""
    before = {name: getattr(shown, name) for name in CHANGEABLE}
    after = {**before, **changes}
    if after == before:
        return shown
    await repository.update_tax(session, shown.id, **after)
    await audit.record(session, actor, "tax.changed", "tax", str(shown.id), before, after)
    return await queries.tax(session, entities_of(actor), shown.id)


async def add_rate(
    session: Session, actor: Actor, shown: TaxView, valid_from: date, rate: Decimal | None
) -> TaxView:
    """Another rate of a locked tax from a date on; None: it is not charged from then. Issued documents keep theirs.

    Raises `RateNotLater` (so a repeat adds nothing), `KindHasNoRate`.
    """
    check_kind(shown.kind, rate)
    check_later((await queries.by_ids(session, [shown.id]))[shown.id], valid_from)
    await repository.insert_rate(session, shown.id, valid_from, rate)
    after = {"valid_from": valid_from, "rate": rate}
    await audit.record(session, actor, "tax.rate_added", "tax", str(shown.id), None, after)
    return await queries.tax(session, entities_of(actor), shown.id)


async def set_account_taxes(
    session: Session, actor: Actor, account: Account, codes: Sequence[str]
) -> Profile:
    """What a locked account pays from now on: these taxes, or with none the defaults of its entity. Raises `UnknownTax`."""
    known = await repository.tax_ids(session, account.entity_id, codes)
    if known.keys() != set(codes):
        raise UnknownTax(details={"codes": UnknownTax.sentence})
    await repository.replace_account_taxes(session, account.no, sorted(known.values()))
    after = {"taxes": sorted(known)}
    await audit.record(session, actor, "account.taxes_changed", "account", account.id, None, after)
    return (await queries.for_accounts(session, [(account.no, account.entity_id)]))[account.no]


async def set_treatment(
    session: Session, actor: Actor, account: Account, treatment: str, note: str
) -> Profile:
    """How a locked account is taxed from now on. Raises `TaxIdRequired`: who owes the tax himself has a tax id. A repeat is safe."""
    if treatment == Treatment.REVERSE_CHARGE:
        addressee = (await accounts.addressees(session, [account.no]))[account.no]
        if "tax_id" not in addressee.bill_to:
            raise TaxIdRequired(details={"treatment": TaxIdRequired.sentence})
    stored = None if treatment == Treatment.TAXABLE else treatment
    await repository.set_treatment(session, account.no, stored, note)
    after = {"treatment": treatment, "note": note}
    await audit.record(session, actor, "account.tax_treatment_changed", "account", account.id, None, after)
    return (await queries.for_accounts(session, [(account.no, account.entity_id)]))[account.no]
