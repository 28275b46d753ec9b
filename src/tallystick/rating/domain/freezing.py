"""What was metered as JSON that a line freezes, and back: the same amount and the same steps, without the events.

Numbers are texts of exact fractions (`"12.5"` is `"25/2"`), because a unit conversion or an average need not end in decimals.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from fractions import Fraction
from typing import Any

from tallystick.rating.domain.metered import Folded, Metered
from tallystick.rating.domain.models import FULL, Share
from tallystick.rating.domain.pricing import Price, fold


def freeze(price: Price, metered: Metered, share: Share = FULL) -> dict[str, Any]:
    """What `thaw` needs to give a `Metered` that costs the same under this price and share; only what the price looks at."""
    kept = fold(price, metered, share)
    frozen: dict[str, Any] = {"units": str(kept.units)}
    if kept.events:
        frozen["events"] = kept.events
    if kept.priced:
        frozen["priced"] = str(kept.priced)
    if kept.groups:
        frozen["groups"] = [[list(values), str(units)] for values, units in kept.groups]
    if kept.folded is not None:
        frozen["folded"] = {
            name: str(value) if isinstance(value, Fraction) else value
            for name, value in asdict(kept.folded).items()
        }
    return frozen


def thaw(frozen: Mapping[str, Any]) -> Metered:
    """What was frozen. Raises `KeyError`, `ValueError` or `TypeError` where it is not what `freeze` gives."""
    folded = frozen.get("folded")
    return Metered(
        units=Fraction(frozen["units"]),
        events=int(frozen.get("events", 0)),
        priced=Fraction(frozen.get("priced", 0)),
        groups=tuple((tuple(values), Fraction(units)) for values, units in frozen.get("groups", ())),
        folded=None if folded is None else _thaw_folded(folded),
    )


def _thaw_folded(folded: Mapping[str, Any]) -> Folded:
    read = {
        each.name: int(folded[each.name]) if each.name.endswith("_events") else Fraction(folded[each.name])
        for each in fields(Folded)
    }
    return Folded(**read)  # type: ignore[arg-type]  # the names decide the types
