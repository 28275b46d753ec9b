"""What a change of prices is worth a month. Pure, exact, rounded once where it is told.

A fee counts per month: a yearly one a twelfth, a quarterly one a third, a semiannual one a sixth, a weekly one 52 twelfths. Only fees
count: what usage will bring nobody knows before it happens.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from tallystick.kernel.money import round_money
from tallystick.kernel.period import Cycle

WEEKS = Fraction(52, 12)
"""Weeks in a month: 52 weeks are taken for a year."""


@dataclass(frozen=True, slots=True)
class Held:
    """Subscriptions that run on one version of a plan. `quantity` is the sum of theirs; `version` is the plan's number of it; `live` is false for test accounts."""

    plan_code: str
    version: int
    price: Decimal
    currency: str
    cycle: str
    subscriptions: int
    quantity: Decimal
    live: bool = True


def monthly(price: Decimal, cycle: str, quantity: Decimal = Decimal(1)) -> Fraction:
    """A fee by the month, exactly."""
    months = Cycle(cycle).months
    whole = Fraction(price) * Fraction(quantity)
    return whole / months if months else whole * WEEKS


def if_moved(held: Iterable[Held], price: Decimal, currency: str, cycle: str) -> dict[str, Fraction]:
    """By currency, how much more or less a month brings if all these subscriptions were moved to the new fee. Tests bring nothing."""
    found: dict[str, Fraction] = {}
    for each in held:
        if not each.live:
            continue
        found[each.currency] = found.get(each.currency, Fraction(0)) - monthly(
            each.price, each.cycle, each.quantity
        )
        found[currency] = found.get(currency, Fraction(0)) + monthly(price, cycle, each.quantity)
    return found


def rounded(amounts: Mapping[str, Fraction]) -> dict[str, Decimal]:
    """Each in its currency's decimals, in order of currency."""
    return {currency: round_money(amounts[currency], currency) for currency in sorted(amounts)}


def total(parts: Iterable[Mapping[str, Fraction]]) -> dict[str, Fraction]:
    """The exact sum by currency."""
    found: dict[str, Fraction] = {}
    for part in parts:
        for currency, amount in part.items():
            found[currency] = found.get(currency, Fraction(0)) + amount
    return found
