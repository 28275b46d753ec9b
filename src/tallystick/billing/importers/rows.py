"""Records of any mapped format as usage rows, each either billed, kept off the bill with a reason, or refused."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import BinaryIO, TypeAlias

from tallystick.billing.importers import values
from tallystick.billing.importers.cur import CUR
from tallystick.billing.importers.focus import FOCUS
from tallystick.billing.importers.mapping import Mapping
from tallystick.billing.importers.oci import OCI
from tallystick.billing.importers.reader import BadRow, CsvReport, Record, open_csv
from tallystick.billing.importers.values import BadValue
from tallystick.kernel.currencies import EXPONENTS
from tallystick.kernel.errors import Invalid

MAPPINGS: tuple[Mapping, ...] = (FOCUS, OCI, CUR)

MAX_ID_CHARACTERS = 255
MAX_METER_CODE_CHARACTERS = 100
MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One row of usage. Quantity, price and cost are exact as written; `occurred_at` is UTC.

    `expected_cost` is the report's own cost, None where it states none. `consumed` is the quantity before the provider
    divided it by a pricing block, `list_price` and `list_cost` what the row would cost at the public price, where the format tells.
    """

    line_no: int
    event_source: str
    event_id: str
    customer_external_id: str
    customer_name: str
    meter_code: str
    quantity: Decimal
    unit: str
    occurred_at: datetime
    unit_price: Decimal
    currency: str
    expected_cost: Decimal | None
    dimensions: dict[str, str]
    description: str
    category: str
    provider: str
    consumed: Decimal | None
    list_price: Decimal | None = None
    list_cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class NotBilled:
    """A row that is well-formed but is not billable usage, and why."""

    line_no: int
    category: str
    reason: str


Outcome: TypeAlias = UsageRow | NotBilled | BadRow


def mapping_for(columns: Iterable[str]) -> Mapping | None:
    """The format a header belongs to, None where it is none we know."""
    present = set(columns)
    return next((mapping for mapping in MAPPINGS if present.issuperset(mapping.required())), None)


def read_usage(stream: BinaryIO, mapping: Mapping) -> Iterator[Outcome]:
    """Every row of a report in `mapping`'s format, in file order, lazily.

    Raises `Invalid` at the first step where the file as a whole cannot be read or lacks columns (all of them named).
    Reading the same file twice gives the same event ids.
    """
    report = open_csv(stream)
    missing = [name for name in mapping.required() if name not in report.columns]
    if missing:
        raise Invalid.field(
            "header",
            f"lacks {', '.join(missing)}; a file of the format {mapping.title} has them",
            code="missing_columns",
        )
    return _usage(report, mapping)


def _usage(report: CsvReport, mapping: Mapping) -> Iterator[Outcome]:
    seen: Counter[bytes] = Counter()
    for record in report.records:
        if isinstance(record, BadRow):
            yield record
            continue
        try:
            yield _outcome(record, mapping, seen)
        except _CellProblem as problem:
            yield BadRow(record.line_no, problem.column, problem.reason)


class _CellProblem(Exception):
    def __init__(self, column: str, reason: str) -> None:
        self.column, self.reason = column, reason
        super().__init__(f"{column} {reason}")


def _outcome(record: Record, mapping: Mapping, seen: Counter[bytes]) -> Outcome:
    cells = {
        name: "" if (text := cell.strip()) in mapping.nulls else text for name, cell in record.cells.items()
    }
    event_id = _event_id(cells, mapping, seen)
    for rule in mapping.rules:
        word = cells[rule.column].lower()
        if word not in rule.billed:
            return NotBilled(record.line_no, cells[mapping.category], rule.reasons.get(word, rule.otherwise))
    for column in (mapping.quantity, mapping.unit_price):
        if not cells[column]:
            return NotBilled(record.line_no, cells[mapping.category], f"the report states no {column}")
    return _row(record.line_no, event_id, cells, mapping)


