"""Bodies of invoice and billing record routes, and how stored invoices become answers."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tallystick.accounts import queries as accounts
from tallystick.invoicing import queries
from tallystick.invoicing.domain.records import shown_status
from tallystick.invoicing.queries import InvoiceView, LineView, RecordView
from tallystick.platform.db import ReadSession
from tallystick.platform.http.fields import Amount, Body, Currency, Day, DecimalOut, PutBody, Text
from tallystick.wallets import queries as wallets
from tallystick.wallets.schemas import DrawOut


class Out(BaseModel):
    """Base of described answers; a test compares them with what is sent."""

    model_config = ConfigDict(extra="forbid")


class TaxOut(Out):
    """One tax: `base` is what it is charged on, `rate` in percent."""

    code: str
    name: str
    rate: DecimalOut
    base: DecimalOut
    amount: DecimalOut
    included: bool = Field(description="The price held this tax already")
    kind: str = Field(examples=["standard", "zero", "exempt", "reverse_charge"])


class TaxTotalOut(TaxOut):
    """A tax of the whole document; `note` is the sentence that the law wants to see, where no tax is charged."""

    note: str


class ReductionOut(Out):
    """What a coupon, or credit that was granted, takes off a line before tax."""

    source: str = Field(examples=["coupon", "grant", "note"])
    id: UUID
    code: str
    amount: DecimalOut
    percent: DecimalOut | None = Field(None, description="Of a coupon that takes a share of the line")


class CorrectedOut(Out):
    """The line that a correction corrects."""

    invoice_id: UUID
    position: int


class EvidenceOut(Out):
    """Which events a line counts. `checksum` (hex) is the XOR of their 128-bit digests: the same in any order."""

    meter_id: int
    from_batch: int
    to_batch: int
    count: int
    checksum: str


class LineOut(Out):
    """A line. `amount` is `exact_amount` rounded once; `exact_cut` says that digits beyond the 18th were cut."""

    position: int
    kind: str
    description: str
    quantity: DecimalOut
    unit: str
    amount: DecimalOut
    exact_amount: DecimalOut
    exact_cut: bool
    period_start: datetime
    period_end: datetime
    rule: str
    price_key: str
    gl_code: str
    timing: str
    subscription_id: UUID | None
    plan_version_id: int | None
    charge_id: int | None
    evidence: EvidenceOut | None
    taxes: list[TaxOut]
    discount: DecimalOut = Field(description="By coupons, before tax")
    granted: DecimalOut = Field(description="By credits that were granted, before tax")
    reductions: list[ReductionOut]
    corrects: CorrectedOut | None


class InvoiceSummaryOut(Out):
    """An invoice in a list. `amount_due` is what is still to be paid; drafts and voids owe nothing.

    subtotal − discount − granted − included_tax + tax = total, which credit, wallets, credit notes and payments settle.
    """

    id: UUID
    number: str | None
    account_id: str
    status: str = Field(examples=["draft", "finalized", "paid", "void"])
    currency: str
    period_start: datetime
    period_end: datetime
    issue_date: date | None
    due_date: date | None
    subtotal: DecimalOut
    discount: DecimalOut
    granted: DecimalOut
    included_tax: DecimalOut
    tax: DecimalOut
    total: DecimalOut
    credit_applied: DecimalOut = Field(description="Customer credit used for it")
    wallet_applied: DecimalOut = Field(description="Taken from paid wallets")
    amount_noted: DecimalOut = Field(description="Credit notes against it")
    amount_paid: DecimalOut
    amount_due: DecimalOut
    taxes: list[TaxTotalOut]
    bill_to: dict[str, Any] | None
    run_id: UUID | None
    finalized_at: datetime | None
    paid_at: datetime | None
    voided_at: datetime | None
    created_at: datetime
    updated_at: datetime


class InvoiceOut(InvoiceSummaryOut):
    """An invoice with its lines. `wallet_draws` says which top-up of which wallet paid what of which line."""

    lines: list[LineOut]
    wallet_draws: list[DrawOut]


class RecordOut(Out):
    """A billing record. `number` is the invoice's, once it is finalized."""

    id: UUID
    customer_id: str
    account_id: str
    number: str | None
    amount: DecimalOut
    currency: str
    description: str
    billing_date: date | None
    due_date: date | None
    status: str = Field(examples=["pending", "draft", "paid", "void"])
    created_at: datetime
    updated_at: datetime


