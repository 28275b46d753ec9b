"""Lists of telephone and internet subscribers: who has which services, under which contract, for how much a month, and who left.

Every row is one subscriber. Sex, age and family are in such lists and are not read. The price is the row's own monthly charge: it lies near a price list
(telephone 20, DSL 25, fibre 50, each addition 5 or 10) but seldom on it, so a plan is a set of services at a monthly charge.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import BinaryIO

from tallystick.billing.importers import values
from tallystick.billing.importers.reader import BadRow, Record, open_csv
from tallystick.billing.importers.values import BadValue, decimals
from tallystick.kernel.errors import Invalid

ID, PRICE, CONTRACT, LEFT = "customerID", "MonthlyCharges", "Contract", "Churn"
INTERNET = {"DSL": "DSL", "Fiber optic": "fibre", "No": ""}
CONTRACTS = frozenset({"Month-to-month", "One year", "Two year"})
ADDITIONS = {
    "MultipleLines": "more lines",
    "OnlineSecurity": "security",
    "OnlineBackup": "backup",
    "DeviceProtection": "device protection",
    "TechSupport": "support",
    "StreamingTV": "TV",
    "StreamingMovies": "films",
}
SUBSCRIBERS = frozenset({ID, PRICE, CONTRACT, LEFT, "PhoneService", "InternetService", *ADDITIONS})
"""The columns by which such a list is known."""

MAX_SUBSCRIBERS = 100_000
MAX_ID_CHARACTERS = 100
CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One row. `services` are in the order of the columns; `monthly` is what he pays a month, in dollars."""

    line_no: int
    id: str
    services: tuple[str, ...]
    contract: str
    monthly: Decimal
    left: bool

    @property
    def plan_code(self) -> str:
        """The same services at the same price are the same plan."""
        words = [re.sub(r"[^a-z]+", "", word)[:4] for word in map(str.lower, self.services)]
        return f"telco.{'.'.join(words) or 'none'}.at-{self.monthly:.2f}"

    @property
    def plan_name(self) -> str:
        """What stands on the invoice."""
        return ", ".join(self.services) or "no service"


@dataclass(frozen=True, slots=True)
class SubscriberList:
    """The good rows in file order, and the bad ones."""

    subscribers: tuple[Subscriber, ...]
    bad_rows: tuple[BadRow, ...]

    def monthly(self) -> Decimal:
        """What all of them pay a month."""
        return sum((each.monthly for each in self.subscribers), Decimal(0))


def read_subscribers(stream: BinaryIO) -> SubscriberList:
    """The whole list; a bad row is refused alone. Raises `Invalid` where the file as a whole is not such a list."""
    report = open_csv(stream)
    missing = sorted(SUBSCRIBERS.difference(report.columns))
    if missing:
        raise Invalid.field(
            "header", f"lacks {', '.join(missing)}; a list of subscribers has them", code="missing_columns"
        )
    good: list[Subscriber] = []
    bad: list[BadRow] = []
    for outcome in _unique(_read(report.records)):
        if isinstance(outcome, BadRow):
            bad.append(outcome)
        elif len(good) == MAX_SUBSCRIBERS:
            bad.append(BadRow(outcome.line_no, "row", f"is beyond the {MAX_SUBSCRIBERS:,} that are taken"))
        else:
            good.append(outcome)
    if not good:
        raise Invalid("The list holds no row that can be billed")
    return SubscriberList(tuple(good), tuple(bad))


def _unique(rows: Iterable[Subscriber | BadRow]) -> Iterator[Subscriber | BadRow]:
    lines: dict[str, int] = {}
    for row in rows:
        if isinstance(row, Subscriber):
            first = lines.setdefault(row.id, row.line_no)
            yield row if first == row.line_no else BadRow(row.line_no, ID, f"stands on line {first} already")
        else:
            yield row


def _read(records: Iterable[Record | BadRow]) -> Iterator[Subscriber | BadRow]:
    for record in records:
        if isinstance(record, BadRow):
            yield record
            continue
        cells = {name: cell.strip() for name, cell in record.cells.items()}
        problem = _problem(cells)
        yield _subscriber(record.line_no, cells) if problem is None else BadRow(record.line_no, *problem)


def _problem(cells: dict[str, str]) -> tuple[str, str] | None:
    """The first column that cannot be used, and why."""
    if not 0 < len(cells[ID]) <= MAX_ID_CHARACTERS:
        return ID, f"must have 1 to {MAX_ID_CHARACTERS} characters"
    for column, allowed in (("InternetService", INTERNET.keys()), (CONTRACT, CONTRACTS)):
        if cells[column] not in allowed:
            return column, f"is none of {', '.join(sorted(allowed))}"
    for column in ("PhoneService", LEFT):
        if cells[column] not in ("Yes", "No"):
            return column, "is neither Yes nor No"
    for column in ADDITIONS:
        if cells[column] not in ("Yes", "No", "No phone service", "No internet service"):
            return column, "is neither Yes nor No"
    try:
        if decimals(values.unit_price(cells[PRICE])) > 2:
            return PRICE, "has more than 2 decimals"
    except BadValue as problem:
        return PRICE, str(problem)
    return None


def _subscriber(line_no: int, cells: dict[str, str]) -> Subscriber:
    services = ["telephone"] if cells["PhoneService"] == "Yes" else []
    if INTERNET[cells["InternetService"]]:
        services.append(INTERNET[cells["InternetService"]])
    services += [word for column, word in ADDITIONS.items() if cells[column] == "Yes"]
    return Subscriber(
        line_no, cells[ID], tuple(services), cells[CONTRACT], values.unit_price(cells[PRICE]), cells[LEFT] == "Yes"
    )  # fmt: skip
