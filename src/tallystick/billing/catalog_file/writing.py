"""A catalog as text: sorted, without defaults, decimals as quoted strings, no ids. The same catalog is always the same bytes."""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from tallystick.billing.catalog_file.sections import (
    PLANS,
    SECTIONS,
    Content,
    Fields,
    Section,
    canonical,
    defaults_of,
)
from tallystick.catalog.schemas import ChargeIn

HEAD = """\
# The catalog of a Tallystick installation: taxes, meters, services, plans, coupons. What a thing does not say is as by default.
#
#   tallystick catalog diff catalog.yaml       what this file would change, and whom it touches
#   tallystick catalog apply catalog.yaml      makes it so
#
# Decimals stand in quotes, with all their digits. A plan whose terms change gets a new version; subscriptions stay on theirs.
"""
_WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_./-]| (?=[A-Za-z0-9_./]))*", re.ASCII)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def write(content: Content) -> str:
    """The file. `read` of it gives the same catalog, and writing that gives the same bytes."""
    lines = [HEAD, "catalog: 1"]
    for section in SECTIONS:
        things = content.get(section.name, {})
        lines.append("")
        if not things:
            lines.append(f"{section.name}: {'[]' if section.listed else '{}'}")
        elif section.listed:
            lines.append(f"{section.name}:")
            lines.extend(f"  - {scalar(key)}" for key in sorted(things))
        else:
            lines.append(f"{section.name}:")
            for code in sorted(things):
                thing = shortened(section, code, things[code])
                lines.extend(_plan(code, thing) if section is PLANS else _entry(scalar(code), thing, 2))
    return "\n".join(lines) + "\n"


def shortened(section: Section, code: str, thing: Fields) -> Fields:
    """The fields that differ from their defaults, in the order in which the API names them; what lies in them in one order too."""
    kept = _kept(thing, code, defaults_of(section.body))
    for name, value in kept.items():
        if name == "charges":
            kept[name] = [_charge(charge) for charge in value]
        elif name == "settings":
            kept[name] = _kept(value, None, defaults_of(section.body)[name])
        else:
            kept[name] = _ordered(value)
    return kept


def _charge(charge: Fields) -> Fields:
    return {
        name: _ordered(value) for name, value in _kept(charge, charge["code"], defaults_of(ChargeIn)).items()
    }


def _kept(thing: Fields, code: Any, defaults: Fields) -> Fields:
    return {
        name: value
        for name, value in thing.items()
        if not (name in defaults and canonical(value) == canonical(defaults[name]))
        and not (name == "name" and value == code and name in defaults)
    }


def _ordered(value: Any) -> Any:
    """Keys of inner mappings by length, then by bytes, as jsonb keeps them: short ones such as `up_to` first."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
        return {name: _ordered(value[name]) for name in names}
    return [_ordered(each) for each in value] if isinstance(value, list) else value


def _plan(code: str, thing: Fields) -> Iterator[str]:
    """A plan is always a block: it is what people look for and change."""
    yield f"  {scalar(code)}:"
    yield from _block(thing, 4)


def _entry(key: str, value: Any, indent: int) -> Iterator[str]:
    """`key: value` on one line where it fits, else as a block."""
    pad = " " * indent
    flat = _flow(value)
    if flat is not None and (not isinstance(value, dict | list) or len(pad + key + flat) + 2 <= _WIDTH):
        yield f"{pad}{key}: {flat}"
        return
    yield f"{pad}{key}:"
    yield from _block(value, indent + 2)


def _block(value: Any, indent: int) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _entry(scalar(name), each, indent)
        return
    for each in value:
        flat = _flow(each)
        if flat is not None and (not isinstance(each, dict | list) or indent + len(flat) + 2 <= _WIDTH):
            yield f"{' ' * indent}- {flat}"
            continue
        inner = list(_block(each, indent + 2))
        yield f"{' ' * indent}- {inner[0][indent + 2 :]}"
        yield from inner[1:]


def _flow(value: Any) -> str | None:
    """The value on one line, None where that would not read well: lists of mappings, and more than two levels."""
    if isinstance(value, dict):
        if any(isinstance(each, dict) and _holds_more(each) for each in value.values()):
            return None
        parts = {name: _flow(each) for name, each in value.items()}
        if None in parts.values():
            return None
        return "{" + ", ".join(f"{scalar(name)}: {part}" for name, part in parts.items()) + "}"
    if isinstance(value, list):
        if any(isinstance(each, dict | list) for each in value):
            return None
        return "[" + ", ".join(scalar(each) for each in value) + "]"
    return scalar(value)


def _holds_more(value: Mapping[str, Any]) -> bool:
    return any(isinstance(each, dict) and each for each in value.values())


def scalar(value: Any) -> str:
    """A scalar so that every YAML reader takes it for what it is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return f'"{value:f}"'
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return "".join(
        mark if mark.isprintable() else _escaped(mark) for mark in json.dumps(text, ensure_ascii=False)
    )


def _escaped(mark: str) -> str:
    return f"\\u{ord(mark):04x}" if ord(mark) < 0x10000 else f"\\U{ord(mark):08x}"
