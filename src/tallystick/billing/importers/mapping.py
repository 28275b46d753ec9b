"""A report format as data: which column means what. A new format is a new module with one `Mapping` in it."""

from collections.abc import Mapping as ReadOnlyDict
from dataclasses import dataclass, field
from typing import Protocol


class Format(Protocol):
    """What every file format says of itself: short code, name, what its rows are called, which zone its times are in."""

    @property
    def code(self) -> str:
        """Short and stable; part of the codes of what it makes."""

    @property
    def title(self) -> str:
        """The format's name."""

    @property
    def label(self) -> str:
        """What its rows are called."""

    @property
    def zone(self) -> str:
        """Which zone its times are in, and how that is known."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows are usage only where `column` holds one of `billed` (case does not matter); others are kept off the bill.

    `reasons` says why, per lower-case word; `otherwise` where the word is not known.
    """

    column: str
    billed: frozenset[str]
    reasons: ReadOnlyDict[str, str]
    otherwise: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """Columns of one report format. Where several columns are given, the first that is filled counts.

    `title` names the format, `label` its rows. `event_id`: the column that identifies a row; None where the format has none, and then `identity` lists the columns
    that do together, with those of `identity_if_present` that a file has (never amounts: a restated amount must be recognised as the same row).
    `unit_price` and `cost` are what is billed and compared; `list_price` and `list_cost` a second pair that is compared only. `price_word` names the price.
    `cost_decimals`: the fewest decimals to which this format writes its cost; a report that writes more is held to more.
    `naive_is_utc`: the format's times are UTC although no zone is written; `zone` says so in words.
    """

    code: str
    title: str
    label: str
    source: str
    zone: str
    customer: tuple[str, ...]
    customer_name: tuple[str, ...]
    provider: str | None
    provider_default: str
    sku: tuple[str, ...]
    unit: str
    quantity: str
    unit_price: str
    cost: str
    currency: str
    occurred_at: str
    description: str
    category: str
    event_id: str | None
    identity: tuple[str, ...]
    consumed: str | None
    cost_decimals: int
    naive_is_utc: bool
    dimensions: ReadOnlyDict[str, str]
    rules: tuple[Rule, ...]
    nulls: frozenset[str] = field(default=frozenset({""}))
    identity_if_present: tuple[str, ...] = ()
    price_word: str = "list"
    list_price: str | None = None
    list_cost: str | None = None

    def required(self) -> tuple[str, ...]:
        """Columns without which a file is not this format, in the order of their meaning."""
        single = (self.quantity, self.unit_price, self.cost, self.unit, self.currency, self.occurred_at)
        several = (self.customer[0], self.sku[0], self.description, self.category)
        ruled = tuple(rule.column for rule in self.rules)
        named = (self.event_id,) if self.event_id else self.identity
        return tuple(dict.fromkeys((*several, *single, *ruled, *named)))
