"""What is printed: every number whole, sums that add up, foreign text harmless."""

import io
import time
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from tallystick.billing.importers.compare import compared
from tallystick.billing.importers.discover import load, recognise
from tallystick.cli.bill_report import (
    BillReport,
    Explanation,
    LineCheck,
    Source,
    Statement,
    StatementLine,
    Step,
    TaxLine,
    currency_totals,
)
from tallystick.cli.progress import PATIENCE_SECONDS, Steps
from tallystick.cli.statement import bill_console, render


def statement(customer: str = "Harbor", lines: int = 2, currency: str = "EUR") -> Statement:
    own = tuple(
        StatementLine(
            f"Line {n} " + "x" * 120,
            Decimal("1234567.123456789012"),
            "WriteCapacityUnit-Hours",
            Decimal(f"{n}.774193548387096774"),
            Decimal(f"{n}.77"),
        )
        for n in range(lines)
    )
    net = sum((line.amount for line in own), Decimal(0))
    return Statement(
        customer,
        "acc-7",
        "INV-2025-000001",
        date(2025, 3, 17),
        date(2025, 3, 31),
        "Europe/Paris",
        currency,
        own,
        net,
        (TaxLine("VAT 20 %", Decimal("1.00")),),
        net + 1,
    )


def printed(report: BillReport, width: int = 100, shown_lines: int | None = 8) -> str:
    out = io.StringIO()
    render(report, Console(file=out, width=width, highlight=False), shown_lines)
    return out.getvalue()


def report(*statements: Statement) -> BillReport:
    return BillReport(
        (Source("Sample", statements),),
        currency_totals(statements),
        (Step("events", 0.5, 2000, "events"),),
        Explanation("Harbor", "INV-1", "API calls", ("first 10,000 calls at 0.00 = 0.00",)),
    )


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_number_is_cut_and_no_line_is_too_wide(width: int) -> None:
    text = printed(report(statement()), width)
    assert max(len(line) for line in text.splitlines()) <= min(width, 100)
    for number in ("1,234,567.123456789012", "1.774193548387…", "1.77", "2.54", "3.54"):
        assert number in text


def test_smaller_lines_are_gathered_and_still_add_up() -> None:
    text = printed(report(statement(lines=12)), shown_lines=8)
    assert "and 4 smaller lines" in text
    assert "9.08" in text  # 0.77 + 1.77 + 2.77 + 3.77
    assert "Line 11" in text
    assert "Line 3 " not in text
    assert "smaller lines" not in printed(report(statement(lines=12)), shown_lines=None)
    assert "smaller lines" not in printed(report(statement(lines=9)), shown_lines=8)


def test_totals_are_per_currency() -> None:
    totals = currency_totals([statement(), statement(), statement(currency="USD")])
    assert [(each.currency, each.invoices, each.net, each.tax, each.total) for each in totals] == [
        ("EUR", 2, Decimal("5.08"), Decimal("2.00"), Decimal("7.08")),
        ("USD", 1, Decimal("2.54"), Decimal("1.00"), Decimal("3.54")),
    ]


def test_foreign_text_cannot_steer_the_terminal() -> None:
    text = printed(report(statement(customer="[red]Evil[/red] \x1b[2J\u202egnp\x07")))
    assert "[red]Evil[/red]" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\x07" not in text


def test_the_comparison_is_stated_in_full() -> None:
    plan = load(recognise(Path(__file__).parent / "fixtures" / "focus_small.csv"))
    source = Source(
        plan.dataset.title,
        (statement(),),
        compared(plan)[0],
        LineCheck("FOCUS", 6, 6),
        plan.not_billed,
        plan.bad_rows,
    )
    text = printed(BillReport((source,), (), (), None))
    assert "4 of 5 FOCUS rows agree to the last digit" in text
    assert "6 of 6 FOCUS invoice lines are the exact sum of their rows" in text
    assert "line 5 cannot agree: Cumulus, Operations" in text
    assert "line 7 is not billed: a credit is not usage" in text
    assert "1 billed rows state no cost" in text


def test_rows_with_one_reason_are_told_together_and_every_line_is_named() -> None:
    plan = load(recognise(Path(__file__).parent / "fixtures" / "cur_small.csv"))
    row = plan.expectations[2]
    rows = tuple(replace(row, line_no=number) for number in (5, 6, 7, 9, 12))
    charged, listed = compared(replace(plan, expectations=rows))
    left_out = tuple(replace(plan.not_billed[0], line_no=number) for number in (2, 3, 4, 5))
    source = Source(
        "CUR", (statement(),), charged, not_billed=left_out, list_comparison=listed, zone="times are UTC"
    )
    text = " ".join(printed(BillReport((source,), (), (), None)).split())
    assert "0 of 5 AWS CUR rows agree to the last digit at the charged price" in text
    assert "5 of 5 AWS CUR rows agree to the last digit at the list price" in text
    assert "5 rows (lines 5 to 7, 9, 12) cannot agree for one reason" in text
    assert "For example line 5: quantity × charged price = 0.0000002552 × 0.02" in text
    assert "4 rows (lines 2 to 5) are not billed: a tax is not usage" in text
    assert "times are UTC" in text


def test_steps_are_timed_and_silent_where_there_is_no_terminal() -> None:
    ticks = iter([10.0, 12.5])
    out = io.StringIO()
    steps = Steps(bill_console(out), lambda: next(ticks))
    with steps.step("events", 3, "events") as advance:
        advance(3)
    assert steps.done == [Step("events", 2.5, 3, "events")]
    assert out.getvalue() == ""


def test_a_step_that_fails_is_not_done() -> None:
    steps = Steps(bill_console(io.StringIO()), lambda: 0.0)
    with pytest.raises(ZeroDivisionError), steps.step("events", 3, "events"):
        _ = 1 / 0
    assert steps.done == []


def test_a_step_longer_than_two_seconds_shows_a_bar_on_a_terminal_and_takes_it_away() -> None:
    out = io.StringIO()
    steps = Steps(Console(file=out, force_terminal=True, width=80), time.monotonic)
    with steps.step("events", 4, "events") as advance:
        advance(1)
        time.sleep(PATIENCE_SECONDS + 0.4)
    assert "1/4" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K")
    with steps.step("quick", 4, "events"):
        before = len(out.getvalue())
    assert len(out.getvalue()) == before
