"""From JSON to a price, and from a price and what was used to an exact amount.

`compile_price` once per price, then `amount_of` for each line of a run (no steps, a few microseconds) or `rate` where someone
wants to see how. Both walk the same adjustments; the tests hold them to the same result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from tallystick.kernel.errors import Invalid
from tallystick.kernel.money import Rounding, exponent
from tallystick.rating.domain.adjustments import (
    Adjustment,
    Maximum,
    Minimum,
    Order,
    UnitConversion,
    read_rounding,
)
from tallystick.rating.domain.metered import Metered, Need, NotMetered, require
from tallystick.rating.domain.models import FULL, ChargeModel, EventModel, Share
from tallystick.rating.domain.reading import ONE, ZERO, Fields
from tallystick.rating.domain.registry import MODELS, Model, Rule
from tallystick.rating.domain.steps import NegativeUsage, Step, ToppedUp

Quantity = Fraction | Decimal | int


@dataclass(frozen=True, slots=True)
class Price:
    """A compiled price: frozen, comparable, safe to keep and share. `rounding` None means the entity's."""

    model: str
    version: int
    charge: ChargeModel
    on_units: tuple[Adjustment, ...]
    on_amount: tuple[Adjustment, ...]
    minimum: Minimum | None
    rounding: Rounding | None

    @property
    def needs(self) -> Need:
        """What the price must see of the events besides their aggregated quantity."""
        return self.charge.needs if isinstance(self.charge, EventModel) else Need.TOTAL

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The properties whose combinations `Metered.groups` must tell apart; empty unless the price needs `GROUPS`."""
        return self.charge.dimensions if isinstance(self.charge, EventModel) else ()


class Exact(NamedTuple):
    """The exact amount of a line and of the top-up line beside it (0 where the minimum is reached)."""

    amount: Fraction
    minimum_top_up: Fraction


@dataclass(frozen=True, slots=True)
class Rated:
    """An exact amount and its steps, whose subtotals add up to it. The top-up to a minimum stands apart: another line."""

    quantity: Fraction
    exact: Fraction
    minimum_top_up: Fraction
    steps: tuple[Step, ...]
    minimum: ToppedUp | None


def compile_price(
    model: str,
    properties: Mapping[str, Any],
    adjustments: Mapping[str, Any] | None = None,
    *,
    version: int | None = None,
    currency: str | None = None,
    at: str = "",
    models: Mapping[str, Model] = MODELS,
) -> Price:
    """Reads a price whole. Adjustments may stand in `adjustments` or among the properties, each once.

    `version` None is the current rule; `currency`, where known, bounds the decimals of amounts (not of unit prices). Raises
    `Invalid` whose details name every bad field by its path, each after the prefix `at` (`"charges[0]."`), and never repeat a
    value. A version that does not exist is a `ValueError`: only a stored line asks for one. `models` is the registry to read by.
    """
    if model not in models:
        raise Invalid.field(
            f"{at}charge_model", f"must be one of {', '.join(models)}", code="unknown_charge_model"
        )
    version = models[model].current if version is None else version
    rule = _rule(models, model, version)
    problems: dict[str, str] = {}
    decimals = None if currency is None else exponent(currency)
    own = Fields(properties, f"{at}properties", problems, decimals)
    beside = Fields({} if adjustments is None else adjustments, f"{at}adjustments", problems, decimals)
    source = _sources(rule.order, own, beside)
    price = Price(
        model,
        version,
        rule.read(own),
        tuple(a for kind in rule.order.on_units if (a := kind.read(source[kind.name]))),
        tuple(a for kind in rule.order.on_amount if (a := kind.read(source[kind.name]))),
        rule.order.top_up.read(source[rule.order.top_up.name]),
        read_rounding(source["rounding"]),
    )
    _check_bounds(price, source[rule.order.top_up.name])
    _check_fit(rule, source)
    own.close()
    beside.close()
    if problems:
        raise Invalid(code="invalid_price", details=problems)
    return price


def _rule(models: Mapping[str, Model], model: str, version: int) -> Rule:
    versions = models[model].versions
    if version not in versions:
        raise ValueError(f"the {model} model has no rule version {version}")
    return versions[version]


def _sources(order: Order, own: Fields, beside: Fields) -> dict[str, Fields]:
    """Where each adjustment is read: among the properties where it stands there, else beside them; both is a mistake."""
    for name in order.names:
        if own.names(name) and beside.names(name):
            beside.problem(name, "stands among the properties too; give it once")
            own.raw(name)
    return {name: own if own.names(name) and not beside.names(name) else beside for name in order.names}


def _check_fit(rule: Rule, source: Mapping[str, Fields]) -> None:
    """Adjustments that have no meaning around this model are refused by name, `unit_conversion.round_up` by both its parts."""
    for path, sentence in rule.refuses.items():
        name, _, part = path.partition(".")
        fields = source[name]
        given = fields.raw(name)
        if part and isinstance(given, Mapping):
            given = given.get(part) or None
        elif part:
            given = None
        if given is not None:
            fields.problem(path, sentence)


def _check_bounds(price: Price, fields: Fields) -> None:
    caps = [each.amount for each in price.on_amount if isinstance(each, Maximum)]
    if price.minimum is not None and caps and price.minimum.amount > min(caps):
        fields.problem(Minimum.name, "must not be greater than maximum_amount")


def amount_of(price: Price, usage: Metered | Quantity, share: Share = FULL) -> Exact:
    """What `usage` costs, exactly and without steps. A negative quantity costs what zero costs.

    A bare quantity does where the price needs the `TOTAL` only. Raises `NotMetered` (a `ValueError`) where `usage` is less than the
    price needs, `NoMatrixRow` where a matrix has no price for it.
    """
    charge = price.charge
    if isinstance(charge, EventModel):
        amount = charge.amount(_metered(charge, usage), share, _scale(price))
    else:
        if isinstance(usage, Metered):
            usage = usage.units
        units = usage if isinstance(usage, Fraction) else Fraction(usage)
        if units.numerator < 0:
            units = ZERO
        for each in price.on_units:
            units = each.apply(units, share)
        amount = charge.amount(units, share)
    for each in price.on_amount:
        amount = each.apply(amount, share)
    return Exact(amount, ZERO if price.minimum is None else price.minimum.top_up(amount, share))


def rate(price: Price, usage: Metered | Quantity, share: Share = FULL) -> Rated:
    """What `usage` costs, and how: the same result as `amount_of`, with the steps in the order they were taken."""
    charge, steps = price.charge, list[Step]()
    kept = _quantity(usage)
    if isinstance(charge, EventModel):
        metered, scale = charge.fold(_metered(charge, usage), share, _scale(price)), _scale(price)
        for each in price.on_units:
            _note(steps, each.step(kept, share))
        steps.extend(charge.steps(metered, share, scale))
        amount = charge.amount(metered, share, scale)
    else:
        units = _told_units(price, kept, share, steps)
        steps.extend(charge.steps(units, share))
        amount = charge.amount(units, share)
    for each in price.on_amount:
        _note(steps, each.step(amount, share))
        amount = each.apply(amount, share)
    minimum = None if price.minimum is None else price.minimum.step(amount, share)
    return Rated(kept, amount, ZERO if minimum is None else minimum.subtotal, tuple(steps), minimum)


def fold(price: Price, metered: Metered, share: Share = FULL) -> Metered:
    """`metered` in as few numbers as this price at this share depends on: what a line freezes to be computed again.

    `amount_of` and `rate` answer the same for both.
    """
    charge = price.charge
    if not isinstance(charge, EventModel):
        return Metered(metered.units)
    return charge.fold(_metered(charge, metered), share, _scale(price))


def _told_units(price: Price, units: Fraction, share: Share, steps: list[Step]) -> Fraction:
    if units < 0:
        steps.append(NegativeUsage(units=units))
        units = ZERO
    for each in price.on_units:
        _note(steps, each.step(units, share))
        units = each.apply(units, share)
    return units


def _quantity(usage: Metered | Quantity) -> Fraction:
    return usage.units if isinstance(usage, Metered) else Fraction(usage)


def _metered(charge: EventModel, usage: Metered | Quantity) -> Metered:
    if not isinstance(usage, Metered):
        if charge.needs is not Need.TOTAL:
            raise NotMetered(f"this price needs the {charge.needs} of the events, not a bare quantity")
        return Metered(Fraction(usage))
    require(charge.needs, usage)
    return usage


def _scale(price: Price) -> Fraction:
    """What a unit conversion multiplies each event's units by; an event model takes no other adjustment of units."""
    scale = ONE
    for each in price.on_units:
        assert isinstance(each, UnitConversion)
        scale *= each.scale
    return scale


def _note(steps: list[Step], step: Step | None) -> None:
    if step is not None:
        steps.append(step)
