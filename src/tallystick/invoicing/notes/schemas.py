"""Bodies and answers of credit notes and customer credit."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from tallystick.accounts import queries as accounts
from tallystick.invoicing.domain.draft import TaxShare, TaxTotal
from tallystick.invoicing.domain.notes import MAX_LINES, Asked, NoteDraft, NoteLine
from tallystick.invoicing.notes import queries
from tallystick.invoicing.notes.queries import NoteLineView, NoteView
from tallystick.invoicing.schemas import Out, TaxOut, TaxTotalOut
from tallystick.ledger.queries import EntryView
from tallystick.platform.db import ReadSession
from tallystick.platform.http.fields import Amount, Body, Currency, DecimalOut, SignedAmount, clean_text

Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    BeforeValidator(lambda value: clean_text(value) if isinstance(value, str) else value),
]


class NoteLineIn(Body):
    """A line to credit. `amount` is in the line's own terms and sign: before tax, or with it where its price holds it."""

    line: int = Field(ge=1, le=2**31 - 1, description="The line's position on the invoice")
    amount: SignedAmount | None = Field(None, description="Default: all that is left of the line")


class NoteIn(Body):
    """What of an invoice to credit: `lines`, or `amount` of its total with tax, or with neither all that is left of it."""

    reason: Reason
    amount: Amount | None = Field(
        None, description="Of the total, taxes included; spread over what is left of the lines"
    )
    lines: list[NoteLineIn] | None = Field(None, min_length=1, max_length=MAX_LINES)
    currency: Currency | None = Field(None, description="Where sent, it must be the invoice's")

    @model_validator(mode="after")
    def _says_one_thing(self) -> "NoteIn":
        if self.amount is not None and self.lines is not None:
            raise ValueError("send amount or lines, not both")
        return self

    @property
    def asked(self) -> Asked:
        """The wish as the domain has it."""
        return Asked(tuple(NoteLine(each.line, each.amount) for each in self.lines or ()), self.amount)


class NoteLineOut(Out):
    """What a note takes back of one line of its invoice."""

    position: int
    invoice_line: int
    description: str
    amount: DecimalOut
    taxes: list[TaxOut]
    gl_code: str
    timing: str
    period_start: datetime
    period_end: datetime


class NoteSummaryOut(Out):
    """A credit note in a list. subtotal − included_tax + tax = total = amount_offset + amount_credited."""

    id: UUID
    number: str
    account_id: str
    invoice_id: UUID
    invoice_number: str
    currency: str
    issue_date: date
    reason: str
    subtotal: DecimalOut
    included_tax: DecimalOut
    tax: DecimalOut
    total: DecimalOut
    amount_offset: DecimalOut = Field(description="Lowered what was owed on the invoice")
    amount_credited: DecimalOut = Field(description="Became customer credit")
    taxes: list[TaxTotalOut]
    bill_to: dict[str, Any]
    issued_at: datetime
    created_at: datetime


class NoteOut(NoteSummaryOut):
    """A credit note with its lines."""

    lines: list[NoteLineOut]


class NotePreviewOut(Out):
    """A note as it would be issued now."""

    invoice_id: UUID
    currency: str
    subtotal: DecimalOut
    included_tax: DecimalOut
    tax: DecimalOut
    total: DecimalOut
    amount_offset: DecimalOut
    amount_credited: DecimalOut
    taxes: list[TaxTotalOut]
    lines: list[NoteLineOut]


class CreditBalanceOut(Out):
    """Customer credit in one currency, used by the next invoices."""

    currency: str
    amount: DecimalOut


class CreditMoveOut(Out):
    """One entry of the books: above zero credit was given, below it was used. `balance` is what stood there after it."""

    occurred_at: datetime
    kind: str = Field(examples=["credit_note.issued", "invoice.settled", "invoice.unsettled"])
    source_type: str = Field(examples=["credit_note", "invoice"])
    source_id: str
    currency: str
    amount: DecimalOut
    balance: DecimalOut


