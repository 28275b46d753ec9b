"""From rows to a catalog, and our money beside the report's."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from tallystick.billing.importers.compare import compare, exact_lines
from tallystick.billing.importers.discover import discover, load, recognise
from tallystick.billing.importers.focus import FOCUS
from tallystick.billing.importers.oci import OCI
from tallystick.billing.importers.plan import ImportPlan, plan_import
from tallystick.billing.importers.rows import UsageRow, read_usage
from tallystick.kernel.errors import Invalid, NotFound, TooLarge

FIXTURES = Path(__file__).parent / "fixtures"


def focus_plan() -> ImportPlan:
    return load(recognise(FIXTURES / "focus_small.csv"))


def test_the_catalog_prices_each_sku_once_per_price() -> None:
    dataset = focus_plan().dataset
    (plan,) = dataset.plans
    assert plan.code == "focus-2024-03-list-usd"
    assert (plan.billing_cycle, plan.billing_timing, plan.alignment, plan.fee) == (
        "monthly",
        "arrears",
        "calendar",
        Decimal(0),
    )
    prices = {charge.meter_code: (charge.model, charge.properties) for charge in plan.charges}
    assert prices["nimbus.sku2.p1.gb-months.at-0.05"] == ("standard", {"unit_amount": "0.05"})
    assert prices["nimbus.sku2.p1.gb-months.at-0.04"] == ("standard", {"unit_amount": "0.04"})
    assert {meter.code for meter in dataset.meters} == set(prices)
    assert {meter.aggregation for meter in dataset.meters} == {"sum"}


def test_customers_are_sub_accounts_and_subscribe_from_the_first_of_the_month() -> None:
    dataset = focus_plan().dataset
    assert [customer.external_id for customer in dataset.customers] == ["team-a", "team-b", "payer-1"]
    assert {(each.starts_at, each.ends_at) for each in dataset.subscriptions} == {
        (datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC))
    }
    assert len(dataset.subscriptions) == 3
    assert dataset.bill_as_of == datetime(2024, 4, 1, 1, tzinfo=UTC)


def test_every_event_falls_in_its_subscription_and_names_a_meter_that_exists() -> None:
    dataset = focus_plan().dataset
    meters = {meter.code for meter in dataset.meters}
    first = dataset.subscriptions[0]
    assert all(first.starts_at <= event.occurred_at < first.ends_at for event in dataset.events)
    assert all(event.meter_code in meters for event in dataset.events)
    assert len({(event.source, event.id) for event in dataset.events}) == len(dataset.events) == 6


def test_a_customer_with_two_currencies_has_a_subscription_for_each() -> None:
    rows = [row for row in focus_plan().expectations if row.customer_external_id == "team-a"]
    plan = plan_import(FOCUS, [rows[0], replace(rows[1], currency="EUR")])
    assert [each.plan_code for each in plan.dataset.subscriptions] == [
        "focus-2024-03-list-usd",
        "focus-2024-03-list-eur",
    ]
    assert [len(each.charges) for each in plan.dataset.plans] == [1, 1]
    assert plan.dataset.customers[0].currency == "USD"


def test_a_report_over_the_turn_of_the_year_ends_after_its_last_month() -> None:
    row = focus_plan().expectations[0]
    plan = plan_import(FOCUS, [row, replace(row, occurred_at=datetime(2024, 12, 31, 23, tzinfo=UTC))])
    assert plan.dataset.subscriptions[0].ends_at == datetime(2025, 1, 1, tzinfo=UTC)


def test_a_report_with_nothing_to_bill_says_why() -> None:
    bad = [
        each
        for each in read_usage((FIXTURES / "oci_small.csv").open("rb"), OCI)
        if not isinstance(each, UsageRow)
    ]
    with pytest.raises(Invalid) as caught:
        plan_import(OCI, bad)
    assert caught.value.details == {
        "line 6": "lineItem/intervalUsageStart has no zone; this format writes UTC times with a Z"
    }


def test_a_report_with_too_many_rows_is_refused() -> None:
    row = focus_plan().expectations[0]
    with pytest.raises(TooLarge):
        plan_import(FOCUS, [row] * 3, max_rows=2)


def test_comparison_counts_what_agrees_and_explains_what_cannot() -> None:
    result = compare(FOCUS, focus_plan().expectations)
    assert result.sentence() == "4 of 5 FOCUS rows agree to the last digit"
    assert result.without_cost == 1
    (difference,) = result.differences
    assert (difference.line_no, difference.provider) == (5, "Cumulus")
    assert (difference.ours, difference.reports) == (Decimal("0.00000000008"), Decimal("0.0000008"))
    assert "priced per block of 10,000 units" in difference.reason
    assert "0.00000002 × 0.004 = 0.00000000008, the report says 0.0000008" in difference.reason


def test_a_cost_that_nothing_explains_is_stated_without_a_guess() -> None:
    row = replace(focus_plan().expectations[0], expected_cost=Decimal("0.5"), consumed=None)
    (difference,) = compare(FOCUS, [row]).differences
    assert difference.reason == "quantity × list price = 2 × 0.0000004 = 0.0000008, the report says 0.5"


@pytest.mark.parametrize(
    ("quantity", "price", "cost", "agrees"),
    [
        ("0.48632812500", "0.05", "0.0243164063", True),  # 0.02431640625: the half rounds away from zero
        ("0.48632812500", "0.05", "0.0243164062", False),
        ("0.48632812500", "0.05", "0.02431640625", True),  # written to eleven decimals: held to eleven
        ("0.48632812500", "0.05", "0.02431640626", False),
        ("0.00000000001", "0.4", "0", True),
        ("0.001", "0.4", "0", False),
    ],
)
def test_agreement_is_to_the_last_digit_that_the_report_writes(
    quantity: str, price: str, cost: str, agrees: bool
) -> None:
    row = replace(
        focus_plan().expectations[0],
        quantity=Decimal(quantity),
        unit_price=Decimal(price),
        expected_cost=Decimal(cost),
    )
    assert compare(FOCUS, [row]).agreeing == agrees


def test_exact_lines_sum_the_rows_of_a_customer_and_meter() -> None:
    row = focus_plan().expectations[0]
    again = replace(row, quantity=Decimal(5))
    assert exact_lines([row, again]) == {(row.customer_external_id, row.meter_code): Fraction(7 * 4, 10**7)}


def test_discovery_takes_known_formats_and_counts_the_rest(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "focus.csv").write_bytes((FIXTURES / "focus_small.csv").read_bytes())
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "notes.txt").write_text("not a report")
    found = discover(tmp_path)
    assert [(report.path.name, report.mapping.code) for report in found.reports] == [("focus.csv", "focus")]
    assert found.others == 2
    assert discover(tmp_path / "below" / "focus.csv").reports == found.reports
    with pytest.raises(NotFound):
        discover(tmp_path / "nowhere")
    with pytest.raises(Invalid, match="not that of a FOCUS"):
        recognise(tmp_path / "other.csv")


def test_reading_from_memory_equals_reading_from_disk() -> None:
    data = (FIXTURES / "focus_small.csv").read_bytes()
    assert plan_import(FOCUS, read_usage(io.BytesIO(data), FOCUS)) == focus_plan()
