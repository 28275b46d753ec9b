"""Two catalogs side by side: what is added, changed (field by field), retired, left alone. Pure; the same two give the same answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tallystick.billing.catalog_file.sections import (
    PLAN_ITSELF,
    PLANS,
    SECTIONS,
    Content,
    Fields,
    Section,
    canonical,
)
from tallystick.billing.catalog_file.writing import shortened
from tallystick.kernel.errors import Invalid
from tallystick.rating.domain import compile_price

ABSENT = None


class Action(StrEnum):
    """What happens to a thing."""

    ADD = "add"
    CHANGE = "change"
    RETIRE = "retire"
    LEFT_ALONE = "left_alone"
    """Not in the file: stays as it is, for `--prune` was not asked for, or because its kind cannot be retired."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, old and new; an entry that one side lacks is None there."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one thing. `new_version`: a plan's terms change, so that it gets a new version."""

    kind: str
    code: str
    action: Action
    fields: tuple[FieldChange, ...] = ()
    new_version: bool = False

    @property
    def does_something(self) -> bool:
        """Whether applying it writes anything."""
        return self.action is not Action.LEFT_ALONE


def compare(current: Content, wanted: Content, *, prune: bool) -> list[Change]:
    """What makes `current` into `wanted`, in order of kinds and codes. `prune` retires what `wanted` does not name."""
    found: list[Change] = []
    for section in SECTIONS:
        have, want = current.get(section.name, {}), wanted.get(section.name, {})
        for code in sorted(have.keys() | want.keys()):
            change = _one(section, code, have.get(code), want.get(code), prune)
            if change is not None:
                found.append(change)
    return found


def _one(section: Section, code: str, old: Fields | None, new: Fields | None, prune: bool) -> Change | None:
    if old is None:
        told = shortened(section, code, new or {}).items()
        return Change(
            section.singular, code, Action.ADD, tuple(FieldChange(name, None, value) for name, value in told)
        )
    if new is None:
        retired = {**old, **(section.retires or {})}
        if canonical(retired) == canonical(old) and section.retires is not None:
            return None  # retired before: nothing to say
        if prune and section.retires is not None:
            return Change(section.singular, code, Action.RETIRE, tuple(differences(section, old, retired)))
        return Change(section.singular, code, Action.LEFT_ALONE)
    changed = tuple(differences(section, old, new))
    if not changed:
        return None
    return Change(section.singular, code, Action.CHANGE, changed, section is PLANS and terms_differ(old, new))


def terms_differ(old: Fields, new: Fields) -> bool:
    """Whether a plan needs a new version: something other than its name or where it is offered differs."""
    return any(change.path.split(".")[0] not in PLAN_ITSELF for change in differences(PLANS, old, new))


def differences(section: Section, old: Fields, new: Fields) -> Iterator[FieldChange]:
    """Field by field. Prices that are spelled differently but rate alike do not differ."""
    for name in [*old, *(each for each in new if each not in old)]:
        if name == "charges":
            yield from _charges(old.get(name, []), new.get(name, []), (old["currency"], new["currency"]))
        else:
            yield from _leaves(name, old.get(name), new.get(name))


def _charges(
    old: Sequence[Fields], new: Sequence[Fields], currencies: tuple[str, str]
) -> Iterator[FieldChange]:
    before = {charge["code"]: charge for charge in old}
    after = {charge["code"]: charge for charge in new}
    for code in [*before, *(each for each in after if each not in before)]:
        path = f"charges.{code}"
        if code not in after or code not in before:
            yield FieldChange(path, before.get(code), after.get(code))
            continue
        one, other = before[code], after[code]
        alike = same_price(one, other, currencies)
        for name in [*one, *(each for each in other if each not in one)]:
            if not (alike and name in ("properties", "adjustments")):
                yield from _leaves(f"{path}.{name}", one.get(name), other.get(name))
    common = [code for code in before if code in after]
    if common != [code for code in after if code in before]:
        yield FieldChange("charges (order)", list(before), list(after))


def same_price(old: Fields, new: Fields, currencies: tuple[str, str]) -> bool:
    """Whether two charges rate alike: "0.05" and 0.050 do, and an adjustment among the properties and beside them."""
    if canonical([old["properties"], old["adjustments"]]) == canonical(
        [new["properties"], new["adjustments"]]
    ):
        return True
    try:
        one, other = (
            compile_price(each["charge_model"], each["properties"], each["adjustments"], currency=currency)
            for each, currency in zip((old, new), currencies, strict=True)
        )
    except Invalid:
        return False
    return one == other


def _leaves(path: str, old: Any, new: Any) -> Iterator[FieldChange]:
    if canonical(old) == canonical(new) and (old is None) == (new is None):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(each for each in new if each not in old)]:
            yield from _leaves(f"{path}.{name}", old.get(name, ABSENT), new.get(name, ABSENT))
    elif (
        isinstance(old, list) and isinstance(new, list) and any(isinstance(each, dict) for each in old + new)
    ):
        for index in range(max(len(old), len(new))):
            yield from _leaves(
                f"{path}[{index}]",
                old[index] if index < len(old) else ABSENT,
                new[index] if index < len(new) else ABSENT,
            )
    else:
        yield FieldChange(path, old, new)