def _row(line_no: int, event_id: str, cells: dict[str, str], mapping: Mapping) -> UsageRow:
    provider = (cells.get(mapping.provider, "") if mapping.provider else "") or mapping.provider_default
    customer = _filled(cells, mapping.customer)
    sku, unit = _filled(cells, mapping.sku), _filled(cells, (mapping.unit,))
    price = _decimal(cells, mapping.unit_price, price=True)
    return UsageRow(
        line_no=line_no,
        event_source=mapping.source,
        event_id=event_id,
        customer_external_id=customer,
        customer_name=_name(
            next((cells[name] for name in mapping.customer_name if cells.get(name)), customer)
        ),
        meter_code=meter_code(provider, sku, unit, price),
        quantity=_decimal(cells, mapping.quantity, price=False),
        unit=unit,
        occurred_at=_instant(cells, mapping),
        unit_price=price,
        currency=_currency(cells, mapping.currency),
        expected_cost=_optional(cells, mapping.cost),
        dimensions={word: cells[name] for word, name in mapping.dimensions.items() if cells.get(name)},
        description=_name(cells[mapping.description] or sku),
        category=cells[mapping.category],
        provider=provider,
        consumed=_optional(cells, mapping.consumed),
        list_price=_optional(cells, mapping.list_price),
        list_cost=_optional(cells, mapping.list_cost),
    )


def meter_code(provider: str, sku: str, unit: str, price: Decimal) -> str:
    """The meter of a SKU at one price: the same row always names the same meter, whatever else its file holds.

    The price is part of the code because a SKU may be sold at two of them in one report; it also makes it harmless that
    letters' case and rare characters are lost: two SKUs that would share a code are then priced alike.
    """
    words = [re.sub(r"[^a-z0-9.]+", "-", word.lower()).strip("-.") for word in (provider, sku, unit)]
    code = ".".join(word or "x" for word in words) + f".at-{price:f}"
    if len(code) <= MAX_METER_CODE_CHARACTERS:
        return code
    digest = hashlib.blake2b(code.encode(), digest_size=8).hexdigest()
    return f"{code[: MAX_METER_CODE_CHARACTERS - len(digest) - 1]}-{digest}"


def _event_id(cells: dict[str, str], mapping: Mapping, seen: Counter[bytes]) -> str:
    """The row's own id, else a digest of its identity and how many of the same came before it in this file."""
    if mapping.event_id is not None:
        return _filled(cells, (mapping.event_id,))
    named = (*mapping.identity, *mapping.identity_if_present)
    identity = "\x1f".join(cells.get(name, "") for name in named)
    digest = hashlib.blake2b(identity.encode(), digest_size=16)
    seen[digest.digest()] += 1
    return f"{digest.hexdigest()}-{seen[digest.digest()]}"


def _filled(cells: dict[str, str], columns: tuple[str, ...]) -> str:
    value = next((cells[name] for name in columns if cells.get(name)), "")
    if not value:
        raise _CellProblem(columns[0], "is empty")
    if len(value) > MAX_ID_CHARACTERS:
        raise _CellProblem(columns[0], f"is longer than {MAX_ID_CHARACTERS} characters")
    return value


def _name(text: str) -> str:
    """A name as long as a name may be; the rest of a longer one is dropped, as it identifies nothing."""
    return text if len(text) <= MAX_NAME_CHARACTERS else text[: MAX_NAME_CHARACTERS - 1] + "…"


def _decimal(cells: dict[str, str], column: str, *, price: bool) -> Decimal:
    try:
        return values.unit_price(cells[column]) if price else values.quantity(cells[column])
    except BadValue as problem:
        raise _CellProblem(column, str(problem)) from None


def _optional(cells: dict[str, str], column: str | None) -> Decimal | None:
    if column is None or not cells.get(column):
        return None
    try:
        return values.number(cells[column])
    except BadValue as problem:
        raise _CellProblem(column, str(problem)) from None


def _instant(cells: dict[str, str], mapping: Mapping) -> datetime:
    try:
        return values.instant(_filled(cells, (mapping.occurred_at,)), naive_is_utc=mapping.naive_is_utc)
    except BadValue as problem:
        raise _CellProblem(mapping.occurred_at, str(problem)) from None


def _currency(cells: dict[str, str], column: str) -> str:
    if cells[column] not in EXPONENTS:
        raise _CellProblem(column, "is not an ISO 4217 currency code")
    return cells[column]
