"""Storing many invoices at once with a constant number of statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from tallystick.accounts import queries as accounts
from tallystick.accounts.queries import Addressee
from tallystick.audit import service as audit
from tallystick.audit.domain import Change
from tallystick.contracts.events import Event, InvoiceFinalized, InvoicePaid
from tallystick.entities import queries as entities
from tallystick.entities.domain import Entity
from tallystick.invoicing import repository
from tallystick.invoicing.domain import numbering, posting
from tallystick.invoicing.domain.draft import InvoiceDraft, Status
from tallystick.invoicing.domain.drawing import returned
from tallystick.invoicing.repository import Numbering
from tallystick.invoicing.service import couponing
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Conflict
from tallystick.kernel.zones import local_date, zone
from tallystick.ledger import service as ledger
from tallystick.ledger.domain import Posting
from tallystick.platform import outbox
from tallystick.platform.db import Session
from tallystick.wallets import service as wallets
from tallystick.wallets.service import Settlement


class AlreadyBilled(Conflict):
    code = "already_billed"
    sentence = "Part of this was billed before"


@dataclass(frozen=True, slots=True)
class InvoiceRef:
    """What was stored; `number` is None on drafts."""

    id: UUID
    number: str | None
    account_no: int
    total: Decimal
    status: Status


@dataclass(frozen=True, slots=True)
class _Item:
    id: UUID
    draft: InvoiceDraft
    status: Status
    issue_date: date | None
    now: datetime


async def store(
    session: Session,
    drafts: Sequence[InvoiceDraft],
    *,
    status: Status,
    now: datetime,
    ids: Sequence[UUID],
    actor: Actor,
    issue_dates: Sequence[date | None] | None = None,
    request_id: str = "",
    run_id: UUID | None = None,
    bill_to: Mapping[int, dict[str, Any]] | None = None,
    moments: Sequence[datetime] | None = None,
) -> list[InvoiceRef]:
    """Stores drafts, hundreds at once, as `draft`, `finalized` or `paid`, in eight statements or fewer whatever their number.

    A draft without lines is left out; one with lines and total 0 that is to be finalized is paid at once. `now` is business time,
    `moments` that of each draft where they differ (accounts on a test clock); an issue date is the entity's local date of it, or that of `issue_dates`, never before the series' last. Issued
    documents keep name and address as the account has them now, or as `bill_to` (by account number) says. Raises `AlreadyBilled`
    where a slice of a price is on another invoice that is not void: the transaction is then lost, nothing of the batch is stored.
    """
    given = issue_dates or [draft.issue_date for draft in drafts]
    times = moments or [now] * len(drafts)
    items = [
        _Item(invoice_id, draft, _status(draft, status), day, moment)
        for invoice_id, draft, day, moment in zip(ids, drafts, given, times, strict=True)
        if draft.lines
    ]
    if not items:
        return []
    await _copy_lines(session, items)
    numbers: dict[UUID, Numbering] = {}
    people: dict[int, Addressee] = {}
    known = await entities.all(session)
    if status is not Status.DRAFT:
        people = await accounts.addressees(session, {item.draft.account_no for item in items})
        await wallets.settle(session, _settlements(items))
        await couponing.use(session, [(item.id, item.draft.coupon_uses) for item in items])
        await ledger.post(session, [entry for item in items for entry in _postings(item)])
        numbers = await _take_numbers(session, items, known)
    rows = [_row(item, numbers.get(item.id), known, people, bill_to or {}, run_id) for item in items]
    await repository.copy_invoices(session, rows)
    events = [
        event for item in items if item.id in numbers for event in _events(item, numbers[item.id][0], people)
    ]
    await outbox.emit_all(session, events, request_id=request_id or actor.request_id)
    await audit.record_many(session, [_change(actor, item, numbers.get(item.id)) for item in items])
    return [
        InvoiceRef(item.id, numbers[item.id][0] if item.id in numbers else None, item.draft.account_no, item.draft.total, item.status)
        for item in items
    ]  # fmt: skip


def _status(draft: InvoiceDraft, status: Status) -> Status:
    return Status.PAID if status is Status.FINALIZED and draft.amount_due == 0 else status


def _row(
    item: _Item,
    number: Numbering | None,
    known: Mapping[int, Entity],
    people: Mapping[int, Addressee],
    bill_to: Mapping[int, dict[str, Any]],
    run_id: UUID | None,
) -> tuple[Any, ...]:
    draft = item.draft
    person = None if number is None else bill_to.get(draft.account_no) or people[draft.account_no].bill_to
    due = due_date(draft.due_date, number, known[draft.entity_id])
    return repository.invoice_row(item.id, draft, item.status, number, due, person, run_id, item.now)


async def _copy_lines(session: Session, items: Sequence[_Item]) -> None:
    try:
        await repository.copy_lines(session, [item.id for item in items], [item.draft for item in items])
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "uq_invoice_lines_slice":
            raise AlreadyBilled from error
        raise


def _settlements(items: Sequence[_Item]) -> list[Settlement]:
    found = [Settlement(item.id, item.now, item.draft.draws, returned(item.draft.lines)) for item in items]
    return [each for each in found if each.draws or each.returned]


def _postings(item: _Item) -> list[Posting]:
    draft = item.draft
    head = posting.Head(
        item.id, draft.account_no, draft.entity_id, draft.currency, draft.total, draft.granted
    )
    due = draft.amount_due
    found = (
        posting.finalized(head, draft.lines, draft.tax_totals, item.now),
        posting.settled(head, draft.credit_applied, draft.wallet_applied, item.now),
        posting.paid(head, due, item.now) if item.status is Status.PAID and due else None,
    )
    return [each for each in found if each is not None]


async def _take_numbers(
    session: Session, items: Sequence[_Item], known: Mapping[int, Entity]
) -> dict[UUID, Numbering]:
    """Numbers in the order of the drafts, per entity and date; series are locked in order of entity and date."""
    groups: dict[tuple[int, date], list[_Item]] = {}
    for item in items:
        entity = known[item.draft.entity_id]
        day = item.issue_date or local_date(item.now, zone(entity.timezone))
        groups.setdefault((entity.id, day), []).append(item)
    numbers: dict[UUID, Numbering] = {}
    for (entity_id, day), group in sorted(groups.items(), key=lambda each: each[0]):
        taken = await take(session, known[entity_id], day, len(group))
        numbers.update((item.id, each) for item, each in zip(group, taken, strict=True))
    return numbers


async def take(
    session: Session, entity: Entity, day: date, count: int, series: str = numbering.INVOICES
) -> list[Numbering]:
    """`count` numbers of the entity's series, dated `day` or the series' last date if that is later. The last lock of a transaction."""
    first, issued = await repository.take_numbers(session, entity.id, series, day.year, count, day)
    if entity.is_test:  # each test clock has its own present; one that ran ahead does not date the others
        issued = day
    return [
        (numbering.number_text(entity.code, series, day.year, no), series, day.year, no, issued)
        for no in range(first, first + count)
    ]  # fmt: skip


def due_date(wanted: date | None, number: Numbering | None, entity: Entity) -> date | None:
    """When payment is due: as wanted, else the entity's net terms after the issue date; None on a draft that says nothing."""
    if wanted is not None or number is None:
        return wanted
    return number[4] + timedelta(days=entity.net_terms_days)


def _events(item: _Item, number: str, people: Mapping[int, Addressee]) -> list[Event]:
    draft, now, account_id = item.draft, item.now, people[item.draft.account_no].id
    events: list[Event] = [
        InvoiceFinalized(str(item.id), account_id, number, draft.total, draft.currency, now)
    ]
    if item.status is Status.PAID:
        events.append(InvoicePaid(str(item.id), account_id, draft.total, draft.currency, now))
    return events


def _change(actor: Actor, item: _Item, number: Numbering | None) -> Change:
    after = {
        "status": item.status.value, "number": number[0] if number else None, "total": item.draft.total,
        "currency": item.draft.currency,
    }  # fmt: skip
    return Change(
        actor, f"invoice.{'created' if number is None else 'finalized'}", "invoice", str(item.id), None, after
    )
