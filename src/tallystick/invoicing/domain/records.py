"""Billing records (CONTRACT §4): the small view of an invoice with one line that is written by hand."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from tallystick.invoicing.domain.draft import InvoiceDraft, Line, LineKind, Status
from tallystick.invoicing.domain.states import IllegalTransition
from tallystick.kernel.errors import Invalid
from tallystick.kernel.zones import local_midnight, zone

GL_CODE = "manual"
RULE = "manual/1"


class RecordStatus(StrEnum):
    """What a record may be set to. `pending` and `draft` are two views of a draft invoice."""

    PENDING = "pending"
    DRAFT = "draft"
    PAID = "paid"
    VOID = "void"


OPEN = frozenset({RecordStatus.PENDING, RecordStatus.DRAFT})


def shown_status(status: Status, shown_as: str | None) -> str:
    """The record's status: that of the invoice, but a draft says how it wants to be seen."""
    return (shown_as or RecordStatus.PENDING.value) if status is Status.DRAFT else status.value


def wanted_status(text: str) -> RecordStatus:
    """The status that a caller names. Raises `IllegalTransition` for any other word (CONTRACT §4: "anything else 409")."""
    try:
        return RecordStatus(text)
    except ValueError:
        raise IllegalTransition(
            "A billing record can be pending, draft, paid or void",
            code="billing_record_status",
            details={"status": "must be pending, draft, paid or void"},
        ) from None


def require_change(status: Status, wanted: RecordStatus) -> None:
    """Raises `IllegalTransition` unless a record whose invoice is `status` may be set to `wanted`.

    Open records may become anything; a finalized invoice may be paid or voided; what is paid or void stays so.
    """
    allowed: frozenset[RecordStatus] = {
        Status.DRAFT: frozenset(RecordStatus),
        Status.FINALIZED: frozenset({RecordStatus.PAID, RecordStatus.VOID}),
    }.get(status, frozenset())
    if wanted not in allowed:
        raise IllegalTransition(
            f"A billing record that is {status} cannot become {wanted}",
            details={"status": f"is {status}", "allowed": sorted(allowed)},
        )


def visible_to_customer(status: Status, shown_as: str | None, number: str | None) -> bool:
    """Customers see what was issued, and drafts that are shown to them as pending."""
    return number is not None or (status is Status.DRAFT and shown_as == RecordStatus.PENDING)


def check_dates(billing_date: date, due_date: date | None) -> None:
    """Raises `Invalid` where a record would be due before it is billed."""
    if due_date is not None and due_date < billing_date:
        raise Invalid.field("due_date", "must not be before billing_date")


@dataclass(frozen=True, slots=True)
class NewRecord:
    """What a caller says of a record. `amount` is all that will be owed: nothing is added to it, no tax either."""

    account_no: int
    entity_id: int
    currency: str
    timezone: str
    amount: Decimal
    description: str
    billing_date: date
    due_date: date | None


def line(new: NewRecord, invoice_id: UUID) -> Line:
    """The record's one line. Its service period is the local billing date, a day of the account's zone."""
    tz = zone(new.timezone)
    start = local_midnight(new.billing_date, tz)
    return Line(
        kind=LineKind.MANUAL, description=new.description, quantity=Decimal(1), unit="", amount=new.amount,
        exact=new.amount, exact_cut=False, period_start=start,
        period_end=local_midnight(new.billing_date + timedelta(days=1), tz), slice_start=start,
        price_key=f"manual:{invoice_id}", rule=RULE, gl_code=GL_CODE, timing="immediate", inputs={"amount": new.amount},
    )  # fmt: skip


def draft(new: NewRecord, invoice_id: UUID) -> InvoiceDraft:
    """The invoice that the record is."""
    only = line(new, invoice_id)
    return InvoiceDraft(
        account_no=new.account_no, entity_id=new.entity_id, currency=new.currency, period_start=only.period_start,
        period_end=only.period_end, lines=(only,), tax_totals=(), subtotal=new.amount, tax=Decimal(0), total=new.amount,
        due_date=new.due_date,
    )  # fmt: skip
