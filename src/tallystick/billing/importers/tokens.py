"""Traces of requests to language models: a time and two counts of tokens a row, neither price nor customer.

The prices are our own sample list, graduated per million tokens, input and output apart. A file is one product, named like the file. Its rows name no customer:
they are dealt to eight in turn by their line, so that a refused row moves nobody else's. Each row is two events, one per meter.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import BinaryIO

from tallystick.billing.importers import values
from tallystick.billing.importers.dataset import Charge, Customer, Dataset, Event, Meter, Plan, Subscription
from tallystick.billing.importers.plan import (
    MAX_ROWS,
    USAGE_CLOSE_DELAY,
    ImportPlan,
    month_start,
    next_month,
    nothing_to_bill,
)
from tallystick.billing.importers.reader import BadRow, Record, open_csv
from tallystick.billing.importers.values import BadValue
from tallystick.kernel.errors import TooLarge

TIME, INPUT, OUTPUT = "TIMESTAMP", "ContextTokens", "GeneratedTokens"
CUSTOMERS = 8
CURRENCY = "USD"
MILLION = 1_000_000
SOURCE = "llm-trace"
_FINE = re.compile(r"(\.[0-9]{6})[0-9]{1,3}")

Tiers = tuple[tuple[str | None, str], ...]
PRICES: dict[str, tuple[str, Tiers]] = {
    INPUT: ("input tokens", (("1", "3.00"), ("2", "2.50"), (None, "2.00"))),
    OUTPUT: ("output tokens", (("0.02", "15.00"), ("0.1", "12.00"), (None, "10.00"))),
}
"""The sample price list: per column what it meters, and its tiers as (up to and including so many million, price of a million)."""


@dataclass(frozen=True, slots=True)
class TokenTrace:
    """The format: what it is called, and the columns by which it is known."""

    code: str = "tokens"
    title: str = "LLM token trace"
    label: str = "token"
    zone: str = "times carry no zone and are taken as UTC; what is finer than a microsecond is cut off"

    def required(self) -> tuple[str, ...]:
        """Columns without which a file is not a trace."""
        return (TIME, INPUT, OUTPUT)


TOKENS = TokenTrace()


@dataclass(frozen=True, slots=True)
class Request:
    """One row. `number` counts the rows of the file from 0, bad ones included."""

    line_no: int
    number: int
    occurred_at: datetime
    tokens: Mapping[str, int]


def read_requests(stream: BinaryIO) -> Iterator[Request | BadRow]:
    """Every row of a trace in file order, lazily. Raises `Invalid` where the file as a whole cannot be read."""
    for number, record in enumerate(open_csv(stream).records):
        if isinstance(record, BadRow):
            yield record
            continue
        yield _request(number, record)


def _request(number: int, record: Record) -> Request | BadRow:
    cells = {name: cell.strip() for name, cell in record.cells.items()}
    column = TIME
    try:
        at = values.instant(_FINE.sub(r"\1", cells[TIME]), naive_is_utc=True)
        tokens = {}
        for column in (INPUT, OUTPUT):
            tokens[column] = _whole(cells[column])
    except BadValue as problem:
        return BadRow(record.line_no, column, str(problem))
    return Request(record.line_no, number, at, tokens)


def _whole(text: str) -> int:
    count = values.quantity(text)
    if count != count.to_integral_value():
        raise BadValue("is not a whole number of tokens")
    return int(count)


def plan_tokens(name: str, rows: Iterable[Request | BadRow], *, max_rows: int = MAX_ROWS) -> ImportPlan:
    """The trace called `name` as customers, meters, a price list and events. Pure; a repeat gives an equal plan.

    Raises `Invalid` where no row can be read, `TooLarge` over `max_rows`.
    """
    requests: list[Request] = []
    bad: list[BadRow] = []
    for count, row in enumerate(rows, start=1):
        if count > max_rows:
            raise TooLarge(f"The trace has more than {max_rows} rows; split it")
        if isinstance(row, Request):
            requests.append(row)
        else:
            bad.append(row)
    if not requests:
        raise nothing_to_bill(bad)
    product = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "trace"
    events = _events(product, requests)
    lines = tuple(request.line_no for request in requests for _ in PRICES)
    return ImportPlan(TOKENS, _dataset(product, requests, events), (), (), tuple(bad), lines, priced(events))


def _customer(product: str, request: Request) -> str:
    return f"{product}-{request.number % CUSTOMERS + 1}"


def _meter(product: str, column: str) -> str:
    return f"llm.{product}.{PRICES[column][0].replace(' ', '-')}"


def _events(product: str, requests: Sequence[Request]) -> tuple[Event, ...]:
    """Two a request. Its identity is its time, and how many of the same time came before it; counts of tokens are left out."""
    seen: Counter[datetime] = Counter()
    events = []
    for request in requests:
        seen[request.occurred_at] += 1
        moment = f"{product}\x1f{request.occurred_at.isoformat()}\x1f{seen[request.occurred_at]}"
        digest = hashlib.blake2b(moment.encode(), digest_size=12).hexdigest()
        for column in PRICES:
            events.append(
                Event(
                    SOURCE, f"{digest}-{column}", _customer(product, request), _meter(product, column),
                    Decimal(request.tokens[column]), request.occurred_at, {"product": product},
                )
            )  # fmt: skip
    return tuple(events)


def _dataset(product: str, requests: Sequence[Request], events: Sequence[Event]) -> Dataset:
    times = [request.occurred_at for request in requests]
    start, end = month_start(min(times)), next_month(max(times))
    code = f"tokens-{product}-{CURRENCY.lower()}"
    customers = sorted({event.customer_external_id for event in events})
    return Dataset(
        code=f"tokens-{product}-{start:%Y-%m}",
        title=f"{TOKENS.title} {product}, {start:%B %Y}, on our sample prices",
        customers=tuple(Customer(each, f"{product} customer {each[-1]}", CURRENCY) for each in customers),
        meters=tuple(
            Meter(_meter(product, column), f"{product}: {word}", "token")
            for column, (word, _) in PRICES.items()
        ),
        plans=(Plan(code, f"{product} tokens", CURRENCY, Decimal(0), _charges(product)),),
        subscriptions=tuple(Subscription(each, code, start, end) for each in customers),
        events=tuple(events),
        bill_as_of=end + USAGE_CLOSE_DELAY,
    )


def _charges(product: str) -> tuple[Charge, ...]:
    return tuple(
        Charge(
            _meter(product, column),
            "graduated",
            {"tiers": [{"up_to": up_to, "unit_amount": amount} for up_to, amount in tiers]},
            f"{product}: {word}, price per million",
            {"unit_conversion": {"divide": str(MILLION)}},
        )
        for column, (word, tiers) in PRICES.items()
    )


def priced(events: Iterable[Event]) -> dict[tuple[str, str], Fraction]:
    """What each customer's meter comes to: whole tokens counted into their tiers one after another, apart from the rating engine."""
    totals: dict[tuple[str, str], int] = defaultdict(int)
    for event in events:
        totals[event.customer_external_id, event.meter_code] += int(event.quantity)
    lists = {word.replace(" ", "-"): tiers for word, tiers in PRICES.values()}
    return {key: in_tiers(count, lists[key[1].rsplit(".", 1)[1]]) for key, count in totals.items()}


def in_tiers(tokens: int, tiers: Tiers) -> Fraction:
    """The price of so many tokens, each in its own tier."""
    amount, below = Fraction(0), 0
    for up_to, price in tiers:
        upper = tokens if up_to is None else min(tokens, int(Decimal(up_to) * MILLION))
        amount += Fraction(Decimal(price)) * max(0, upper - below) / MILLION
        below = max(below, upper)
    return amount
