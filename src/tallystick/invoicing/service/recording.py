"""Billing records (CONTRACT §4): invoices with one line, written and changed by hand."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tallystick.accounts.domain import Account
from tallystick.audit import service as audit
from tallystick.entities import queries as entities
from tallystick.invoicing import queries, repository
from tallystick.invoicing.domain import records
from tallystick.invoicing.domain.draft import Status
from tallystick.invoicing.domain.records import NewRecord, RecordStatus
from tallystick.invoicing.queries import RecordView
from tallystick.invoicing.service import changing
from tallystick.invoicing.service.storing import store
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Conflict
from tallystick.kernel.money import quantize
from tallystick.kernel.zones import local_date, zone
from tallystick.platform.db import Session

CONTENT = frozenset({"amount", "description", "billing_date", "due_date"})
"""What of a record may change while its invoice is a draft."""


class NotARecord(Conflict):
    code = "not_a_billing_record"
    sentence = "This invoice was not written as a billing record; its content follows from what was used"


class RecordIssued(Conflict):
    code = "billing_record_issued"
    sentence = "The record was issued and does not change any more; void it and write another"


@dataclass(frozen=True, slots=True)
class RecordWish:
    """What a caller says of a new record; None takes the account's currency, its own date, and the entity's net terms."""

    amount: Decimal
    currency: str | None
    description: str
    billing_date: date | None
    due_date: date | None
    status: RecordStatus


async def create_record(
    session: Session, actor: Actor, account: Account, wish: RecordWish, *, record_id: UUID, now: datetime
) -> None:
    """Writes a record of an open account; `now` is its business time.

    `paid` finalizes, numbers and posts it at once; `pending` and `draft` leave a draft; `void` a draft that is voided. Raises `Invalid`
    where the amount has more decimals than its currency, or is due before it is billed. A repeat writes another record.
    """
    currency = wish.currency or account.currency
    day = wish.billing_date or local_date(now, zone(account.timezone))
    due = wish.due_date
    if due is None:
        due = day + timedelta(days=(await entities.get(session, account.entity_id)).net_terms_days)
    records.check_dates(day, due)
    new = NewRecord(
        account.no, account.entity_id, currency, account.timezone, quantize(wish.amount, currency), wish.description, day, due
    )  # fmt: skip
    status = Status.PAID if wish.status is RecordStatus.PAID else Status.DRAFT
    await store(
        session, [records.draft(new, record_id)], status=status, now=now, ids=[record_id], actor=actor
    )
    shown_as = RecordStatus.DRAFT if wish.status is RecordStatus.DRAFT else RecordStatus.PENDING
    await repository.insert_record(session, record_id, day, shown_as)
    if wish.status is RecordStatus.VOID:
        await changing.void(session, actor, record_id, now)


async def change_record(
    session: Session,
    actor: Actor,
    account: Account,
    record_id: UUID,
    changes: Mapping[str, Any],
    *,
    now: datetime,
    revisions: Collection[int] | None = None,
) -> None:
    """Applies what a PUT named: content of a draft, then the status. Saying what already is changes nothing, so a repeat is safe.

    Raises `NotFound`, `Stale`, `RecordIssued`, `NotARecord`, `IllegalTransition`, and `Invalid` as `create_record`.
    """
    invoice = await changing.locked(session, record_id, revisions)
    current = await queries.record(session, record_id)
    assert current is not None, "records are never deleted"
    content = {
        name: value for name, value in changes.items() if name in CONTENT and getattr(current, name) != value
    }
    wanted = changes.get("status")
    if wanted == records.shown_status(invoice.status, current.shown_as):
        wanted = None
    if wanted is not None:
        records.require_change(invoice.status, wanted)
    if content or wanted in records.OPEN:
        await _rewrite(session, actor, account, current, content, wanted)
    if wanted is RecordStatus.VOID:
        await changing.void(session, actor, record_id, now)
    elif wanted is RecordStatus.PAID and invoice.status is Status.DRAFT:
        await changing.finalize(session, actor, record_id, now, pay=True)
    elif wanted is RecordStatus.PAID:
        await changing.mark_paid(session, actor, record_id, now)


async def _rewrite(
    session: Session,
    actor: Actor,
    account: Account,
    current: RecordView,
    content: Mapping[str, Any],
    wanted: RecordStatus | None,
) -> None:
    if current.shown_as is None or current.billing_date is None:
        raise NotARecord
    if current.status is not Status.DRAFT:
        raise RecordIssued
    values = {name: getattr(current, name) for name in CONTENT} | dict(content)
    values["amount"] = quantize(values["amount"], current.currency)
    records.check_dates(values["billing_date"], values["due_date"])
    new = NewRecord(account.no, account.entity_id, current.currency, account.timezone, **values)
    line = records.line(new, current.id)
    shown_as = wanted if wanted in records.OPEN else current.shown_as
    await repository.rewrite_record(
        session, current.id,
        (line.amount, line.description, line.period_start, line.period_end, new.due_date, new.billing_date, shown_as, line.inputs),
    )  # fmt: skip
    before = {name: getattr(current, name) for name in content}
    await audit.record(session, actor, "invoice.changed", "invoice", str(current.id), before, dict(content))
