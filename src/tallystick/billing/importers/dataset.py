"""What a month of billing needs, as plain values: who buys, what is measured, what it costs, what was used.

Importers and the sample make one; nothing here knows how it is stored. Money is in the plan's currency, quantities are in
the meter's unit, instants are UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Customer:
    """An account to be opened. `external_id` is unique and stable. `tax_code` names a `Tax`, None for none."""

    external_id: str
    name: str
    currency: str
    timezone: str = "UTC"
    country: str | None = None
    tax_code: str | None = None


@dataclass(frozen=True, slots=True)
class Tax:
    """A simple tax; `rate` is a fraction of the net amount (0.19)."""

    code: str
    name: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Meter:
    """What is measured. `field` is the event property an aggregation reads, None for the event's quantity."""

    code: str
    name: str
    unit: str
    aggregation: str = "sum"
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """How a meter is priced: a charge model, its properties and adjustments, amounts as decimal strings (CONTRACT §6)."""

    meter_code: str
    model: str
    properties: Mapping[str, Any]
    name: str
    adjustments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A price list, by calendar month in arrears. `fee` is its monthly fee, zero for none."""

    code: str
    name: str
    currency: str
    fee: Decimal
    charges: tuple[Charge, ...]
    billing_cycle: str = "monthly"
    billing_timing: str = "arrears"
    alignment: str = "calendar"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A customer on a plan from `starts_at` until `ends_at`, both instants, half-open."""

    customer_external_id: str
    plan_code: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One usage event; (`source`, `id`) is its identity for ever."""

    source: str
    id: str
    customer_external_id: str
    meter_code: str
    quantity: Decimal
    occurred_at: datetime
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything a bill is made from. `bill_as_of` is the instant at which all its periods are closed."""

    code: str
    title: str
    customers: tuple[Customer, ...]
    meters: tuple[Meter, ...]
    plans: tuple[Plan, ...]
    subscriptions: tuple[Subscription, ...]
    events: tuple[Event, ...]
    bill_as_of: datetime
    taxes: tuple[Tax, ...] = ()
