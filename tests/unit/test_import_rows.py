"""Rows of the two formats: what is billed, what is not and why, what is refused; identities that survive a second import."""

import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tallystick.billing.importers import values
from tallystick.billing.importers.focus import FOCUS
from tallystick.billing.importers.mapping import Mapping
from tallystick.billing.importers.oci import OCI
from tallystick.billing.importers.reader import BadRow
from tallystick.billing.importers.rows import (
    MAX_METER_CODE_CHARACTERS,
    NotBilled,
    Outcome,
    UsageRow,
    mapping_for,
    meter_code,
    read_usage,
)
from tallystick.kernel.errors import Invalid

FIXTURES = Path(__file__).parent / "fixtures"


def rows(mapping: Mapping, data: bytes) -> list[Outcome]:
    return list(read_usage(io.BytesIO(data), mapping))


def focus_file() -> bytes:
    return (FIXTURES / "focus_small.csv").read_bytes()


def oci_file() -> bytes:
    return (FIXTURES / "oci_small.csv").read_bytes()


def with_cell(data: bytes, line: int, column: str, value: str) -> bytes:
    """The file with one cell changed; only for lines without quotation marks."""
    text = data.decode().split("\n")
    cells = text[line - 1].split(",")
    cells[text[0].split(",").index(column)] = value
    text[line - 1] = ",".join(cells)
    return "\n".join(text).encode()


def test_a_focus_row_is_read_exactly() -> None:
    row = rows(FOCUS, focus_file())[0]
    assert isinstance(row, UsageRow)
    assert (row.quantity, row.unit_price, row.expected_cost) == (
        Decimal(2),
        Decimal("0.0000004"),
        Decimal("0.0000008"),
    )
    assert row.occurred_at == datetime(2024, 3, 1, tzinfo=UTC)
    assert (row.customer_external_id, row.customer_name, row.currency) == ("team-a", "Team A", "USD")
    assert row.meter_code == "nimbus.sku1.p1.requests.at-0.0000004"
    assert row.dimensions == {
        "service": "Queues",
        "region": "north-1",
        "resource": "queue-1",
        "category": "Usage",
    }


def test_what_focus_bills_and_what_it_does_not() -> None:
    outcomes = rows(FOCUS, focus_file())
    assert [type(each).__name__ for each in outcomes] == ["UsageRow"] * 5 + ["NotBilled"] * 3 + ["UsageRow"]
    reasons = {each.line_no: each.reason for each in outcomes if isinstance(each, NotBilled)}
    assert "a credit is not usage" in reasons[7]
    assert "a tax is not usage" in reasons[8]
    assert (
        reasons[9] == "the report states no PricingQuantity"
        or reasons[9] == "the report states no ListUnitPrice"
    )


def test_a_row_without_sub_account_belongs_to_the_payer_and_may_lack_a_cost() -> None:
    last = rows(FOCUS, focus_file())[-1]
    assert isinstance(last, UsageRow)
    assert (last.customer_external_id, last.customer_name) == ("payer-1", "payer-1")
    assert last.expected_cost is None


def test_an_unknown_charge_category_is_not_billed() -> None:
    outcome = rows(FOCUS, with_cell(focus_file(), 2, "ChargeCategory", "Bonus"))[0]
    assert isinstance(outcome, NotBilled)
    assert "not one that FOCUS 1.0 defines" in outcome.reason


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("PricingQuantity", "NaN", "is not a finite number"),
        ("PricingQuantity", "-Infinity", "is not a finite number"),
        ("PricingQuantity", "1e400", "is out of range"),
        ("PricingQuantity", "1_000", "is not a number; write digits with a decimal point"),
        ("PricingQuantity", "١٢", "is not a number; write digits with a decimal point"),
        ("PricingQuantity", "-1", "is negative; enter a correction as a credit"),
        ("PricingQuantity", "1e18", "has more than 18 digits before the point"),
        ("PricingQuantity", "0.0000000000001", "has more than 12 decimals"),
        ("ListUnitPrice", "0.0000000000001", "has more than 12 decimals"),
        ("ListUnitPrice", "1000000000000000", "has more than 15 digits before the point"),
        ("ListUnitPrice", "$5", "is not a number; write digits with a decimal point"),
        ("ListCost", "nan", "is not a finite number"),
        ("ConsumedQuantity", "many", "is not a number; write digits with a decimal point"),
        ("BillingCurrency", "ZZZ", "is not an ISO 4217 currency code"),
        ("BillingCurrency", "usd", "is not an ISO 4217 currency code"),
        ("PricingUnit", "NULL", "is empty"),
        ("SubAccountId", "x" * 256, "is longer than 255 characters"),
        ("ChargePeriodStart", "2024-02-30 00:00:00", "is not a date and time that exists"),
        ("ChargePeriodStart", "01/03/2024", "is not a date and time like 2024-09-01T00:00:00Z"),
        ("ChargePeriodStart", "1899-01-01 00:00:00", "is not a date and time that exists"),
        ("ChargePeriodStart", "NULL", "is empty"),
    ],
)
def test_a_bad_cell_refuses_its_row_alone_and_never_repeats_the_input(
    column: str, value: str, reason: str
) -> None:
    outcomes = rows(FOCUS, with_cell(focus_file(), 2, column, value))
    assert outcomes[0] == BadRow(2, column, reason)
    assert outcomes[1:] == rows(FOCUS, focus_file())[1:]


