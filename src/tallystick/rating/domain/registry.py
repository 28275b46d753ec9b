"""The charge models there are, and every version of their rules.

A line stores the model and the version it was rated with. When a rule would give another result for the same input, it
becomes a new version and `current` moves; the old one stays as long as a line names it, so that `explain` and `verify` of an
old invoice repeat the old arithmetic. A golden corpus in the tests holds every version to its results.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tallystick.rating.domain import (
    dynamic,
    flat,
    graduated,
    graduated_percentage,
    matrix,
    package,
    percentage,
    stairstep,
    standard,
    volume,
)
from tallystick.rating.domain.adjustments import ORDER_1, Order
from tallystick.rating.domain.models import ChargeModel
from tallystick.rating.domain.reading import Fields


@dataclass(frozen=True, slots=True)
class Rule:
    """One version: how its properties are read, and the order of the adjustments around it.

    `refuses` names the adjustments that have no meaning here, each with the sentence that says so.
    """

    read: Callable[[Fields], ChargeModel]
    order: Order
    refuses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """A charge model with all versions of its rule."""

    versions: Mapping[int, Rule]
    current: int


MODELS: Final[dict[str, Model]] = {
    "flat": Model({1: Rule(flat.read, ORDER_1)}, current=1),
    "standard": Model({1: Rule(standard.read, ORDER_1)}, current=1),
    "graduated": Model({1: Rule(graduated.read, ORDER_1)}, current=1),
    "volume": Model({1: Rule(volume.read, ORDER_1)}, current=1),
    "package": Model({1: Rule(package.read, ORDER_1)}, current=1),
    "percentage": Model({1: Rule(percentage.read, ORDER_1, percentage.REFUSES)}, current=1),
    "graduated_percentage": Model({1: Rule(graduated_percentage.read, ORDER_1)}, current=1),
    "stairstep": Model({1: Rule(stairstep.read, ORDER_1)}, current=1),
    "dynamic": Model({1: Rule(dynamic.read, ORDER_1, dynamic.REFUSES)}, current=1),
    "matrix": Model({1: Rule(matrix.read, ORDER_1, matrix.REFUSES)}, current=1),
}
