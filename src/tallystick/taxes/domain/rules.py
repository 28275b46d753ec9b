"""Which taxes a line pays: by account, category of what is sold, and day.

Sources: SEMANTICS "Invoice order" (rate by tax point), EN 16931 (VAT categories S, Z, E, AE: what is not charged is still stated, with
its reason).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from tallystick.kernel.errors import Conflict, Invalid

ZERO = Decimal(0)


class TaxExists(Conflict):
    code, sentence = (
        "tax_exists",
        "A tax with this code exists; a new rate of it goes to /v1/taxes/{id}/rates",
    )


class UnknownTax(Invalid):
    code, sentence = "unknown_tax", "There is no tax with this code"


class RateNotLater(Conflict):
    code = "rate_not_later"
    sentence = (
        "A rate of this tax begins then or later; rates are added in order of their dates and never changed"
    )


class KindHasNoRate(Invalid):
    code = "kind_has_no_rate"
    sentence = "A tax that is zero, exempt or shifted to the customer has the rate 0"


class Kind(StrEnum):
    """What a rate means: charged, charged at zero, exempt, or owed by the customer (EN 16931: S, Z, E, AE)."""

    STANDARD = "standard"
    ZERO = "zero"
    EXEMPT = "exempt"
    REVERSE_CHARGE = "reverse_charge"


class Treatment(StrEnum):
    """How an account is taxed."""

    TAXABLE = "taxable"
    EXEMPT = "exempt"
    REVERSE_CHARGE = "reverse_charge"


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A tax as documents freeze it. `rate` is in percent: 19 is 19 %. `note` is the sentence the law wants to see."""

    code: str
    name: str
    rate: Decimal
    kind: str = Kind.STANDARD
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax and its rates through time: `rate` from the beginning, then those of `later` from their dates on; None: not charged.

    It is due on lines of its `categories`, on all where there are none.
    """

    id: int
    code: str
    name: str
    rate: Decimal
    kind: str = Kind.STANDARD
    categories: tuple[str, ...] = ()
    note: str = ""
    later: tuple[tuple[date, Decimal | None], ...] = ()

    def on(self, day: date) -> Decimal | None:
        """The rate in percent on a day; None where it is not charged then."""
        found: Decimal | None = self.rate
        for since, rate in self.later:
            if since > day:
                break
            found = rate
        return found

    def covers(self, category: str) -> bool:
        """Whether lines of this category pay it."""
        return not self.categories or category in self.categories


@dataclass(frozen=True, slots=True)
class Profile:
    """All that decides an account's taxes: those it pays, in order of code, and whether it is exempt or owes the tax itself."""

    taxes: tuple[Tax, ...] = ()
    treatment: str = Treatment.TAXABLE
    note: str = ""

    def rates(self, category: str, day: date) -> tuple[TaxRate, ...]:
        """What a line of the category pays on its tax point. An exempt account's taxes stay on the document, at zero and with the reason."""
        due = [
            (tax, rate) for tax in self.taxes if tax.covers(category) and (rate := tax.on(day)) is not None
        ]
        if self.treatment == Treatment.TAXABLE:
            return tuple(TaxRate(tax.code, tax.name, rate, tax.kind, tax.note) for tax, rate in due)
        return tuple(TaxRate(tax.code, tax.name, ZERO, self.treatment, self.note) for tax, _ in due)


NO_TAXES = Profile()


def check_later(tax: Tax, valid_from: date) -> None:
    """Raises `RateNotLater` unless a rate that begins on `valid_from` is the tax's last."""
    if tax.later and valid_from <= tax.later[-1][0]:
        raise RateNotLater(details={"valid_from": f"must be after {tax.later[-1][0].isoformat()}"})


def check_kind(kind: str, rate: Decimal | None) -> None:
    """Raises `KindHasNoRate` where a rate is given that its kind does not charge."""
    if kind != Kind.STANDARD and rate:
        raise KindHasNoRate(details={"rate": KindHasNoRate.sentence})


def in_order(taxes: Sequence[Tax]) -> tuple[Tax, ...]:
    """By code: documents list taxes alike."""
    return tuple(sorted(taxes, key=lambda tax: tax.code))
