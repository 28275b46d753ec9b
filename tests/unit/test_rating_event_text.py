"""What people read of the prices that look at more than a quantity: classes of events, never events."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tallystick.rating.domain import Metered, Need, NoMatrixRow, Share, as_json, compile_price, describe, rate
from tallystick.rating.domain.aggregation import Aggregation
from tallystick.rating.domain.matrix import as_text

PART = Share(Fraction(10, 31), Fraction(10, 31))
SLICES = {
    "tiers": [
        {"up_to": "1000", "rate": "0.1", "flat_amount": "5"},
        {"up_to": 2000, "flat_amount": 3},
        {"up_to": None, "rate": "0.05"},
    ]
}
STAIRS = {
    "tiers": [
        {"up_to": 10, "flat_amount": 5},
        {"up_to": 20, "flat_amount": 9},
        {"up_to": None, "flat_amount": 15},
    ]
}
ONE_STAIR = {"tiers": [{"up_to": None, "flat_amount": 5}], "first_tier_flat_at_zero": False}
MATRIX: dict[str, Any] = {
    "dimensions": ["region", "size"],
    "rows": [
        {"values": ["eu", "s"], "unit_amount": "1"},
        {"values": {"region": "us"}, "unit_amount": "2"},
        {"values": [None, "any"], "unit_amount": "4"},
        {"values": [None, None], "unit_amount": "5"},
    ],
}
FULL_MATRIX = {**MATRIX, "rows": MATRIX["rows"][:2], "default": {"unit_amount": "3"}}
BOUNDED = {
    "rate": "0.01",
    "fixed_amount": "0.20",
    "free_events": 2,
    "free_total": "100",
    "min_per_event": "0.50",
    "max_per_event": "1",
}


def of(*values: str) -> Metered:
    return Metered(sum(map(Fraction, values), Fraction(0)), len(values), values=tuple(map(Decimal, values)))


def groups(*rows: tuple[tuple[str | None, ...], int]) -> Metered:
    return Metered(
        sum((Fraction(units) for _, units in rows), Fraction(0)),
        len(rows),
        groups=tuple((values, Fraction(units)) for values, units in rows),
    )


TOLD: list[tuple[str, dict[str, Any], Metered, Share, str, list[str]]] = [
    ("percentage", {"rate": "0.029"}, of("1000"), Share(), "units", ["2.9 % of 1,000 = 29.00"]),
    ("percentage", {"rate": "0.029"}, of(), Share(), "EUR", ["2.9 % of 0 EUR = 0.00"]),
    (
        "percentage",
        {"rate": "0.029"},
        of("-5"),
        Share(),
        "units",
        ["2.9 % of −5 = −0.145", "−0.145 is below zero and billed as 0.00", "together −0.145 + 0.145 = 0.00"],
    ),
    (
        "percentage",
        {"rate": "0.029", "fixed_amount": "0.3"},
        of("100", "50"),
        Share(),
        "EUR",
        ["2.9 % of 150 EUR = 4.35", "2 events at 0.30 each = 0.60", "together 4.35 + 0.60 = 4.95"],
    ),
    (
        "percentage",
        BOUNDED,
        of("60", "80", "10", "50", "2000", "10"),
        Share(),
        "units",
        [
            "free: 1 event of 60 in all and 40 of the event that crosses the free total",
            "1 % of 90 = 0.90",
            "2 events at 0.20 each = 0.40",
            "2 events of 20 in all at the minimum of 0.50 per event = 1.00",
            "1 event of 2,000 in all at the maximum of 1.00 per event",
            "together 0.90 + 0.40 + 1.00 + 1.00 = 3.30",
        ],
    ),
    (
        "percentage",
        {"rate": "0.01", "free_total": "62"},
        of("50"),
        PART,
        "units",
        [
            "free within 10/31 of the period's allowance: 20 of the event that crosses the free total",
            "1 % of 30 = 0.30",
        ],
    ),
    (
        "percentage",
        {"rate": "0.01", "free_events": 10},
        of("50", "1"),
        Share(),
        "units",
        ["free: 2 events of 51 in all"],
    ),
    (
        "percentage",
        {"rate": "0.01", "min_per_event": 1},
        of("50", "1", "7"),
        Share(),
        "units",
        ["3 events of 58 in all at the minimum of 1.00 per event = 3.00"],
    ),
    (
        "graduated_percentage",
        SLICES,
        Metered(Fraction(3000)),
        Share(),
        "units",
        [
            "10 % of the first 1,000 + flat fee 5.00 = 105.00",
            "next 1,000 (above 1,000 up to 2,000): flat fee 3.00",
            "5 % of the next 1,000 (above 2,000) = 50.00",
            "together 105.00 + 3.00 + 50.00 = 158.00",
        ],
    ),
    (
        "graduated_percentage",
        SLICES,
        Metered(Fraction(0)),
        Share(),
        "units",
        ["no usage: flat fee 5.00 of the first tier is due"],
    ),
    (
        "graduated_percentage",
        {"tiers": [{"up_to": None, "rate": "0.1"}]},
        Metered(Fraction(7)),
        Share(),
        "EUR",
        ["10 % of all 7 EUR = 0.70"],
    ),
    (
        "graduated_percentage",
        {"tiers": [{"up_to": None, "rate": "0.1"}]},
        Metered(Fraction(0)),
        Share(),
        "EUR",
        ["no usage: nothing is due"],
    ),
    (
        "stairstep",
        STAIRS,
        Metered(Fraction(0)),
        Share(),
        "seats",
        ["no usage: flat amount 5.00 of the first tier is due"],
    ),
    (
        "stairstep",
        STAIRS,
        Metered(Fraction(3)),
        Share(),
        "seats",
        ["all 3 seats (tier up to 10): flat amount 5.00"],
    ),
    (
        "stairstep",
        STAIRS,
        Metered(Fraction(15)),
        Share(),
        "seats",
        ["all 15 seats (tier above 10 up to 20): flat amount 9.00"],
    ),
    (
        "stairstep",
        STAIRS,
        Metered(Fraction(21)),
        Share(),
        "seats",
        ["all 21 seats (tier above 20): flat amount 15.00"],
    ),
    ("stairstep", ONE_STAIR, Metered(Fraction(1)), Share(), "units", ["all 1 unit: flat amount 5.00"]),
    ("stairstep", ONE_STAIR, Metered(Fraction(0)), Share(), "units", ["no usage: nothing is due"]),
    (
        "dynamic",
        {},
        Metered(Fraction(5), 2, Fraction(21, 2)),
        Share(),
        "units",
        ["5 units in 2 events, each event at its own unit price = 10.50"],
    ),
    (
        "dynamic",
        {},
        Metered(Fraction(5), 0, Fraction(-21, 2)),
        Share(),
        "units",
        [
            "5 units, each event at its own unit price = −10.50",
            "−10.50 is below zero and billed as 0.00",
            "together −10.50 + 10.50 = 0.00",
        ],
    ),
    (
        "matrix",
        FULL_MATRIX,
        groups((("us", "l"), 4), (("eu", "s"), 5), (("us", None), 3), ((None, None), 4), (("x", "y"), -2)),
        Share(),
        "GB",
        [
            "usage of −2 GB is below zero and billed as 0 GB",
            "row 1 (region eu, size s): 5 GB at 1.00 = 5.00",
            "row 2 (region us): 7 GB in 2 combinations at 2.00 = 14.00",
            "no row, default: 4 GB in 2 combinations at 3.00 = 12.00",
            "together 5.00 + 14.00 + 12.00 = 31.00",
        ],
    ),
    (
        "matrix",
        MATRIX,
        groups((("x", "y"), 2)),
        Share(),
        "units",
        ["row 4 (everything): 2 units at 5.00 = 10.00"],
    ),
]


@pytest.mark.parametrize(("model", "properties", "usage", "share", "unit", "text"), TOLD)
def test_sentences_carry_their_arithmetic(
    model: str, properties: dict[str, Any], usage: Metered, share: Share, unit: str, text: list[str]
) -> None:
    assert describe(rate(compile_price(model, properties), usage, share).steps, "USD", unit) == text


def test_converted_amounts_are_told_as_billed() -> None:
    price = compile_price(
        "percentage", {"rate": "0.01", "free_events": 1}, {"unit_conversion": {"divide": 100}}
    )
    assert describe(rate(price, of("100", "200")).steps, "USD", "EUR") == [
        "converted: 300 ÷ 100 = 3 EUR",
        "free: 1 event of 1 EUR in all",
        "1 % of 2 EUR = 0.02",
    ]


def test_steps_of_events_are_json() -> None:
    price = compile_price("percentage", {"rate": "0.01", "free_total": "100"})
    assert as_json(rate(price, of("60"), PART).steps[0]) == {
        "kind": "free_events",
        "events": 0,
        "units": Decimal(0),
        "split_units": Decimal("32.258064516129032258"),
        "prorated": "10/31",
        "subtotal": Decimal(0),
        "cut": True,
    }
    row = as_json(
        rate(compile_price("matrix", FULL_MATRIX), groups((("us", "l"), 4), (("q", "l"), 1))).steps[0]
    )
    assert row == {
        "kind": "matrix_row",
        "row": 2,
        "matches": "region us",
        "combinations": 1,
        "units": Decimal(4),
        "unit_amount": Decimal(2),
        "subtotal": Decimal(8),
    }


def test_usage_that_nothing_prices_names_the_field_and_the_way_out() -> None:
    price = compile_price("matrix", {**FULL_MATRIX, "default": None})
    with pytest.raises(NoMatrixRow) as refused:
        rate(price, groups((("x", "y"), 0)))
    assert refused.value.details == {
        "properties.rows": "no row matches some of the usage; add a row or a default"
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("eu", "eu"),
        (4, "4"),
        (Decimal("4.50"), "4.50"),
        (Decimal("1E+2"), "100"),
        (True, "true"),
        (False, "false"),
    ],
)
def test_properties_are_compared_as_texts(value: object, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        ["eu"],
        10**30,
        -(10**40),
        Decimal("1E+999999"),
        Decimal("NaN"),
        Decimal("1." + "3" * 40),
    ],
)
def test_what_is_no_text_matches_nothing(value: object) -> None:
    assert as_text(value) is None


def test_which_meters_feed_a_price() -> None:
    feeding = {need: {kind for kind in Aggregation if need.fed_by(kind)} for need in Need}
    assert feeding[Need.TOTAL] == feeding[Need.GROUPS] == set(Aggregation)
    assert feeding[Need.COUNT] == feeding[Need.VALUES] == {Aggregation.SUM, Aggregation.COUNT}
    assert feeding[Need.PRICED] == {Aggregation.SUM}