class CreditOut(Out):
    """An account's customer credit, per currency."""

    account_id: str
    balances: list[CreditBalanceOut]


def _line(line: NoteLineView) -> dict[str, Any]:
    return {
        "position": line.position, "invoice_line": line.invoice_position, "description": line.description, "amount": line.amount,
        "taxes": taxes_out(line.taxes), "gl_code": line.gl_code, "timing": line.timing, "period_start": line.period_start,
        "period_end": line.period_end,
    }  # fmt: skip


def taxes_out(taxes: Sequence[TaxShare] | Sequence[TaxTotal]) -> list[dict[str, Any]]:
    """Taxes as `TaxOut`, those of a document as `TaxTotalOut` describes them."""
    return [asdict(tax) for tax in taxes]


def _summary(note: NoteView, account_id: str) -> dict[str, Any]:
    return {
        "id": note.id, "number": note.number, "account_id": account_id, "invoice_id": note.invoice_id,
        "invoice_number": note.invoice_number, "currency": note.currency, "issue_date": note.issue_date, "reason": note.reason,
        "subtotal": note.subtotal, "included_tax": note.included_tax, "tax": note.tax, "total": note.total,
        "amount_offset": note.amount_offset, "amount_credited": note.amount_credited, "taxes": taxes_out(note.taxes),
        "bill_to": note.bill_to, "issued_at": note.issued_at, "created_at": note.created_at,
    }  # fmt: skip


async def note_out(session: ReadSession, note: NoteView) -> dict[str, Any]:
    """A note with its lines, as `NoteOut` describes it."""
    owner = (await accounts.by_nos(session, [note.account_no]))[note.account_no]
    lines = (await queries.lines(session, [note.id]))[note.id]
    return {**_summary(note, owner.id), "lines": [_line(line) for line in lines]}


async def notes_out(session: ReadSession, notes: Sequence[NoteView]) -> list[dict[str, Any]]:
    """Notes of a list, as `NoteSummaryOut` describes them."""
    owners = await accounts.by_nos(session, {note.account_no for note in notes}) if notes else {}
    return [_summary(note, owners[note.account_no].id) for note in notes]


def preview_out(invoice_id: UUID, currency: str, note: NoteDraft, offset: Decimal) -> dict[str, Any]:
    """A note that nobody stored, as `NotePreviewOut` describes it."""
    lines = [
        {
            "position": position, "invoice_line": line.position, "description": line.description, "amount": line.amount,
            "taxes": taxes_out(line.taxes), "gl_code": line.gl_code, "timing": line.timing, "period_start": line.period_start,
            "period_end": line.period_end,
        }
        for position, line in enumerate(note.lines, 1)
    ]  # fmt: skip
    return {
        "invoice_id": invoice_id, "currency": currency, "subtotal": note.subtotal, "included_tax": note.included_tax,
        "tax": note.tax, "total": note.total, "amount_offset": offset, "amount_credited": note.total - offset,
        "taxes": taxes_out(note.taxes), "lines": lines,
    }  # fmt: skip


def credit_out(account_id: str, balances: dict[str, Decimal]) -> dict[str, Any]:
    """Customer credit as the customer sees it: the books' credits are his plus."""
    kept = [{"currency": currency, "amount": -balance} for currency, balance in balances.items()]
    return {"account_id": account_id, "balances": kept}


def moves_out(history: Sequence[EntryView]) -> list[dict[str, Any]]:
    """Entries of the books as `CreditMoveOut` describes them."""
    return [
        {
            "occurred_at": each.occurred_at, "kind": each.kind, "source_type": each.source_type, "source_id": each.source_id,
            "currency": each.currency, "amount": -each.amount, "balance": -(each.balance or Decimal(0)),
        }
        for each in history
    ]  # fmt: skip
