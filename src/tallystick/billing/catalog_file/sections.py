"""What a catalog file holds, kind by kind. A new kind is one more `Section` here and its function in `service`.

Each kind is described by the body that the API takes for it, so that a field that is added there is in the file too: read, checked,
written and compared without another line. A field's default is what the file leaves out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from tallystick.catalog.domain import SERVICE_METER
from tallystick.catalog.schemas import PLAN_FIELDS, MeterIn, PlanIn, ServiceIn
from tallystick.invoicing.coupons.schemas import CouponIn, CouponPut
from tallystick.taxes.schemas import RateIn, TaxIn, TaxPut

Fields = dict[str, Any]
"""One thing's fields as plain values, all of them, defaults too, but for its code."""

Content = dict[str, dict[str, Fields]]
"""A catalog: kind → code → fields."""


@dataclass(frozen=True, slots=True)
class Section:
    """A kind. `key` is the field that names one of it; `changes` are the fields that may change once it is there.

    `listed`: the file has a plain list of keys. `retires` is what makes one of it retired; None where it stays for good.
    """

    name: str
    singular: str
    body: type[BaseModel]
    key: str = "code"
    changes: frozenset[str] = frozenset()
    listed: bool = False
    retires: Mapping[str, Any] | None = None
    frozen_because: str = ""


class TaxEntry(TaxIn):
    """A tax with the rates that follow the first. Taxes of test clocks are not part of a file."""

    later_rates: list[RateIn] = Field(default_factory=list, max_length=100)
    livemode: bool = Field(True, exclude=True)


class CouponEntry(CouponIn):
    """A coupon. Those of test clocks are not part of a file."""

    livemode: bool = Field(True, exclude=True)


TAXES = Section(
    "taxes", "tax", TaxEntry, changes=frozenset({*TaxPut.model_fields, "later_rates"}), retires={"is_default": False},
    frozen_because="of a tax never changes, so that documents stay explained: add one to later_rates, or take another code",
)  # fmt: skip
METERS = Section(
    "meters", "meter", MeterIn,
    frozen_because="of a meter never changes, so that bills stay explained; give another meter its own code",
)  # fmt: skip
SERVICES = Section("services", "service", ServiceIn, key="name", listed=True)
PLANS = Section(
    "plans", "plan", PlanIn, changes=frozenset(PlanIn.model_fields) - {"code"}, retires={"is_active": False}
)
COUPONS = Section(
    "coupons", "coupon", CouponEntry, changes=frozenset(CouponPut.model_fields), retires={"is_active": False},
    frozen_because="of a coupon never changes, so that who has it keeps what it gave; give another coupon its own code",
)  # fmt: skip
SECTIONS = (TAXES, METERS, SERVICES, PLANS, COUPONS)
"""In the order of the file and of applying: what others name comes before them."""

PLAN_ITSELF = PLAN_FIELDS
"""What belongs to the plan; all else are terms, whose change makes a new version."""


_SCALARS = frozenset({str, int, bool, Decimal, type(None)})


@cache
def defaults_of(body: type[BaseModel]) -> Fields:
    """The values of fields that are left out."""
    return {
        name: plain(info.get_default(call_default_factory=True))
        for name, info in body.model_fields.items()
        if not info.is_required() and not info.exclude
    }


def plain(value: Any) -> Any:
    """Models, dataclasses and enums as plain dicts, lists and scalars; ids, which differ between installations, are left out."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is dict:
        return {key: plain(each) for key, each in value.items()}
    if kind is list or kind is tuple:
        return [plain(each) for each in value]
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value) if each.name != "id"}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return (
        {key: plain(each) for key, each in value.items()}
        if isinstance(value, Mapping)
        else [*map(plain, value)]
    )


def fields_of(section: Section, view: Any) -> Fields:
    """A thing as it stands in the installation, spelled as the file would spell it; `view` is what GET shows."""
    names = [
        name for name, info in section.body.model_fields.items() if name != section.key and not info.exclude
    ]
    raw = {name: plain(getattr(view, name)) for name in names}
    try:
        found = dumped(section, section.body.model_validate({**raw, section.key: getattr(view, section.key)}))
        # Amounts stay as stored, in their currency's decimals: reading spells 0.00 as 0.
        return found | {name: raw[name] for name in ("price", "minimum", "value") if name in raw}
    except (
        ValidationError
    ):  # made by other ways than the API, under names the API would not take: shown as it is
        return raw


def dumped(section: Section, body: BaseModel) -> Fields:
    """The fields of a validated body, names filled in where they follow from the code."""
    found: Fields = plain(body)
    key = found.pop(section.key)
    return named(found, key)


def named(thing: Fields, code: Any) -> Fields:
    """`name` is the code where it is not given; also of charges."""
    if "name" in thing and thing["name"] is None:
        thing["name"] = code
    for charge in thing.get("charges", ()):
        named(charge, charge["code"])
    return thing


def is_own(section: Section, code: str) -> bool:
    """Whether a thing is listed under its own kind: the meters of services come with their services."""
    return not (section is METERS and code.startswith(SERVICE_METER))


def canonical(value: Any) -> Any:
    """One spelling per value, to compare: numbers without trailing zeros, mappings without order."""
    kind = type(value)
    if kind is dict:
        return {key: canonical(each) for key, each in value.items()}
    if kind is list:
        return [canonical(each) for each in value]
    if kind is int or kind is Decimal:
        return Decimal(value).normalize() if value else Decimal(0)
    return value
