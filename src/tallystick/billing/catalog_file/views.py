"""A difference told: as sentences that a finance person can act on, and as plain data."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tallystick.billing.catalog_file.comparing import Action, Change
from tallystick.billing.catalog_file.queries import Application
from tallystick.billing.catalog_file.revenue import rounded
from tallystick.billing.catalog_file.service import Applied, Difference, Effect
from tallystick.billing.catalog_file.writing import scalar
from tallystick.kernel.money import round_money

SHOWN_FIELDS = 40
_MARKS = {Action.ADD: "+", Action.CHANGE: "~", Action.RETIRE: "-"}
_HEADS = {Action.ADD: "new", Action.CHANGE: "changed", Action.RETIRE: "retired"}


def difference_view(difference: Difference) -> dict[str, Any]:
    """For programs. Amounts are in their currency's decimals."""
    return {
        "summary": difference.summary,
        "changes": [_change_view(difference, change) for change in difference.changes],
        "monthly_revenue": {"now": _zeros(difference.if_moved), "if_moved": rounded(difference.if_moved)},
        "token": difference.token,
    }


def applied_view(applied: Applied) -> dict[str, Any]:
    """For programs: what was applied, under which version; null where there was nothing to change."""
    return {"version": applied.number, **difference_view(applied.difference)}


def version_view(each: Application) -> dict[str, Any]:
    """One of the history, without the catalogs themselves."""
    names = (
        "number",
        "kind",
        "rolled_back_to",
        "principal",
        "name",
        "digest",
        "prune",
        "summary",
        "created_at",
    )
    return {name: getattr(each, name) for name in names}


def _change_view(difference: Difference, change: Change) -> dict[str, Any]:
    effect = difference.effects.get(change.code) if change.kind == "plan" else None
    view: dict[str, Any] = {
        "kind": change.kind,
        "code": change.code,
        "action": change.action.value,
        "fields": [{"path": each.path, "old": each.old, "new": each.new} for each in change.fields],
    }
    if effect is not None:
        version = difference.versions.get(change.code)
        view |= {
            "version": version,
            "new_version": (version or 0) + 1 if change.new_version or version is None else None,
            "subscriptions": effect.subscriptions,
            "accounts": effect.accounts,
            "subscriptions_in_tests": effect.in_tests,
            "account_ids": list(effect.account_ids),
            "monthly_revenue": {
                "now": _zeros(effect.if_moved),
                "if_moved": rounded(effect.if_moved) if change.new_version else _zeros(effect.if_moved),
            },
            "monthly_fee": {
                "amount": round_money(effect.fee_a_month, effect.currency),
                "currency": effect.currency,
            },
        }
    return view


def _zeros(amounts: Mapping[str, Fraction]) -> dict[str, Decimal]:
    return rounded({currency: Fraction(0) for currency in amounts})


def told(difference: Difference) -> Iterator[str]:
    """Line by line."""
    counts = difference.summary
    yield f"{counts['add']} to add, {counts['change']} to change, {counts['retire']} to retire"
    for change in difference.changes:
        if change.action is not Action.LEFT_ALONE:
            yield ""
            yield from _change(difference, change)
    alone = [change for change in difference.changes if change.action is Action.LEFT_ALONE]
    if alone:
        yield ""
        yield from _left_alone(alone)
    yield ""
    yield from _revenue(difference)


def _change(difference: Difference, change: Change) -> Iterator[str]:
    effect = difference.effects.get(change.code) if change.kind == "plan" else None
    version = difference.versions.get(change.code) if change.kind == "plan" else None
    numbered = f", version {version} → {version + 1}" if version is not None and change.new_version else ""
    yield f"{_MARKS[change.action]} {change.kind} {scalar(change.code)} ({_HEADS[change.action]}{numbered})"
    for each in change.fields[:SHOWN_FIELDS]:
        if change.action is Action.ADD:
            yield f"    {each.path}: {_short(each.new)}"
        elif each.old is None:
            yield f"    {each.path}: new: {_short(each.new)}"
        elif each.new is None and isinstance(each.old, Mapping):
            yield f"    {each.path}: goes: {_short(each.old)}"
        else:
            yield f"    {each.path}: {_short(each.old)} → {_short(each.new)}"
    if len(change.fields) > SHOWN_FIELDS:
        yield f"    and {len(change.fields) - SHOWN_FIELDS} more fields (--json shows all)"
    if effect is not None:
        yield from (f"    {sentence}" for sentence in _touched(change, effect))


def _touched(change: Change, effect: Effect) -> Iterator[str]:
    count = f"{effect.subscriptions:,} subscription{'' if effect.subscriptions == 1 else 's'}"
    of = f"{effect.accounts:,} account{'' if effect.accounts == 1 else 's'}"
    if change.action is Action.ADD:
        fee = f"{round_money(effect.fee_a_month, effect.currency):,f} {effect.currency}"
        yield f"Nobody has it yet. Each new subscription: {fee} a month."
        return
    if not effect.subscriptions:
        yield "No subscription runs on it: nobody is touched."
    elif change.action is Action.RETIRE:
        yield f"No longer on offer. {count} of {of} stay on it and go on paying as they do."
    elif change.new_version:
        yield f"{count} of {of} stay on the version they have: what they pay changes by 0 now."
        yield f"If all of them were moved to the new version, a month would bring {_amounts(effect.if_moved)}."
    else:
        yield f"{count} of {of} run on it; what they pay does not change."
    if effect.in_tests:
        yield f"{effect.in_tests:,} more in test accounts, which are no revenue."
    if effect.account_ids:
        yield "Accounts: " + ", ".join(effect.account_ids)


def _left_alone(alone: list[Change]) -> Iterator[str]:
    yield "Not in the file, left alone:"
    for kind in dict.fromkeys(change.kind for change in alone):
        codes = [scalar(change.code) for change in alone if change.kind == kind]
        more = f" and {len(codes) - 20} more" if len(codes) > 20 else ""
        yield f"    {kind}: {', '.join(codes[:20])}{more}"
    if any(change.kind in ("plan", "tax") for change in alone):
        yield "    --prune would retire the plans and taxes among them; meters and services always stay"


def _revenue(difference: Difference) -> Iterator[str]:
    if not difference.does_something:
        yield "Nothing to change."
        return
    yield "Monthly revenue now: changes by 0. Subscriptions stay on the versions they have until someone moves them."
    if any(difference.if_moved.values()):
        yield f"If all subscriptions were moved to the new versions: {_amounts(difference.if_moved)} a month."
        yield (
            "Counted: fee × quantity by the month (yearly ÷ 12, semiannual ÷ 6, quarterly ÷ 3, weekly × 52 ÷ 12), trials "
            "as if they paid; without usage, discounts and tax."
        )


def _amounts(amounts: Mapping[str, Fraction]) -> str:
    parts = [
        f"{amount:+,f} {currency}" if amount else f"0 {currency}"
        for currency, amount in rounded({each: value for each, value in amounts.items() if value}).items()
    ]
    return " and ".join(parts) or "as much as now"


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        if "charge_model" in value:
            return f"{value['charge_model']} on {scalar(value['meter'])}"
        text = "{" + ", ".join(f"{name}: {_short(each)}" for name, each in value.items()) + "}"
    elif isinstance(value, list):
        if value and isinstance(value[0], Mapping) and "charge_model" in value[0]:
            return f"{len(value)} charge{'' if len(value) == 1 else 's'}"
        text = "[" + ", ".join(_short(each) for each in value) + "]"
    else:
        text = f"{value:f}" if isinstance(value, Decimal) else scalar(value)
    return text if len(text) <= 160 else text[:159] + "…"
