"""Prices the slow way, each as its definition reads: no folding, no integers, no shared code with the rating itself."""

from fractions import Fraction
from math import ceil, floor
from typing import Any

F = Fraction
ZERO = F(0)


def percentage(props: dict[str, Any], values: list[Fraction], limits: Fraction) -> Fraction:
    """Event by event: is it free, partly free, what does it pay, is that within its bounds."""
    events_left = floor(F(props["free_events"]) * limits) if F(props.get("free_events") or 0) else None
    total_left = F(props["free_total"]) * limits if F(props.get("free_total") or 0) else None
    has_allowance = events_left is not None or total_left is not None
    paid = ZERO
    for value in values:
        payable = value
        if has_allowance and events_left != 0 and total_left != 0:
            used = max(value, ZERO)
            if total_left is None or used <= total_left:
                if total_left is not None:
                    total_left -= used
                if events_left is not None:
                    events_left -= 1
                continue
            payable, total_left = value - total_left, ZERO
        cost = F(props["rate"]) * payable + F(props.get("fixed_amount") or 0)
        if props.get("min_per_event") is not None:
            cost = max(cost, F(props["min_per_event"]))
        if props.get("max_per_event") is not None:
            cost = min(cost, F(props["max_per_event"]))
        paid += cost
    return max(paid, ZERO)


def tiered(model: str, props: dict[str, Any], units: Fraction) -> Fraction:
    """graduated, graduated_percentage, volume and stairstep."""
    at_zero = props.get("first_tier_flat_at_zero", True)
    if units == 0 and not at_zero:
        return ZERO
    lower, total = ZERO, ZERO
    for index, tier in enumerate(props["tiers"]):
        upper = None if tier["up_to"] is None else F(tier["up_to"])
        unit, flat = F(tier.get("unit_amount", tier.get("rate", 0)) or 0), F(tier.get("flat_amount") or 0)
        inside = (upper is None or units <= upper) and (units > lower or index == 0)
        if model == "volume" and inside:
            return units * unit + flat
        if model == "stairstep" and inside:
            return flat
        if units > lower or index == 0:
            top = units if upper is None else min(units, upper)
            total += (top - lower) * unit + flat
        lower = lower if upper is None else upper
    return total


def text(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def matrix(props: dict[str, Any], events: list[tuple[Fraction, dict[str, Any]]], scale: Fraction) -> Fraction:
    """Sums each combination, finds its row by trying one after the other. Raises `LookupError` where there is no price."""
    names = props["dimensions"]
    totals: dict[tuple[Any, ...], Fraction] = {}
    for quantity, properties in events:
        key = tuple(text(properties.get(name)) for name in names)
        totals[key] = totals.get(key, ZERO) + quantity * scale
    paid = ZERO
    for key, units in totals.items():
        paid += max(units, ZERO) * matrix_price(props, dict(zip(names, key, strict=True)))
    return paid


def matrix_price(props: dict[str, Any], given: dict[str, Any]) -> Fraction:
    for row in props["rows"]:
        values = row["values"]
        wanted = values if isinstance(values, dict) else dict(zip(props["dimensions"], values, strict=True))
        if all(value is None or text(value) == given[name] for name, value in wanted.items()):
            return F(row["unit_amount"])
    if props.get("default") is None:
        raise LookupError
    return F(props["default"]["unit_amount"])


def price(case: dict[str, Any]) -> tuple[Fraction, Fraction]:
    """A case of the corpus: what it comes to, and what is missing to a minimum."""
    adj, props = case.get("adjustments", {}), case["properties"]
    limits, fee = F(case.get("limits", 1)), F(case.get("fee", 1))
    conversion = adj.get("unit_conversion", {})
    scale = F(conversion.get("multiply", 1)) / F(conversion.get("divide", 1))
    events = case.get("events", [])
    amount = _model(case, props, events, scale, limits, fee)
    amount *= 1 - F(adj.get("discount_percent", 0)) / 100
    if "maximum_amount" in adj:
        amount = min(amount, F(adj["maximum_amount"]) * limits)
    return amount, max(F(adj.get("minimum_amount", 0)) * limits - amount, ZERO)


def _model(
    case: dict[str, Any],
    props: dict[str, Any],
    events: list[Any],
    scale: Fraction,
    limits: Fraction,
    fee: Fraction,
) -> Fraction:
    if case["model"] == "dynamic":
        return max(sum((F(q) * F(p) for q, p in events), ZERO), ZERO)
    if case["model"] == "matrix":
        return matrix(props, [(F(each["q"]), each["p"]) for each in events], scale)
    if case["model"] == "percentage":
        values = [F(each) * scale for each in (events if "events" in case else [case["units"]])]
        return percentage(props, values, limits)
    adj = case.get("adjustments", {})
    units = max(F(case["units"]), ZERO) * scale
    if adj.get("unit_conversion", {}).get("round_up"):
        units = F(ceil(units))
    units = max(units - F(adj.get("usage_discount_units", 0)) * limits, ZERO)
    if case["model"] == "flat":
        return F(props["amount"]) * fee
    if case["model"] == "standard":
        return units * F(props["unit_amount"])
    if case["model"] == "package":
        billable = max(units - F(props.get("free_units", 0)) * limits, ZERO)
        return ceil(billable / F(props["package_size"])) * F(props["package_amount"])
    return tiered(case["model"], props, units)