class RecordIn(Body):
    """A new billing record: an invoice with one line. Its amount is all that is owed; no tax is added to it."""

    customer_id: str | None = Field(None, max_length=64, description="The account; the same as account_id")
    account_id: str | None = Field(None, max_length=64)
    amount: Amount
    currency: Currency | None = Field(None, description="Default: the account's")
    description: Text = ""
    billing_date: Day | None = Field(None, description="Default: today where the account lives")
    due_date: Day | None = Field(None, description="Default: the entity's net terms after the billing date")
    status: str = Field("pending", max_length=40, examples=["pending", "draft", "paid", "void"])

    @model_validator(mode="after")
    def _names_one_account(self) -> "RecordIn":
        if (self.customer_id or self.account_id) is None:
            raise ValueError("customer_id or account_id is required")
        if None not in (self.customer_id, self.account_id) and self.customer_id != self.account_id:
            raise ValueError("customer_id and account_id name two accounts; send one")
        return self


class RecordPut(PutBody):
    """What may change of a record: all of it while it is pending or a draft, then the status alone."""

    amount: Amount = Decimal(0)
    description: Text = ""
    billing_date: Day = date(1970, 1, 1)
    due_date: Day | None = None
    status: str = Field("pending", max_length=40)


def _line(line: LineView) -> dict[str, Any]:
    evidence = line.evidence
    return {
        "position": line.position, "kind": line.kind, "description": line.description, "quantity": line.quantity, "unit": line.unit,
        "amount": line.amount, "exact_amount": line.exact, "exact_cut": line.exact_cut, "period_start": line.period_start,
        "period_end": line.period_end, "rule": line.rule, "price_key": line.price_key, "gl_code": line.gl_code,
        "timing": line.timing, "subscription_id": line.subscription_id, "plan_version_id": line.plan_version_id,
        "charge_id": line.charge_id, "taxes": line.taxes, "discount": line.discount, "granted": line.granted,
        "reductions": line.reductions,
        "corrects": None if line.corrects is None else {"invoice_id": line.corrects[0], "position": line.corrects[1]},
        "evidence": None if evidence is None else {
            "meter_id": evidence.meter_id, "from_batch": evidence.from_batch, "to_batch": evidence.to_batch,
            "count": evidence.count, "checksum": f"{evidence.checksum:032x}",
        },
    }  # fmt: skip


def _summary(invoice: InvoiceView, account_id: str) -> dict[str, Any]:
    return {
        "id": invoice.id, "number": invoice.number, "account_id": account_id, "status": invoice.status,
        "currency": invoice.currency, "period_start": invoice.period_start, "period_end": invoice.period_end,
        "issue_date": invoice.issue_date, "due_date": invoice.due_date, "subtotal": invoice.subtotal, "tax": invoice.tax,
        "discount": invoice.discount, "granted": invoice.granted, "included_tax": invoice.included_tax, "total": invoice.total,
        "credit_applied": invoice.credit_applied, "wallet_applied": invoice.wallet_applied, "amount_noted": invoice.amount_noted,
        "amount_paid": invoice.amount_paid, "amount_due": invoice.owed, "taxes": invoice.taxes,
        "bill_to": invoice.bill_to, "run_id": invoice.run_id, "finalized_at": invoice.finalized_at, "paid_at": invoice.paid_at,
        "voided_at": invoice.voided_at, "created_at": invoice.created_at, "updated_at": invoice.updated_at,
    }  # fmt: skip


async def invoice_out(session: ReadSession, invoice: InvoiceView) -> dict[str, Any]:
    """An invoice with its lines, as `InvoiceOut` describes it."""
    owner = (await accounts.by_nos(session, [invoice.account_no]))[invoice.account_no]
    lines = await queries.lines(session, invoice.id)
    draws = [
        {name: value for name, value in asdict(each).items() if name != "facts"}
        for each in await wallets.draws(session, invoice.id)
    ]
    return {**_summary(invoice, owner.id), "lines": [_line(line) for line in lines], "wallet_draws": draws}


async def summaries_out(session: ReadSession, invoices: Sequence[InvoiceView]) -> list[dict[str, Any]]:
    """Invoices of a list, as `InvoiceSummaryOut` describes them."""
    owners = await accounts.by_nos(session, {invoice.account_no for invoice in invoices}) if invoices else {}
    return [_summary(invoice, owners[invoice.account_no].id) for invoice in invoices]


def record_out(record: RecordView, account_id: str) -> dict[str, Any]:
    """A billing record, as `RecordOut` describes it."""
    return {
        "id": record.id, "customer_id": account_id, "account_id": account_id, "number": record.number, "amount": record.amount,
        "currency": record.currency, "description": record.description, "billing_date": record.billing_date,
        "due_date": record.due_date, "status": shown_status(record.status, record.shown_as), "created_at": record.created_at,
        "updated_at": record.updated_at,
    }  # fmt: skip
