"""Usage rows → the catalog, customers and subscriptions that bill them at the report's own list price.

One meter per SKU, unit and price; one plan per report month and currency with a `standard` charge for each of its meters;
one subscription per customer and currency over the calendar months (UTC) that the report touches. A repeated import of the
same report makes the same codes and ids.
"""

from collections.abc import Iterable
from collections.abc import Mapping as ReadOnlyDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from tallystick.billing.importers.dataset import Charge, Customer, Dataset, Event, Meter, Plan, Subscription
from tallystick.billing.importers.mapping import Format, Mapping
from tallystick.billing.importers.reader import BadRow
from tallystick.billing.importers.rows import NotBilled, Outcome, UsageRow
from tallystick.kernel.errors import Invalid, TooLarge

MAX_ROWS = 500_000
"""Rows held at once. A larger report is refused before anything is written; split it by month or by account."""

USAGE_CLOSE_DELAY = timedelta(hours=1)
"""A usage period closes an hour after its boundary (SEMANTICS, default of `close_delay`)."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """A report turned into what billing needs, and what became of each of its rows.

    `expectations` are the billed rows in file order: each carries the report's own cost, to be compared with ours. `event_lines` says
    which line each event of the data set comes from. `priced`: where the prices are ours, what each customer's meter must come to,
    computed without the rating engine.
    """

    mapping: Format
    dataset: Dataset
    expectations: tuple[UsageRow, ...]
    not_billed: tuple[NotBilled, ...]
    bad_rows: tuple[BadRow, ...]
    event_lines: tuple[int, ...]
    priced: ReadOnlyDict[tuple[str, str], Fraction] = field(default_factory=dict)


def plan_import(mapping: Mapping, outcomes: Iterable[Outcome], *, max_rows: int = MAX_ROWS) -> ImportPlan:
    """Sort a report's rows and derive the catalog. Pure; the same rows in the same order give an equal plan.

    Raises `Invalid` where no row can be billed, `TooLarge` over `max_rows`.
    """
    rows: list[UsageRow] = []
    not_billed: list[NotBilled] = []
    bad: list[BadRow] = []
    for count, outcome in enumerate(outcomes, start=1):
        if count > max_rows:
            raise TooLarge(f"The report has more than {max_rows} rows; split it by month or by account")
        if isinstance(outcome, UsageRow):
            rows.append(outcome)
        elif isinstance(outcome, NotBilled):
            not_billed.append(outcome)
        else:
            bad.append(outcome)
    if not rows:
        raise nothing_to_bill(bad)
    lines = tuple(row.line_no for row in rows)
    return ImportPlan(mapping, _dataset(mapping, rows), tuple(rows), tuple(not_billed), tuple(bad), lines)


def nothing_to_bill(bad: list[BadRow]) -> Invalid:
    """The refusal of a file without a row that can be billed, with its first problems."""
    problems = {f"line {row.line_no}": f"{row.field} {row.reason}" for row in bad[:10]}
    return Invalid("The report holds no row that can be billed", details=problems)


def _dataset(mapping: Mapping, rows: list[UsageRow]) -> Dataset:
    start = month_start(min(row.occurred_at for row in rows))
    end = next_month(max(row.occurred_at for row in rows))
    label = f"{start:%Y-%m}"
    codes = {
        currency: _plan_code(mapping, label, currency) for currency in sorted({row.currency for row in rows})
    }
    buyers = dict.fromkeys((row.customer_external_id, row.currency) for row in rows)
    return Dataset(
        code=f"{mapping.code}-{label}",
        title=f"{mapping.title}, {start:%B %Y}",
        customers=_customers(rows),
        meters=_meters(rows),
        plans=tuple(
            Plan(
                code,
                f"{mapping.title} {mapping.price_word} price {label} {currency}",
                currency,
                Decimal(0),
                _charges(rows, currency),
            )
            for currency, code in codes.items()
        ),
        subscriptions=tuple(
            Subscription(customer, codes[currency], start, end) for customer, currency in buyers
        ),
        events=tuple(_event(row) for row in rows),
        bill_as_of=end + USAGE_CLOSE_DELAY,
    )


def _plan_code(mapping: Mapping, label: str, currency: str) -> str:
    return f"{mapping.code}-{label}-{mapping.price_word}-{currency.lower()}"


def _customers(rows: list[UsageRow]) -> tuple[Customer, ...]:
    """In order of first appearance; a customer's own currency is that of its first row."""
    found: dict[str, Customer] = {}
    for row in rows:
        found.setdefault(
            row.customer_external_id, Customer(row.customer_external_id, row.customer_name, row.currency)
        )
    return tuple(found.values())


def _meters(rows: list[UsageRow]) -> tuple[Meter, ...]:
    found: dict[str, Meter] = {}
    for row in rows:
        found.setdefault(row.meter_code, Meter(row.meter_code, row.description, row.unit))
    return tuple(found.values())


def _charges(rows: list[UsageRow], currency: str) -> tuple[Charge, ...]:
    found: dict[str, Charge] = {}
    for row in rows:
        if row.currency == currency and row.meter_code not in found:
            amount = {"unit_amount": f"{row.unit_price:f}"}
            found[row.meter_code] = Charge(row.meter_code, "standard", amount, row.description)
    return tuple(found.values())


def _event(row: UsageRow) -> Event:
    return Event(
        source=row.event_source,
        id=row.event_id,
        customer_external_id=row.customer_external_id,
        meter_code=row.meter_code,
        quantity=row.quantity,
        occurred_at=row.occurred_at,
        properties=row.dimensions,
    )


def month_start(moment: datetime) -> datetime:
    """The first instant of `moment`'s month, in UTC."""
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def next_month(moment: datetime) -> datetime:
    """The first instant of the month after `moment`'s."""
    return month_start(month_start(moment) + timedelta(days=32))
