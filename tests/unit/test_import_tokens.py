"""Token traces: two events a row on graduated prices, customers dealt by line, bad rows refused alone."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from tallystick.billing.importers.discover import load, recognise
from tallystick.billing.importers.plan import ImportPlan
from tallystick.billing.importers.tokens import INPUT, OUTPUT, PRICES, TOKENS, in_tiers, plan_tokens
from tallystick.kernel.errors import Invalid
from tallystick.rating.domain import amount_of, compile_price

FIXTURE = Path(__file__).parent / "fixtures" / "tokens_small.csv"


def plan() -> ImportPlan:
    return load(recognise(FIXTURE))


def test_each_row_is_two_events_and_bad_rows_are_refused_alone() -> None:
    report = plan()
    assert report.mapping is TOKENS
    assert report.event_lines == (2, 2, 3, 3, 8, 8, 9, 9, 10, 10)
    assert [(row.line_no, row.field, row.reason) for row in report.bad_rows] == [
        (4, INPUT, "is not a whole number of tokens"),
        (5, INPUT, "is not a finite number"),
        (6, "TIMESTAMP", "is not a date and time like 2024-09-01T00:00:00Z"),
        (7, OUTPUT, "is negative; enter a correction as a credit"),
    ]
    first, second, *_ = report.dataset.events
    assert (first.meter_code, first.quantity) == ("llm.tokens-small.input-tokens", Decimal(1_500_000))
    assert (second.meter_code, second.quantity) == ("llm.tokens-small.output-tokens", Decimal(10))
    assert first.occurred_at == second.occurred_at == datetime(2024, 3, 1, 0, 0, 0, 123456, tzinfo=UTC)


def test_rows_are_dealt_to_customers_by_their_line_whatever_is_refused() -> None:
    dealt = [each.customer_external_id for each in plan().dataset.events][::2]
    assert dealt == ["tokens-small-1", "tokens-small-2", "tokens-small-7", "tokens-small-8", "tokens-small-1"]


def test_requests_of_one_instant_are_different_events_and_a_repeat_names_them_alike() -> None:
    ids = [each.id for each in plan().dataset.events]
    assert len(set(ids)) == len(ids)
    assert ids == [each.id for each in plan().dataset.events]


def test_the_price_of_tokens_by_hand() -> None:
    priced = plan().priced
    # 2,500,000 input tokens: a million at 3.00, a million at 2.50, half a million at 2.00
    assert priced["tokens-small-1", "llm.tokens-small.input-tokens"] == Fraction("6.5")
    # 130,010 output tokens: 20,000 at 15.00, 80,000 at 12.00, 30,010 at 10.00, each per million
    assert priced["tokens-small-1", "llm.tokens-small.output-tokens"] == Fraction("1.5601")
    assert priced["tokens-small-2", "llm.tokens-small.input-tokens"] == Fraction("0.000003")


@pytest.mark.parametrize("column", [INPUT, OUTPUT])
@pytest.mark.parametrize(
    "tokens", [0, 1, 20_000, 20_001, 100_001, 999_999, 1_000_000, 1_000_001, 2_000_001, 10**12]
)
def test_the_engine_and_the_plain_count_agree(column: str, tokens: int) -> None:
    (charge,) = [
        each
        for plan in plan().dataset.plans
        for each in plan.charges
        if each.meter_code.endswith(PRICES[column][0].replace(" ", "-"))
    ]
    price = compile_price(charge.model, charge.properties, charge.adjustments)
    assert amount_of(price, Decimal(tokens)).amount == in_tiers(tokens, PRICES[column][1])


def test_a_trace_without_a_good_row_is_refused() -> None:
    with pytest.raises(Invalid):
        plan_tokens("empty", [])
