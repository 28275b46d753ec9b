"""Coupons: which lines one lowers, and by how much. Pure.

Source: SEMANTICS "Invoice order": coupons limited to a meter, then to a plan, then general ones; in order of application; each on what
the ones before left. A coupon's amount is rounded once and shared to its lines by largest remainder.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from uuid import UUID

from tallystick.invoicing.domain.draft import ZERO, CouponUse, Line, LineKind, Reduction
from tallystick.kernel.errors import Conflict, Invalid, NotFound
from tallystick.kernel.money import Rounding, exponent, round_fraction, split
from tallystick.wallets.domain import EVERYTHING, Scope

SOURCE = "coupon"
DISCOUNTED = frozenset({LineKind.FEE, LineKind.USAGE, LineKind.RECORDED, LineKind.MINIMUM})
"""What a coupon may lower. Records written by hand say what they cost; corrections carry what was taken off what they correct."""


class CouponExists(Conflict):
    code, sentence = (
        "coupon_exists",
        "A coupon with this code exists; its terms never change, so choose another code",
    )


class CouponNotFound(NotFound):
    code, sentence = "coupon_not_found", "There is no coupon with this code"


class CouponInactive(Conflict):
    code, sentence = "coupon_inactive", "This coupon is not given out any more"


class CouponExpired(Conflict):
    code, sentence = "coupon_expired", "This coupon had to be redeemed before; it has expired"


class CouponExhausted(Conflict):
    code, sentence = "coupon_exhausted", "This coupon has been redeemed as often as it may be"


class CouponApplied(Conflict):
    code, sentence = (
        "coupon_already_applied",
        "This account has redeemed the coupon as often as one account may",
    )


class CouponCurrency(Invalid):
    code = "coupon_currency_differs"
    sentence = "This coupon is in another currency than the account's bills"


class Kind(StrEnum):
    """An amount off, or a share of what it reaches."""

    FIXED = "fixed"
    PERCENT = "percent"


class Duration(StrEnum):
    """On how many invoices it counts: the first it lowers, as many as `periods` says, or every one."""

    ONCE = "once"
    REPEATING = "repeating"
    FOREVER = "forever"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a coupon gives. `value` is an amount in `currency`, or percent. `periods` counts the invoices of a repeating one."""

    kind: Kind
    value: Decimal
    currency: str | None
    duration: Duration
    periods: int | None
    scope: Scope = EVERYTHING

    @property
    def uses(self) -> int | None:
        """How many invoices it lowers; None: all."""
        return {Duration.ONCE: 1, Duration.REPEATING: self.periods, Duration.FOREVER: None}[self.duration]


@dataclass(frozen=True, slots=True)
class Applied:
    """A coupon that an account has, as a bill sees it."""

    id: UUID
    code: str
    kind: Kind
    value: Decimal
    currency: str
    scope: Scope
    applied_at: datetime

    @property
    def rank(self) -> int:
        """Narrower coupons first: those of meters, of plans, of everything."""
        return 0 if self.scope.meters else 1 if self.scope.plans else 2


Reaches = Callable[[Line], bool]


def check_terms(terms: Terms) -> None:
    """Raises `Invalid` naming every field that does not fit the others."""
    wrong: dict[str, str] = {}
    if terms.kind is Kind.PERCENT and terms.value > 100:
        wrong["value"] = "is at most 100 for a percentage"
    if terms.kind is Kind.FIXED and terms.currency is None:
        wrong["currency"] = "is required for an amount"
    elif terms.kind is Kind.FIXED and terms.currency is not None:
        scale = exponent(terms.currency)
        if terms.value != round_fraction(Fraction(terms.value), scale):
            wrong["value"] = f"has more than the {scale} decimals of {terms.currency}"
    if (terms.duration is Duration.REPEATING) != (terms.periods is not None):
        wrong["periods"] = "is how many invoices a repeating coupon lowers, and has no meaning for another"
    if wrong:
        raise Invalid(details=wrong)


def in_order(coupons: Iterable[Applied]) -> list[Applied]:
    """As they take effect. Ids are ordered by time, so they settle what one instant leaves open."""
    return sorted(coupons, key=lambda each: (each.rank, each.applied_at, each.id))


def discount(
    lines: Sequence[Line],
    coupons: Iterable[tuple[Applied, Reaches | None]],
    currency: str,
    mode: Rounding = Rounding.HALF_AWAY,
) -> tuple[list[Line], tuple[CouponUse, ...]]:
    """The lines less what the coupons take off, and what each took. One that finds nothing to lower is not used.

    `coupons` stand in order of effect, each with the lines it reaches (None: all).
    """
    reduced, uses = list(lines), []
    for coupon, reaches in coupons:
        places = [
            index
            for index, line in enumerate(reduced)
            if line.kind in DISCOUNTED and line.remainder > 0 and (reaches is None or reaches(line))
        ]
        shares = shares_of(
            coupon.kind, coupon.value, [reduced[index].remainder for index in places], currency, mode
        )
        taken = sum(shares, ZERO)
        if not taken:
            continue
        percent = coupon.value if coupon.kind is Kind.PERCENT else None
        for index, share in zip(places, shares, strict=True):
            if share:
                line = reduced[index]
                told = Reduction(SOURCE, coupon.id, coupon.code, share, percent)
                reduced[index] = line.but(discount=line.discount + share, reductions=(*line.reductions, told))
        positions = tuple(index + 1 for index in places)
        uses.append(CouponUse(coupon.id, coupon.kind, coupon.value, positions, taken))
    return reduced, tuple(uses)


def shares_of(
    kind: str, value: Decimal, amounts: Sequence[Decimal], currency: str, mode: Rounding = Rounding.HALF_AWAY
) -> list[Decimal]:
    """What a coupon takes off amounts above zero: its share or amount of their sum, never more, rounded once and split."""
    whole, scale = sum(amounts, ZERO), exponent(currency)
    if not whole:
        return [ZERO for _ in amounts]
    if kind == Kind.FIXED:
        taken = min(value, whole)
    else:
        (units, of_units), (percent, of_percent) = whole.as_integer_ratio(), value.as_integer_ratio()
        taken = min(
            round_fraction(Fraction(units * percent, of_units * of_percent * 100), scale, mode), whole
        )
    return split(taken, amounts, scale)


def recomputed(
    remainders: Sequence[Decimal],
    uses: Sequence[CouponUse],
    currency: str,
    mode: Rounding = Rounding.HALF_AWAY,
) -> list[dict[UUID, Decimal]]:
    """What each coupon took off each line, from the uses that stand on the document: to compare with what stands on its lines."""
    left = list(remainders)
    found: list[dict[UUID, Decimal]] = [{} for _ in left]
    for use in uses:
        places = [position - 1 for position in use.lines]
        shares = shares_of(use.kind, use.value, [left[place] for place in places], currency, mode)
        for place, share in zip(places, shares, strict=True):
            if share:
                found[place][use.applied_id] = share
                left[place] -= share
    return found
