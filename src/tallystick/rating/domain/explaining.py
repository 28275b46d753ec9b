"""Steps as sentences that someone checks by hand: each carries its own arithmetic, in full digits."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from tallystick.kernel.money import Rounding, exponent
from tallystick.rating.domain.event_sentences import event_sentence
from tallystick.rating.domain.lines import LineAmount
from tallystick.rating.domain.pricing import Rated
from tallystick.rating.domain.steps import (
    Capped,
    Conversion,
    FlatFee,
    NegativeUsage,
    Packages,
    PercentOff,
    RateSlice,
    StairTier,
    Step,
    TierSlice,
    ToppedUp,
    UnitsAtPrice,
    UnitsOff,
    WholeTier,
)
from tallystick.rating.domain.writing import Writer, number, part

_MODES: Final = {
    Rounding.HALF_AWAY: "half away from zero",
    Rounding.HALF_EVEN: "half to even",
    Rounding.UP: "up, away from zero",
    Rounding.DOWN: "down, towards zero",
}


def describe(steps: Sequence[Step], currency: str, unit: str = "units") -> list[str]:
    """One sentence per step, in the order the steps were taken, and the sum where more than one has an amount."""
    writer = Writer(currency, unit)
    sentences = [_sentence(step, writer) for step in steps]
    amounts = [step.subtotal for step in steps if step.subtotal]
    if len(amounts) > 1:
        parts = " ".join(_signed(amount, writer, first=i == 0) for i, amount in enumerate(amounts))
        sentences.append(f"together {parts} = {writer.money(sum(amounts, Fraction(0)))}")
    return sentences


def describe_rounding(
    exact: Fraction, line: LineAmount, currency: str, mode: Rounding = Rounding.HALF_AWAY
) -> str:
    """What the one rounding of a line did: `rounded half away from zero to 2 decimals: 12.345 → 12.35`."""
    places = exponent(currency)
    writer = Writer(currency)
    if Fraction(line.amount) == exact:
        return f"amount: {writer.money(line.amount)} {currency}, exact, nothing rounded"
    decimals = f"{places} decimals" if places else f"whole {currency}"
    return f"rounded {_MODES[mode]} to {decimals}: {writer.money(exact)} → {writer.money(line.amount)} {currency}"


def explain(
    rated: Rated,
    lines: tuple[LineAmount, LineAmount | None],
    currency: str,
    unit: str = "units",
    mode: Rounding = Rounding.HALF_AWAY,
) -> list[str]:
    """All sentences of what a quantity cost: steps, rounding, and the top-up line where there is one."""
    line, top_up = lines
    sentences = describe(rated.steps, currency, unit)
    sentences.append(describe_rounding(rated.exact, line, currency, mode))
    if rated.minimum is not None:
        sentences.extend(describe([rated.minimum], currency, unit))
        sentences.append(describe_top_up(rated.exact + rated.minimum_top_up, line, top_up, currency))
    return sentences


def describe_top_up(whole: Fraction, line: LineAmount, top_up: LineAmount | None, currency: str) -> str:
    """How the top-up line was rounded: to what both lines come to, rounded once, less the line beside it."""
    if top_up is None:
        return "nothing is missing once rounded: no top-up line"
    w = Writer(currency)
    both = Fraction(line.amount + top_up.amount)
    rounded = "" if both == whole else f", which is {w.money(whole)} rounded"
    return f"top-up line: {w.money(top_up.amount)} {currency}; both lines come to {w.money(both)}{rounded}"


def _signed(amount: Fraction, writer: Writer, *, first: bool) -> str:
    if first:
        return writer.money(amount)
    return f"{'−' if amount < 0 else '+'} {writer.money(abs(amount))}"


def _sentence(step: Step, w: Writer) -> str:
    match step:
        case NegativeUsage(units=units):
            return f"usage of {w.units(units)} is below zero and billed as {w.units(Fraction(0))}"
        case Conversion():
            return _conversion(step, w)
        case UnitsOff():
            return _units_off(step, w)
        case FlatFee(amount=amount, prorated=prorated):
            fee = part(f"fixed amount {w.money(amount)}", prorated)
            return fee if prorated == 1 else f"{fee} = {w.money(step.subtotal)}"
        case UnitsAtPrice(units=units, unit_amount=price):
            return f"{w.units(units)} at {w.money(price)} = {w.money(step.subtotal)}"
        case TierSlice() | WholeTier():
            return _tier(step, w)
        case StairTier():
            return _stair(step, w)
        case RateSlice():
            return _slice(step, w)
        case Packages():
            return _packages(step, w)
        case PercentOff(percent=percent, before=before):
            return f"discount of {number(percent)} % on {w.money(before)} = {w.money(step.subtotal)}"
        case Capped() | ToppedUp():
            return _limit(step, w)
    return event_sentence(step, w)


def _conversion(step: Conversion, w: Writer) -> str:
    sign = "÷" if step.divides else "×"
    text = f"converted: {number(step.units)} {sign} {number(step.factor)} = "
    if step.result == step.exact:
        return text + w.units(step.result)
    return f"{text}{number(step.exact)}, rounded up to {w.units(step.result)}"


def _units_off(step: UnitsOff, w: Writer) -> str:
    included = part(w.units(step.included), step.prorated)
    if not step.result:
        return f"{w.units(step.units)}, all within {included} included: nothing left to price"
    return f"{w.units(step.units)} less {included} included = {w.units(step.result)} to price"


def _tier(step: TierSlice | WholeTier, w: Writer) -> str:
    flat = f"flat fee {w.money(step.flat_amount)}"
    if not step.units:
        return (
            f"no usage: {flat} of the first tier is due" if step.flat_amount else "no usage: nothing is due"
        )
    sum_ = f" = {w.money(step.subtotal)}"
    if step.unit_amount or not step.flat_amount:
        price = f"at {w.money(step.unit_amount)}"
        return f"{_span(step, w)} {price}{f' + {flat}' if step.flat_amount else ''}{sum_}"
    return f"{_span(step, w)}: {flat}"


def _stair(step: StairTier, w: Writer) -> str:
    fee = f"flat amount {w.money(step.flat_amount)}"
    if not step.units:
        return f"no usage: {fee} of the first tier is due" if step.flat_amount else "no usage: nothing is due"
    return f"{_span(step, w)}: {fee}"


def _slice(step: RateSlice, w: Writer) -> str:
    flat = f"flat fee {w.money(step.flat_amount)}"
    if not step.units:
        return (
            f"no usage: {flat} of the first tier is due" if step.flat_amount else "no usage: nothing is due"
        )
    if not step.rate and step.flat_amount:
        return f"{_span(step, w)}: {flat}"
    all_of = not step.lower and step.upper is None
    of = f"{w.percent(step.rate)} of {'' if all_of else 'the '}{_span(step, w)}"
    return f"{of}{f' + {flat}' if step.flat_amount else ''} = {w.money(step.subtotal)}"


def _span(step: TierSlice | WholeTier | StairTier | RateSlice, w: Writer) -> str:
    """Which units these are: `first 1,000 units`, `next 500 units (above 1,000)`, `all 1,500 units (tier above 1,000)`."""
    upper = "" if step.upper is None else f" up to {number(step.upper)}"
    lower = f"above {number(step.lower)}" if step.lower else ""
    units = w.volume(step.units) if isinstance(step, RateSlice) else w.units(step.units)
    if isinstance(step, WholeTier | StairTier):
        tier = f"{lower}{upper}".strip()
        return f"all {units}" + (f" (tier {tier})" if tier else "")
    if not step.lower:
        return f"{'all' if step.upper is None else 'first'} {units}"
    return f"next {units} ({lower}{upper})"


def _packages(step: Packages, w: Writer) -> str:
    included = part(f"{number(step.free_units)} free", step.prorated)
    if not step.packages:
        return (
            f"{w.units(step.units)}"
            + (f", all within {included}" if step.units else "")
            + ": no package started"
        )
    free = f"{w.units(step.units)} less {included} = " if step.free_units else ""
    filled = step.billable / step.package_size
    count = (
        f"{step.packages:,} {'package' if step.packages == 1 else 'packages'} of {number(step.package_size)}"
    )
    started = "" if filled == step.packages else f" ({number(filled)} rounded up)"
    price = f"at {w.money(step.package_amount)} = {w.money(step.subtotal)}"
    return f"{free}{w.units(step.billable)} in {count}{started} {price}"


def _limit(step: Capped | ToppedUp, w: Writer) -> str:
    if isinstance(step, Capped):
        most = _limit_of(f"maximum {w.money(step.maximum)}", step.maximum, step.prorated, w)
        return f"{w.money(step.before)} is over the {most}: {w.money(step.subtotal)}"
    least = _limit_of(f"minimum {w.money(step.minimum)}", step.minimum, step.prorated, w)
    return f"{least}, less {w.money(step.before)}: {w.money(step.subtotal)} missing"


def _limit_of(name: str, amount: Fraction, prorated: Fraction, w: Writer) -> str:
    return name if prorated == 1 else f"{part(name, prorated)} = {w.money(amount * prorated)}"
