"""What a bill looks like on a terminal or as JSON, as plain values: filled by a command, printed by `cli.statement`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tallystick.billing.importers.compare import Comparison
from tallystick.billing.importers.reader import BadRow
from tallystick.billing.importers.rows import NotBilled


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One invoice line. `exact` is the amount before its one rounding to `amount`; `quantity` None for a fee."""

    description: str
    quantity: Decimal | None
    unit: str
    exact: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class TaxLine:
    """One tax on the statement, in the statement's currency."""

    name: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Statement:
    """One customer's invoice; `reference` is the customer's own id in the source. `first_day` and `last_day` are local dates of `timezone`, both included."""

    customer: str
    reference: str
    number: str
    first_day: date
    last_day: date
    timezone: str
    currency: str
    lines: tuple[StatementLine, ...]
    net: Decimal
    taxes: tuple[TaxLine, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """The sum of all statements in one currency."""

    currency: str
    invoices: int
    lines: int
    net: Decimal
    tax: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class LineCheck:
    """How many invoice lines are, before rounding, exactly what they must be: the sum of the report rows behind them, or `what`."""

    label: str
    agreeing: int
    compared: int
    what: str = "the exact sum of their rows"

    def sentence(self) -> str:
        """`406 of 406 FOCUS invoice lines are the exact sum of their rows`."""
        return f"{self.agreeing} of {self.compared} {self.label} invoice lines are {self.what}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the work: how long it took and how much it handled (`860 events`)."""

    name: str
    seconds: float
    count: int
    unit: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one line costs what it costs, as sentences that can be checked by hand."""

    customer: str
    invoice: str
    line: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of a source's events: stored now, there already, there with other contents, refused."""

    accepted: int
    duplicate: int
    conflict: int
    invalid: int

    def sentence(self) -> str:
        """`860 events: 860 accepted`; only what there is is named."""
        counts = {
            "accepted": self.accepted,
            "there already": self.duplicate,
            "in conflict with what is there": self.conflict,
            "refused": self.invalid,
        }
        named = [f"{count:,} {word}" for word, count in counts.items() if count]
        return f"{sum(counts.values()):,} events: {', '.join(named) or 'none'}"


@dataclass(frozen=True, slots=True)
class Source:
    """One billed source (a report or the sample) and what was left out of it. `parked` are accounts that could not be billed.

    `list_comparison` stands beside `comparison` where a report states two prices. `zone` says which zone its times are in.
    """

    title: str
    statements: tuple[Statement, ...]
    comparison: Comparison | None = None
    line_check: LineCheck | None = None
    not_billed: tuple[NotBilled, ...] = ()
    bad_rows: tuple[BadRow, ...] = ()
    verdicts: Verdicts | None = None
    parked: tuple[str, ...] = ()
    list_comparison: Comparison | None = None
    zone: str = ""


@dataclass(frozen=True, slots=True)
class BillReport:
    """Everything a billing command has to tell. `next_commands` are (command, what it shows)."""

    sources: tuple[Source, ...]
    totals: tuple[CurrencyTotal, ...]
    steps: tuple[Step, ...]
    explanation: Explanation | None
    remarks: tuple[str, ...] = ()
    next_commands: tuple[tuple[str, str], ...] = ()


def currency_totals(statements: Sequence[Statement]) -> tuple[CurrencyTotal, ...]:
    """One row per currency, in alphabetical order."""
    found = []
    for currency in sorted({statement.currency for statement in statements}):
        own = [statement for statement in statements if statement.currency == currency]
        net, total = sum((s.net for s in own), Decimal(0)), sum((s.total for s in own), Decimal(0))
        found.append(
            CurrencyTotal(currency, len(own), sum(len(s.lines) for s in own), net, total - net, total)
        )
    return tuple(found)
