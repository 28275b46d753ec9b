"""Commands on taxes. Each works in the caller's transaction and does not commit it."""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tallystick.accounts.domain import Account
from tallystick.audit import service as audit
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import NotFound, Stale
from tallystick.platform.db import Session
from tallystick.taxes import queries, repository
from tallystick.taxes.domain import TaxExists, TaxRate, UnknownTax
from tallystick.taxes.queries import TaxView


async def make_tax(
    session: Session, actor: Actor, *, code: str, name: str, rate: Decimal, is_default: bool
) -> TaxView:
    """Adds a tax to the actor's entity; `rate` is in percent. Raises `TaxExists` (so a repeat adds nothing)."""
    tax_id = await repository.insert_tax(
        session, actor.entity_id, code=code, name=name, rate=rate, is_default=is_default
    )
    if tax_id is None:
        raise TaxExists(details={"code": TaxExists.sentence})
    after = {"code": code, "rate": rate, "is_default": is_default}
    await audit.record(session, actor, "tax.made", "tax", str(tax_id), None, after)
    return await queries.tax(session, actor.entity_id, tax_id)


async def locked_tax(
    session: Session, actor: Actor, tax_id: int, revisions: Collection[int] | None = None
) -> TaxView:
    """The tax of the actor's entity, locked until the transaction ends. Raises `NotFound`, `Stale`."""
    revision = await repository.lock_tax(session, actor.entity_id, tax_id)
    if revision is None:
        raise NotFound
    if revisions is not None and revision not in revisions:
        raise Stale
    return await queries.tax(session, actor.entity_id, tax_id)


async def change_tax(session: Session, actor: Actor, shown: TaxView, changes: Mapping[str, Any]) -> TaxView:
    """Changes name or default of a locked tax; drafts made later follow. A repeat changes nothing."""
    name, is_default = changes.get("name", shown.name), changes.get("is_default", shown.is_default)
    if (name, is_default) == (shown.name, shown.is_default):
        return shown
    await repository.update_tax(session, shown.id, name=name, is_default=is_default)
    before = {"name": shown.name, "is_default": shown.is_default}
    after = {"name": name, "is_default": is_default}
    await audit.record(session, actor, "tax.changed", "tax", str(shown.id), before, after)
    return await queries.tax(session, actor.entity_id, shown.id)


async def set_account_taxes(
    session: Session, actor: Actor, account: Account, codes: Sequence[str]
) -> tuple[TaxRate, ...]:
    """What a locked account pays from now on: these taxes, or with none the defaults of its entity. Raises `UnknownTax`."""
    known = await repository.tax_ids(session, account.entity_id, codes)
    if known.keys() != set(codes):
        raise UnknownTax(details={"codes": UnknownTax.sentence})
    await repository.replace_account_taxes(session, account.no, sorted(known.values()))
    after = {"taxes": sorted(known)}
    await audit.record(session, actor, "account.taxes_changed", "account", account.id, None, after)
    return (await queries.for_accounts(session, [(account.no, account.entity_id)]))[account.no]
