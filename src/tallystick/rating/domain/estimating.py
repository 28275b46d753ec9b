"""What usage would cost, told in full. Invoices use the same `rate` and `round_lines`, so an estimate is a promise."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from tallystick.kernel.money import Rounding, exact_decimal
from tallystick.rating.domain.explaining import explain
from tallystick.rating.domain.lines import LineAmount, round_lines
from tallystick.rating.domain.metered import Metered
from tallystick.rating.domain.models import FULL, Share
from tallystick.rating.domain.pricing import Exact, Price, Quantity, Rated, rate
from tallystick.rating.domain.steps import Step


@dataclass(frozen=True, slots=True)
class Estimate:
    """`amount` is what all lines come to: `line`, and `top_up` where a minimum is not reached."""

    amount: Decimal
    exact_amount: Decimal
    cut: bool
    currency: str
    quantity: Fraction
    line: LineAmount
    top_up: LineAmount | None
    steps: tuple[Step, ...]
    text: tuple[str, ...]
    model: str
    version: int


def estimate(
    price: Price,
    usage: Metered | Quantity,
    currency: str,
    *,
    share: Share = FULL,
    unit: str = "units",
    rounding: Rounding = Rounding.HALF_AWAY,
) -> Estimate:
    """Rates and rounds. `rounding` is the entity's, used where the price sets none. Raises `AmountTooLarge` and what `rate` raises."""
    mode = price.rounding or rounding
    rated = rate(price, usage, share)
    line, top_up = round_lines(Exact(rated.exact, rated.minimum_top_up), currency, mode)
    exact, cut = exact_decimal(rated.exact + rated.minimum_top_up)
    return Estimate(
        amount=line.amount if top_up is None else line.amount + top_up.amount,
        exact_amount=exact,
        cut=cut,
        currency=currency,
        quantity=rated.quantity,
        line=line,
        top_up=top_up,
        steps=_all_steps(rated),
        text=tuple(explain(rated, (line, top_up), currency, unit, mode)),
        model=price.model,
        version=price.version,
    )


def _all_steps(rated: Rated) -> tuple[Step, ...]:
    return rated.steps if rated.minimum is None else (*rated.steps, rated.minimum)
