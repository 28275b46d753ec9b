"""The shapes between assembling and storing: every input of a line frozen beside its result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from tallystick.taxes.domain import TaxRate
from tallystick.wallets.domain import Draw

ZERO = Decimal(0)


class LineKind(StrEnum):
    """Why a line is there."""

    FEE = "fee"  # a plan's recurring price
    USAGE = "usage"  # metered, on a plan's charge
    RECORDED = "recorded"  # metered without subscription, at the price its events carry
    MINIMUM = "minimum"  # top-up to a charge's or plan's minimum
    MANUAL = "manual"  # written by hand (billing records)
    CORRECTION = "correction"  # what a line billed before should have been, less what it was


class Status(StrEnum):
    """Life of an invoice: draft → finalized → paid; draft or finalized → void."""

    DRAFT = "draft"
    FINALIZED = "finalized"
    PAID = "paid"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class UsageEvidence:
    """Which events a line counts, for ever: events of the meter in the slice with `from_batch < batch <= to_batch`.

    `checksum` is the XOR of the events' 128-bit content digests: order-free, so any plan of reading gives the same.
    """

    meter_id: int
    from_batch: int
    to_batch: int
    count: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Reduction:
    """What a coupon, or credit that was granted, takes off a line before tax. It has the line's sign.

    Of a correction it may have the other sign: what the corrected line had taken off goes back the way it came. `percent` is that of a
    coupon that takes a share of the line, so that corrections of the line can take it too.
    """

    source: str  # "coupon" | "grant" | "note": what a credit note by hand gave back before
    id: UUID  # the applied coupon, or the grant
    code: str  # what people call it
    amount: Decimal
    percent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TaxShare:
    """One tax on one line. Its base is the rounded line less its reductions, and less the tax that the price includes."""

    code: str
    name: str
    rate: Decimal  # percent
    base: Decimal
    amount: Decimal
    included: bool = False  # the price held it already
    kind: str = "standard"  # zero, exempt and reverse_charge come to nothing and are still stated


@dataclass(frozen=True)  # without slots: `but` is called several times for every line of a run
class Line:
    """A line with its frozen inputs. `amount` is rounded once to the currency; `exact` keeps 18 decimals, `exact_cut` says if more were cut."""

    kind: LineKind
    description: str
    quantity: Decimal
    unit: str
    amount: Decimal
    exact: Decimal
    exact_cut: bool
    period_start: datetime  # service period [start, end)
    period_end: datetime
    slice_start: datetime  # start of the slice billed: the key that makes a rerun a no-op
    price_key: (
        str  # what is priced: "fee", "charge:<id>", "minimum", "recorded:<meter>:<price>", "manual:<n>"
    )
    rule: str  # model and version, e.g. "graduated/1"
    gl_code: str
    timing: str  # "advance" | "arrears" | "immediate": advance posts to deferred revenue
    inputs: dict[
        str, Any
    ]  # model, properties, adjustments, basis, used, whole, price, group…: all that `rate` was given
    subscription_id: UUID | None = None
    plan_version_id: int | None = None
    charge_id: int | None = None
    evidence: UsageEvidence | None = None
    taxes: tuple[TaxShare, ...] = ()
    partial: bool = (
        False  # bills a part of a period that is still open; the period's close bills the difference
    )
    tax_category: str = "standard"  # with what is to be taxed; stored are the taxes it came to
    tax_included: bool = False
    tax_rates: tuple[TaxRate, ...] | None = (
        None  # carried, as a correction carries those of the line it corrects
    )
    discount: Decimal = ZERO  # by coupons
    granted: Decimal = ZERO  # by credits that were granted
    reductions: tuple[
        Reduction, ...
    ] = ()  # what `discount` and `granted` consist of, in the order they were taken
    corrects: tuple[UUID, int] | None = None  # invoice and position of the line that a correction corrects
    revision: int = 0  # of its slice: 0 as first billed, then one more with each correction

    def but(self, **changes: Any) -> "Line":
        """The line with other values: `dataclasses.replace`, ten times as fast because no field is set by itself."""
        new = object.__new__(Line)
        new.__dict__.update(self.__dict__, **changes)
        return new

    @property
    def remainder(self) -> Decimal:
        """What is left to be taxed and paid: the amount less its reductions."""
        return self.amount - self.discount - self.granted if self.reductions else self.amount

    @property
    def earned(self) -> Decimal:
        """What the books take as revenue: less discounts and included tax. Granted credit is contra-revenue of its own."""
        return earned(self.amount, self.discount, self.taxes)


@dataclass(frozen=True, slots=True)
class CouponUse:
    """What one coupon took off one invoice. `lines` are the positions (from 1) of what it reached: enough to compute it again."""

    applied_id: UUID
    kind: str
    value: Decimal
    lines: tuple[int, ...]
    amount: Decimal


@dataclass(frozen=True, slots=True)
class TaxTotal:
    """One rate of the document: tax is computed once per rate and shared over lines (entity setting `rate`)."""

    code: str
    name: str
    rate: Decimal
    base: Decimal
    amount: Decimal
    included: bool = False
    kind: str = "standard"
    note: str = ""  # the sentence that the law wants to see


@dataclass(frozen=True, slots=True)
class GivenBack:
    """How much of which issued lines (invoice, position) gives a correction back. `bare`: bounded by invoices and notes alone."""

    parts: Mapping[tuple[UUID, int], Decimal]
    bare: bool = False


@dataclass(frozen=True, slots=True)
class InvoiceDraft:
    """An invoice as `assemble` returns it: pure data, numbers not yet given.

    subtotal (lines) − discount − granted − included tax + tax = total; total − credit_applied − wallet_applied = what is to be paid.
    """

    account_no: int
    entity_id: int
    currency: str
    period_start: datetime
    period_end: datetime
    lines: tuple[Line, ...]
    tax_totals: tuple[TaxTotal, ...]
    subtotal: Decimal
    tax: Decimal
    total: Decimal
    issue_date: date | None = None
    due_date: date | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    discount: Decimal = ZERO
    granted: Decimal = ZERO
    included_tax: Decimal = ZERO
    credit_applied: Decimal = ZERO  # customer credit, from credit notes
    wallet_applied: Decimal = ZERO  # paid wallets
    coupon_uses: tuple[CouponUse, ...] = ()  # what coupons took off, in their order
    draws: tuple[Draw, ...] = ()  # which grants pay which lines: granted credit, then paid wallets
    noted: tuple[Line, ...] = ()  # corrections that this invoice cannot take: they become credit notes
    given_back: tuple[GivenBack, ...] = ()  # for each of `noted`, once it is planned

    @property
    def amount_due(self) -> Decimal:
        """What is to be paid once credit and wallets are taken."""
        return self.total - self.credit_applied - self.wallet_applied


def earned(amount: Decimal, discount: Decimal, taxes: Sequence[TaxShare]) -> Decimal:
    """A line's revenue: its amount less discounts and the tax its price includes."""
    for tax in taxes:
        if tax.included:
            amount -= tax.amount
    return amount - discount if discount else amount