def test_oci_rows_their_two_timestamp_forms_corrections_and_overage() -> None:
    first, second, correction, overage, naive = rows(OCI, oci_file())
    assert isinstance(first, UsageRow)
    assert (first.event_source, first.event_id) == ("oci", "r1")
    assert first.occurred_at == datetime(2023, 11, 13, 7, tzinfo=UTC)
    assert isinstance(second, UsageRow)
    assert second.occurred_at == datetime(2023, 11, 13, 7, 0, 30, tzinfo=UTC)
    assert second.quantity == Decimal("0.000000000632")
    assert isinstance(correction, NotBilled)
    assert "correction of an earlier row" in correction.reason
    assert isinstance(overage, NotBilled)
    assert "overage price" in overage.reason
    assert naive == BadRow(
        6, "lineItem/intervalUsageStart", "has no zone; this format writes UTC times with a Z"
    )


def test_a_second_import_has_the_same_identities_and_meters() -> None:
    assert rows(FOCUS, focus_file()) == rows(FOCUS, focus_file())


def ids(outcomes: list[Outcome]) -> list[str]:
    return [each.event_id for each in outcomes if isinstance(each, UsageRow)]


def test_identical_focus_rows_are_different_events_and_keep_their_order() -> None:
    header, row, *_ = focus_file().split(b"\n")
    once, thrice = (
        ids(rows(FOCUS, b"\n".join([header, row]))),
        ids(rows(FOCUS, b"\n".join([header, row, row, row]))),
    )
    assert len(set(thrice)) == 3
    assert thrice[0] == once[0]


def test_a_restated_amount_keeps_the_identity_so_that_it_shows_as_a_conflict() -> None:
    restated = with_cell(with_cell(focus_file(), 2, "PricingQuantity", "3"), 2, "ListCost", "0.0000012")
    assert ids(rows(FOCUS, restated)) == ids(rows(FOCUS, focus_file()))


@pytest.mark.parametrize("column", [name for name in FOCUS.identity if name != "ChargeCategory"])
def test_each_identifying_column_makes_another_event(column: str) -> None:
    changed = "2024-03-01 00:30:00" if column.startswith("ChargePeriod") else "other"
    assert (
        ids(rows(FOCUS, with_cell(focus_file(), 2, column, changed)))[0] != ids(rows(FOCUS, focus_file()))[0]
    )


def test_a_refused_row_does_not_move_the_identity_of_its_twin() -> None:
    header, row, *_ = focus_file().split(b"\n")
    both = b"\n".join([header, row, row])
    repaired, broken = rows(FOCUS, both), rows(FOCUS, with_cell(both, 2, "ListCost", "nan"))
    assert ids(broken) == ids(repaired)[1:]


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(Invalid) as caught:
        rows(FOCUS, b"ChargeCategory,PricingQuantity\nUsage,1\n")
    assert caught.value.code == "missing_columns"
    for name in ("SubAccountId", "ListUnitPrice", "ListCost", "ChargePeriodStart"):
        assert name in str(caught.value)


@pytest.mark.parametrize(("data", "mapping"), [(focus_file(), FOCUS), (oci_file(), OCI), (b"a,b\n", None)])
def test_a_format_is_recognised_by_its_header(data: bytes, mapping: Mapping | None) -> None:
    assert mapping_for(data.split(b"\n")[0].decode().split(",")) is mapping


def test_the_same_sku_at_two_prices_is_two_meters_and_codes_stay_short_and_plain() -> None:
    cheap, dear = (meter_code("Nimbus", "SKU 1/a", "GB-Months", Decimal(price)) for price in ("0.05", "0.06"))
    assert (cheap, dear) == ("nimbus.sku-1-a.gb-months.at-0.05", "nimbus.sku-1-a.gb-months.at-0.06")
    long = [meter_code("n", "s" * 300, "GB", Decimal(price)) for price in ("1", "2")]
    assert len(set(long)) == 2
    assert max(map(len, long)) <= MAX_METER_CODE_CHARACTERS
    assert meter_code("日本", "", "", Decimal(0)) == "x.x.x.at-0"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.0080", "0.008"),
        ("8E-3", "0.008"),
        ("1.50e2", "150"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-0.00", "0"),
        ("+7", "7"),
    ],
)
def test_numbers_are_read_exactly_and_written_plainly(text: str, value: str) -> None:
    assert f"{values.number(text):f}" == value


def test_more_digits_than_the_default_context_holds_are_kept() -> None:
    text = "123456789012345678901234567890.123456789012345678901234567891"
    assert f"{values.number(text):f}" == text


def test_an_offset_is_honoured() -> None:
    assert values.instant("2024-03-01T02:00:00+02:00", naive_is_utc=False) == datetime(2024, 3, 1, tzinfo=UTC)


def test_a_row_that_is_not_csv_is_passed_on_as_a_bad_row() -> None:
    outcomes = rows(FOCUS, focus_file() + b"cut,short\n")
    assert outcomes[-1] == BadRow(11, "row", "has 2 cells where the header has 23; the line may be cut")
