"""Billing records (CONTRACT §4): invoices with one line, written and changed by hand."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick.audit import service as audit
from tallystick.invoicing import queries, repository
from tallystick.invoicing.domain import records
from tallystick.invoicing.domain.draft import Status
from tallystick.invoicing.domain.records import NewRecord, RecordStatus
from tallystick.invoicing.queries import RecordView
from tallystick.invoicing.service import changing
from tallystick.invoicing.service.storing import store
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Conflict
from tallystick.platform.db import Session

CONTENT = frozenset({"amount", "description", "billing_date", "due_date"})
"""What of a record may change while its invoice is a draft."""


class NotARecord(Conflict):
    code = "not_a_billing_record"
    sentence = "This invoice was not written as a billing record; its content follows from what was used"


class RecordIssued(Conflict):
    code = "billing_record_issued"
    sentence = "The record was issued and does not change any more; void it and write another"


async def create_record(
    session: Session,
    actor: Actor,
    new: NewRecord,
    *,
    record_id: UUID,
    now: datetime,
    bill_to: dict[str, Any] | None = None,
) -> None:
    """Writes a record. `paid` finalizes, numbers and posts it at once; `pending` and `draft` leave a draft; `void` a draft voided."""
    status = Status.PAID if new.status is RecordStatus.PAID else Status.DRAFT
    people = {new.account_no: bill_to} if bill_to is not None else None
    await store(
        session, [records.draft(new, record_id)], status=status, now=now, ids=[record_id], actor=actor, bill_to=people
    )  # fmt: skip
    shown_as = RecordStatus.DRAFT if new.status is RecordStatus.DRAFT else RecordStatus.PENDING
    await repository.insert_record(session, record_id, new.billing_date, shown_as)
    if new.status is RecordStatus.VOID:
        await changing.void(session, actor, record_id, now)


async def change_record(
    session: Session,
    actor: Actor,
    record: RecordView,
    changes: Mapping[str, Any],
    *,
    timezone: str,
    now: datetime,
    bill_to: dict[str, Any] | None = None,
    revisions: Collection[int] | None = None,
) -> None:
    """Applies what a PUT named: content of a draft, then the status. Saying what already is changes nothing.

    Raises `RecordIssued`, `NotARecord`, `IllegalTransition`, `Stale`.
    """
    invoice = await changing.locked(session, record.id, revisions)
    current = await queries.record(session, record.id)
    assert current is not None, "records are never deleted"
    shown = records.shown_status(invoice.status, current.shown_as)
    content = {
        name: value for name, value in changes.items() if name in CONTENT and getattr(current, name) != value
    }
    wanted = changes.get("status")
    if wanted is not None and wanted != shown:
        records.require_change(invoice.status, wanted)
    else:
        wanted = None
    if content or wanted in records.OPEN:
        await _rewrite(session, actor, current, content, wanted, timezone)
    if wanted is RecordStatus.VOID:
        await changing.void(session, actor, record.id, now)
    elif wanted is RecordStatus.PAID and invoice.status is Status.DRAFT:
        await changing.finalize(session, actor, record.id, now, pay=True, bill_to=bill_to)
    elif wanted is RecordStatus.PAID:
        await changing.mark_paid(session, actor, record.id, now)


async def _rewrite(
    session: Session,
    actor: Actor,
    current: RecordView,
    content: Mapping[str, Any],
    wanted: RecordStatus | None,
    timezone: str,
) -> None:
    if current.status is not Status.DRAFT:
        raise RecordIssued
    if current.shown_as is None or current.billing_date is None:
        raise NotARecord
    values = {name: getattr(current, name) for name in CONTENT} | dict(content)
    new = NewRecord(
        current.account_no,
        current.entity_id,
        current.currency,
        timezone,
        status=RecordStatus.PENDING,
        **values,
    )
    line = records.line(new, current.id)
    shown_as = wanted if wanted in records.OPEN else current.shown_as
    await repository.rewrite_record(
        session, current.id,
        (line.amount, line.description, line.period_start, line.period_end, new.due_date, new.billing_date, shown_as, line.inputs),
    )  # fmt: skip
    before = {name: getattr(current, name) for name in content}
    await audit.record(session, actor, "invoice.changed", "invoice", str(current.id), before, dict(content))
