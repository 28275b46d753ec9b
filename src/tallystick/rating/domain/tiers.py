"""Tiers: `{up_to, unit_amount, flat_amount}` rows, `up_to` inclusive, the last one open; shared by all tiered models."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tallystick.rating.domain.reading import ZERO, Fields

MAX_TIERS: Final = 100


@dataclass(frozen=True, slots=True)
class Tier:
    """Units in `(lower, upper]`; `upper` None is open."""

    lower: Fraction
    upper: Fraction | None
    unit_amount: Fraction
    flat_amount: Fraction


def read_tiers(fields: Fields, unit: str = "unit_amount", top: int | None = None) -> tuple[Tier, ...]:
    """The `tiers` of a price: 1 to 100, strictly ascending, each with a price or a fee, ending with an open one.

    `unit` names the field of the price per unit (`rate` where the units are money), `top` is the greatest it may be.
    """
    rows = fields.objects("tiers", most=MAX_TIERS)
    tiers: list[Tier] = []
    lower = ZERO
    for row in rows:
        upper = _upper(row, lower, last=row is rows[-1])
        if not row.has(unit) and not row.has("flat_amount"):
            row.problem(unit, f"give a {unit}, a flat_amount, or both")
        tiers.append(
            Tier(
                lower,
                upper,
                row.number(unit, default=ZERO, most=top),
                row.money("flat_amount", default=ZERO),
            )
        )
        row.close()
        lower = lower if upper is None else upper
    return tuple(tiers)


def _upper(row: Fields, lower: Fraction, *, last: bool) -> Fraction | None:
    if row.raw("up_to") is None:
        if not last:
            row.problem("up_to", "only the last tier may be open (null)")
        elif not row.names("up_to"):
            row.problem("up_to", "is required; null for the last tier")
        return None
    before = len(row.problems)
    upper = row.number("up_to", positive=True)
    if len(row.problems) > before:
        return None
    if last:
        row.problem("up_to", "must be null in the last tier, so that every quantity has a price")
    elif upper <= lower:
        row.problem("up_to", "must be greater than that of the tier before")
    return upper
