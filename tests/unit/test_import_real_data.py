"""The published files that `make demo DATA=…` bills; they are not part of this repository."""

import csv
import os
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from tallystick.billing.importers.compare import compare, compared, exact_lines
from tallystick.billing.importers.discover import discover, load
from tallystick.billing.importers.mapping import Mapping
from tallystick.billing.importers.plan import ImportPlan
from tallystick.billing.importers.subscribers import read_subscribers

DATA = os.environ.get("TALLYSTICK_REAL_DATA", "")

pytestmark = pytest.mark.skipif(
    not DATA, reason="TALLYSTICK_REAL_DATA does not name a folder with the published FOCUS and OCI reports"
)


def plan(code: str) -> ImportPlan:
    (report,) = [each for each in discover(Path(DATA)).reports if each.mapping.code == code]
    return load(report)


def test_focus_858_of_860_rows_agree_and_the_two_others_are_priced_per_block() -> None:
    report = plan("focus")
    assert isinstance(report.mapping, Mapping)
    result = compare(report.mapping, report.expectations)
    assert result.sentence() == "858 of 860 FOCUS rows agree to the last digit"
    assert [(each.line_no, each.provider) for each in result.differences] == [
        (858, "Microsoft"),
        (861, "Microsoft"),
    ]
    assert all("priced per block of 10,000 units" in each.reason for each in result.differences)
    assert [(each.line_no, each.category) for each in report.not_billed] == [(408, "Credit")]
    assert report.bad_rows == ()


def test_focus_catalog() -> None:
    dataset = plan("focus").dataset
    assert [each.code for each in dataset.plans] == ["focus-2024-09-list-usd"]
    assert (len(dataset.customers), len(dataset.meters), len(dataset.events)) == (61, 228, 860)
    assert len({(each.source, each.id) for each in dataset.events}) == 860
    assert len(exact_lines(plan("focus").expectations)) == 405


def test_oci_317_of_317_rows_agree() -> None:
    report = plan("oci")
    assert isinstance(report.mapping, Mapping)
    assert (
        compare(report.mapping, report.expectations).sentence()
        == "317 of 317 OCI rows agree to the last digit"
    )
    assert (report.not_billed, report.bad_rows) == ((), ())
    assert (len(report.dataset.customers), len(report.dataset.meters)) == (1, 13)


def test_cur_712_rows_agree_at_the_list_price_and_665_at_the_price_charged() -> None:
    report = plan("cur")
    charged, listed = compared(report)
    assert charged is not None
    assert listed is not None
    assert charged.sentence() == "665 of 712 AWS CUR rows agree to the last digit at the charged price"
    assert listed.sentence() == "712 of 712 AWS CUR rows agree to the last digit at the list price"
    (cause,) = {each.cause for each in charged.differences}
    assert "a sum of parts" in cause
    assert max(abs(each.ours - each.reports) for each in charged.differences) < Decimal("2e-10")
    assert {row.category for row in report.not_billed} == {"Tax"}
    assert (len(report.not_billed), report.bad_rows) == (12, ())
    assert len({each.id for each in report.dataset.events}) == len(report.dataset.events) == 712


def test_tokens_are_all_read_and_priced() -> None:
    for report in discover(Path(DATA)).reports:
        if report.mapping.code != "tokens":
            continue
        with report.path.open() as stream:
            rows = [
                (int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(stream)
            ]
        sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for number, (given, made) in enumerate(rows):
            sums[number % 8][0] += given
            sums[number % 8][1] += made
        expected = {}
        for number, (given, made) in sums.items():
            who, meter = f"{report.path.stem}-{number + 1}", f"llm.{report.path.stem}"
            # millions at 3.00, then 2.50, then 2.00; output 20,000 at 15.00, to 100,000 at 12.00, then 10.00 a million
            expected[who, f"{meter}.input-tokens"] = Fraction(
                min(given, 10**6) * 300
                + min(max(given - 10**6, 0), 10**6) * 250
                + max(given - 2 * 10**6, 0) * 200,
                10**8,
            )
            expected[who, f"{meter}.output-tokens"] = Fraction(
                min(made, 20_000) * 15
                + min(max(made - 20_000, 0), 80_000) * 12
                + max(made - 100_000, 0) * 10,
                10**6,
            )
        found = load(report)
        assert found.bad_rows == ()
        assert found.priced == expected
        assert len(found.dataset.events) == 2 * len(rows)


def test_the_list_of_subscribers() -> None:
    (path,) = discover(Path(DATA)).subscribers
    with path.open("rb") as stream:
        listed = read_subscribers(stream)
    assert (len(listed.subscribers), listed.bad_rows) == (5636, ())
    assert listed.monthly() == Decimal("366877.45")
    assert sum(each.left for each in listed.subscribers) == 1485
    assert len({each.plan_code for each in listed.subscribers}) == 3702
