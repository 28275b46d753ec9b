"""AWS cost reports: what is billed at which price, which rows can agree with the report's cost, and whose identity a row has."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tallystick.billing.importers.compare import compare, compare_list, compared
from tallystick.billing.importers.cur import CUR
from tallystick.billing.importers.discover import load, recognise
from tallystick.billing.importers.plan import ImportPlan

FIXTURE = Path(__file__).parent / "fixtures" / "cur_small.csv"


def plan() -> ImportPlan:
    return load(recognise(FIXTURE))


def changed(path: Path, before: str, after: str) -> ImportPlan:
    text = FIXTURE.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    return load(recognise(path))


def test_usage_is_billed_at_the_rate_charged_and_the_rest_is_named() -> None:
    report = plan()
    assert report.mapping is CUR
    assert [
        (row.line_no, row.quantity, row.unit_price, row.expected_cost) for row in report.expectations
    ] == [
        (3, Decimal(4), Decimal("0.0000005"), Decimal("0.000002")),
        (4, Decimal(6), Decimal("0.0000005"), Decimal("0.000003")),
        (5, Decimal("0.0000002552"), Decimal("0.02"), Decimal("0.0000000052")),
        (6, Decimal(1000), Decimal(0), Decimal(0)),
    ]
    assert [(row.line_no, row.category) for row in report.not_billed] == [
        (2, "Tax"),
        (8, "SavingsPlanNegation"),
    ]
    assert [(row.line_no, row.field) for row in report.bad_rows] == [(7, "lineItem/UsageAmount")]
    assert [each.code for each in report.dataset.plans] == ["cur-2024-03-charged-usd"]
    assert {each.code for each in report.dataset.meters} == {
        "store.eu-requests.requests.at-0.0000005",
        "store.eu-us-out-bytes.gb.at-0.02",
        "queue.eu-requests.requests.at-0",
    }
    assert report.expectations[0].occurred_at == datetime(2024, 3, 1, 5, tzinfo=UTC)
    assert [each.external_id for each in report.dataset.customers] == ["1001", "1002"]


def test_a_cost_added_up_from_rounded_parts_cannot_agree_and_says_so() -> None:
    result = compare(CUR, plan().expectations)
    assert result.sentence() == "3 of 4 AWS CUR rows agree to the last digit at the charged price"
    (difference,) = result.differences
    assert difference.line_no == 5
    assert "sum of parts, each rounded to 10 decimals" in difference.cause
    assert "0.0000002552 × 0.02 = 0.000000005104, the report says 0.0000000052" in difference.reason


def test_the_list_price_is_compared_beside_it() -> None:
    report = plan()
    listed = compare_list(CUR, report.expectations)
    assert listed is not None
    assert listed.sentence() == "4 of 4 AWS CUR rows agree to the last digit at the list price"
    assert compared(report) == (compare(CUR, report.expectations), listed)


def test_a_cost_far_off_is_not_excused_as_rounding() -> None:
    row = replace(plan().expectations[2], expected_cost=Decimal("0.0000000072"))
    (difference,) = compare(CUR, [row]).differences
    assert difference.cause == ""


def test_a_line_item_id_that_repeats_is_not_the_same_row_and_one_that_changes_is() -> None:
    ids = [row.event_id for row in plan().expectations]
    assert len(set(ids)) == 4


def test_a_second_delivery_of_a_day_that_was_not_over_shows_as_the_same_row(tmp_path: Path) -> None:
    later = changed(tmp_path / "later.csv", "2024-03-01T06:00:00.000Z", "2024-03-01T23:00:00.000Z")
    other = changed(tmp_path / "other.csv", "line2,", "renamed,")
    for each in (later, other):
        assert [row.event_id for row in each.expectations] == [row.event_id for row in plan().expectations]


def test_operations_and_rates_make_rows_of_their_own(tmp_path: Path) -> None:
    before = plan().expectations[0].event_id
    for word, instead in (("PutObject,4.0", "CopyObject,4.0"), (",R1,2.0E-6", ",R9,2.0E-6")):
        assert changed(tmp_path / "f.csv", word, instead).expectations[0].event_id != before
