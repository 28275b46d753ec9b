"""Prices as they come in: what is read exactly, and what is refused with the path of its field."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tallystick.kernel.errors import Invalid
from tallystick.kernel.money import Rounding
from tallystick.rating.domain import Metered, amount_of, compile_price
from tallystick.rating.domain.reading import NotANumber, read_number

OPEN = {"up_to": None, "unit_amount": "1"}
DECIMAL = 'must be a decimal number, as a string such as "0.05" or as a JSON number'
LONG = "must have at most 15 digits before and 12 after the decimal point"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("0.05", "1/20"),
        ("+1", "1"),
        (".5", "1/2"),
        ("5.", "5"),
        ("1e-12", "1/1000000000000"),
        ("1E+14", "100000000000000"),
        ("0.100000000000000000", "1/10"),
        ("999999999999999.999999999999", "999999999999999999999999999/1000000000000"),
        (7, "7"),
        (-7, "-7"),
        (Decimal("1E-12"), "1/1000000000000"),
        (Decimal("-0"), "0"),
        (Decimal("0E+999999"), "0"),
        (Decimal("0E-999999"), "0"),
    ],
)
def test_numbers_are_read_exactly(raw: object, value: str) -> None:
    assert read_number(raw) == Fraction(value)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (True, DECIMAL),
        (0.05, DECIMAL),
        (None, DECIMAL),
        ([], DECIMAL),
        ("", DECIMAL),
        (" 1", DECIMAL),
        ("1_000", DECIMAL),
        ("1,5", DECIMAL),
        ("٣", DECIMAL),
        ("NaN", DECIMAL),
        ("Infinity", DECIMAL),
        ("0x10", DECIMAL),
        ("1e4000", DECIMAL),
        ("1" * 61, DECIMAL),
        ("1e400", LONG),
        ("1e-400", LONG),
        ("0.0000000000001", LONG),
        ("1.0000000000001", LONG),
        ("1" + "0" * 15, LONG),
        (10**15, LONG),
        (-(10**15), LONG),
        (Decimal("1E+999999"), LONG),
        (Decimal("1E-999999"), LONG),
        (Decimal("1." + "3" * 100), LONG),
        (Decimal("NaN"), "must be a finite number"),
        (Decimal("sNaN"), "must be a finite number"),
        (Decimal("-Infinity"), "must be a finite number"),
    ],
)
def test_what_is_not_an_exact_number_is_refused(raw: object, sentence: str) -> None:
    with pytest.raises(NotANumber) as refused:
        read_number(raw)
    assert str(refused.value) == sentence


def tiers(*rows: Any, **more: Any) -> dict[str, Any]:
    return {"tiers": list(rows), **more}


REFUSED: list[tuple[str, Any, Any, dict[str, str]]] = [
    ("flat", {}, None, {"properties.amount": "is required"}),
    ("flat", [], None, {"properties": "must be an object", "properties.amount": "is required"}),
    ("flat", {"amount": None}, None, {"properties.amount": "is required"}),
    ("flat", {"amount": "-1"}, None, {"properties.amount": "must not be negative"}),
    (
        "flat",
        {"amount": "0.001"},
        None,
        {"properties.amount": "must have at most 2 decimals, like its currency"},
    ),
    ("standard", {"unit_amount": "abc"}, None, {"properties.unit_amount": DECIMAL}),
    ("standard", {"unit_amount": True}, None, {"properties.unit_amount": DECIMAL}),
    (
        "standard",
        {"unit_amount": 1, "unit_amout": 2},
        None,
        {"properties.unit_amout": "is not a known field"},
    ),
    ("standard", {"unit_amount": 1, "<b>": 2}, None, {"properties": "has a field that is not known here"}),
    (
        "package",
        {"package_size": 0, "free_units": -1},
        None,
        {
            "properties.package_size": "must be greater than 0",
            "properties.package_amount": "is required",
            "properties.free_units": "must not be negative",
        },
    ),
    ("graduated", {}, None, {"properties.tiers": "is required"}),
    ("graduated", {"tiers": {}}, None, {"properties.tiers": "must be a list"}),
    ("graduated", {"tiers": "x"}, None, {"properties.tiers": "must be a list"}),
    ("graduated", tiers(), None, {"properties.tiers": "must have 1 to 100 entries"}),
    ("volume", tiers(*[OPEN] * 101), None, {"properties.tiers": "must have 1 to 100 entries"}),
    (
        "graduated",
        tiers("x"),
        None,
        {
            "properties.tiers[0]": "must be an object",
            "properties.tiers[0].up_to": "is required; null for the last tier",
            "properties.tiers[0].unit_amount": "give a unit_amount, a flat_amount, or both",
        },
    ),
    (
        "graduated",
        tiers({"unit_amount": 1}),
        None,
        {"properties.tiers[0].up_to": "is required; null for the last tier"},
    ),
    (
        "graduated",
        tiers({"up_to": 5, "unit_amount": 1}),
        None,
        {"properties.tiers[0].up_to": "must be null in the last tier, so that every quantity has a price"},
    ),
    (
        "graduated",
        tiers(OPEN, OPEN),
        None,
        {"properties.tiers[0].up_to": "only the last tier may be open (null)"},
    ),
    (
        "volume",
        tiers({"up_to": 5, "unit_amount": 1}, {"up_to": "5.0", "unit_amount": 1}, OPEN),
        None,
        {"properties.tiers[1].up_to": "must be greater than that of the tier before"},
    ),
    (
        "volume",
        tiers({"up_to": 0, "unit_amount": 1}, OPEN),
        None,
        {"properties.tiers[0].up_to": "must be greater than 0"},
    ),
    (
        "volume",
        tiers({"up_to": None, "unit_amount": 1, "flat": 1}),
        None,
        {"properties.tiers[0].flat": "is not a known field"},
    ),
    (
        "volume",
        tiers({"up_to": None, "flat_amount": "1.234"}, first_tier_flat_at_zero="no"),
        None,
        {
            "properties.tiers[0].flat_amount": "must have at most 2 decimals, like its currency",
            "properties.first_tier_flat_at_zero": "must be true or false",
        },
    ),
    ("flat", {"amount": 1}, [], {"adjustments": "must be an object"}),
    ("flat", {"amount": 1}, {"minimum": 1}, {"adjustments.minimum": "is not a known field"}),
    (
        "flat",
        {"amount": 1},
        {"discount_percent": "100.1", "usage_discount_units": -1, "rounding": "floor"},
        {
            "adjustments.discount_percent": "must not be greater than 100",
            "adjustments.usage_discount_units": "must not be negative",
            "adjustments.rounding": "must be one of half_away, half_even, up, down",
        },
    ),
    (
        "flat",
        {"amount": 1},
        {"rounding": []},
        {"adjustments.rounding": "must be one of half_away, half_even, up, down"},
    ),
    (
        "flat",
        {"amount": 1},
        {"minimum_amount": "2", "maximum_amount": "1.99"},
        {"adjustments.minimum_amount": "must not be greater than maximum_amount"},
    ),
    (
        "flat",
        {"amount": 1, "minimum_amount": 2},
        {"minimum_amount": 2},
        {"adjustments.minimum_amount": "stands among the properties too; give it once"},
    ),
    (
        "flat",
        {"amount": 1},
        {"unit_conversion": 2},
        {
            "adjustments.unit_conversion": "must be an object",
            "adjustments.unit_conversion.multiply": "give either multiply or divide",
        },
    ),
    (
        "flat",
        {"amount": 1},
        {"unit_conversion": {"multiply": 1, "divide": 2}},
        {"adjustments.unit_conversion.multiply": "give either multiply or divide"},
    ),
    (
        "flat",
        {"amount": 1},
        {"unit_conversion": {"divide": 0, "round": True}},
        {
            "adjustments.unit_conversion.divide": "must be greater than 0",
            "adjustments.unit_conversion.round": "is not a known field",
        },
    ),
]


REFUSED_EVENTS: list[tuple[str, Any, Any, dict[str, str]]] = [
    ("percentage", {}, None, {"properties.rate": "is required"}),
    ("percentage", {"rate": "2.9"}, None, {"properties.rate": "must not be greater than 1"}),
    (
        "percentage",
        {"rate": "0.01", "free_events": "1.5", "free_total": -1, "min_per_event": 2, "max_per_event": "1.99"},
        None,
        {
            "properties.free_events": "must be a whole number",
            "properties.free_total": "must not be negative",
            "properties.min_per_event": "must not be greater than max_per_event",
        },
    ),
    (
        "percentage",
        {"rate": "0.01", "tiers": []},
        {"usage_discount_units": 5, "unit_conversion": {"divide": 100, "round_up": True}},
        {
            "properties.tiers": "is not a known field",
            "adjustments.usage_discount_units": "has no meaning for percentage; use free_total",
            "adjustments.unit_conversion.round_up": "has no meaning for percentage: amounts are not rounded up to whole units",
        },
    ),
    (
        "percentage",
        {"rate": "0.01", "usage_discount_units": 5, "unit_conversion": 3},
        None,
        {
            "properties.usage_discount_units": "has no meaning for percentage; use free_total",
            "properties.unit_conversion": "must be an object",
            "properties.unit_conversion.multiply": "give either multiply or divide",
        },
    ),
    (
        "graduated_percentage",
        tiers({"up_to": 5, "rate": "1.01"}, {"up_to": None}),
        None,
        {
            "properties.tiers[0].rate": "must not be greater than 1",
            "properties.tiers[1].rate": "give a rate, a flat_amount, or both",
        },
    ),
    (
        "graduated_percentage",
        tiers({"up_to": None, "rate": "0.1", "unit_amount": 1}),
        None,
        {"properties.tiers[0].unit_amount": "is not a known field"},
    ),
    (
        "stairstep",
        tiers({"up_to": 5, "unit_amount": 1, "flat_amount": 1}, {"up_to": None, "unit_amount": 0}),
        None,
        {
            "properties.tiers[0].unit_amount": "has no meaning for stairstep; use volume or graduated",
            "properties.tiers[1].flat_amount": "is required",
        },
    ),
    ("stairstep", {}, None, {"properties.tiers": "is required"}),
    ("dynamic", {"unit_amount": 1}, None, {"properties.unit_amount": "is not a known field"}),
    (
        "dynamic",
        {},
        {"unit_conversion": {"divide": 2}, "usage_discount_units": 1},
        {
            "adjustments.unit_conversion": "has no meaning for dynamic: the events' prices are per unit as metered",
            "adjustments.usage_discount_units": "has no meaning for dynamic: units have different prices; use discount_percent",
        },
    ),
    (
        "matrix",
        {},
        None,
        {
            "properties.dimensions": "must be a list of 1 to 8 property names",
            "properties.rows": "is required",
        },
    ),
    (
        "matrix",
        {"dimensions": ["a", "a"], "rows": [{"values": ["x", "y"], "unit_amount": 1}], "default": "1"},
        None,
        {
            "properties.dimensions": "must not name a property twice",
            "properties.default": 'must be an object such as {"unit_amount": "0.05"}, or null',
        },
    ),
    (
        "matrix",
        {
            "dimensions": ["a b"],
            "rows": [{"values": ["x"], "unit_amount": 1}],
            "default": {"unit_amount": -1, "x": 1},
        },
        None,
        {
            "properties.dimensions": "names must be letters, digits and _.-, at most 100 of them",
            "properties.default.unit_amount": "must not be negative",
            "properties.default.x": "is not a known field",
        },
    ),
    (
        "matrix",
        {
            "dimensions": ["a", "b"],
            "rows": [
                {"values": ["x"], "unit_amount": 1},
                {"values": {"a": "x", "c": "y"}, "unit_amount": 1},
                {"values": "x", "unit_amount": 1},
                {"unit_amount": 1, "price": 2},
                {"values": [[], "x" * 256]},
                {"values": ["x", 1], "unit_amount": 1},
                {"values": {"b": "1", "a": "x"}, "unit_amount": 1},
            ],
        },
        None,
        {
            "properties.rows[0].values": "must have one value for each dimension, null for any",
            "properties.rows[1].values": "names a property that is not one of the dimensions",
            "properties.rows[2].values": "must be a list or an object",
            "properties.rows[3].values": "is required",
            "properties.rows[3].price": "is not a known field",
            "properties.rows[4].values": "must be texts of at most 255 characters, numbers, true, false or null",
            "properties.rows[4].unit_amount": "is required",
            "properties.rows[6].values": "an earlier row has the same values, so this one would never match",
        },
    ),
    (
        "matrix",
        {"dimensions": ["a"], "rows": [{"values": ["x"], "unit_amount": 1}]},
        {"usage_discount_units": 1, "unit_conversion": {"divide": 2, "round_up": True}},
        {
            "adjustments.usage_discount_units": "has no meaning for matrix: units have different prices; use discount_percent",
            "adjustments.unit_conversion.round_up": "has no meaning for matrix: each combination would be rounded up by itself",
        },
    ),
]


@pytest.mark.parametrize(("model", "properties", "adjustments", "details"), REFUSED + REFUSED_EVENTS)
def test_all_problems_of_a_price_are_told_at_once(
    model: str, properties: Any, adjustments: Any, details: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as refused:
        compile_price(model, properties, adjustments, currency="USD")
    assert refused.value.details == details
    assert refused.value.code == "invalid_price"


def test_paths_start_with_the_prefix() -> None:
    with pytest.raises(Invalid) as refused:
        compile_price(
            "volume", tiers({"up_to": "x", "unit_amount": 1}, OPEN), {"rounding": 1}, at="charges[3]."
        )
    assert set(refused.value.details) == {
        "charges[3].properties.tiers[0].up_to",
        "charges[3].adjustments.rounding",
    }


def test_unknown_models_and_currencies_are_refused() -> None:
    with pytest.raises(Invalid) as refused:
        compile_price("per_mood", {}, at="charges[0].")
    assert refused.value.details == {
        "charges[0].charge_model": "must be one of flat, standard, graduated, volume, package, percentage, "
        "graduated_percentage, stairstep, dynamic, matrix"
    }
    with pytest.raises(Invalid) as refused:
        compile_price("flat", {"amount": 1}, currency="XXX")
    assert refused.value.code == "unknown_currency"


def test_a_rule_version_that_never_was_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="the flat model has no rule version 99"):
        compile_price("flat", {"amount": 1}, version=99)


def test_adjustments_may_stand_among_the_properties() -> None:
    adjustments = {
        "unit_conversion": {"divide": 10},
        "usage_discount_units": 1,
        "discount_percent": 10,
        "maximum_amount": 5,
        "minimum_amount": 1,
        "rounding": "up",
    }
    inside = compile_price("standard", {"unit_amount": "1", **adjustments})
    assert inside == compile_price("standard", {"unit_amount": "1"}, adjustments)
    assert inside.rounding is Rounding.UP


def test_null_adjustments_are_absent_ones() -> None:
    nothing = dict.fromkeys(
        [
            "unit_conversion",
            "usage_discount_units",
            "discount_percent",
            "maximum_amount",
            "minimum_amount",
            "rounding",
        ]
    )
    assert compile_price("standard", {"unit_amount": 1}, nothing) == compile_price(
        "standard", {"unit_amount": 1}
    )


def test_unit_prices_may_be_finer_than_their_currency() -> None:
    price = compile_price("package", {"package_size": 1, "package_amount": "0.000000000001"}, currency="JPY")
    assert amount_of(price, 3).amount == Fraction(3, 10**12)


def test_a_hundred_tiers_are_read() -> None:
    rows = [{"up_to": n, "unit_amount": n} for n in range(1, 100)]
    price = compile_price("graduated", tiers(*rows, OPEN))
    assert amount_of(price, 99).amount == sum(range(1, 100))


def test_prices_cannot_be_changed() -> None:
    price = compile_price("flat", {"amount": 1})
    with pytest.raises(AttributeError):
        price.version = 2  # type: ignore[misc]
    assert hash(price) == hash(compile_price("flat", {"amount": "1.00"}))


def test_a_flood_of_unknown_fields_is_told_only_in_part() -> None:
    with pytest.raises(Invalid) as refused:
        compile_price("flat", {"amount": 1, **{f"x{n}": 1 for n in range(5_000)}})
    assert len(refused.value.details) == 100


def test_a_conversion_that_does_not_round_up_may_say_so() -> None:
    around = {"unit_conversion": {"divide": 100, "round_up": False}}
    assert compile_price("percentage", {"rate": "0.01"}, around) == compile_price(
        "percentage", {"rate": "0.01"}, {"unit_conversion": {"divide": 100}}
    )


def test_matrices_of_a_thousand_rows_are_read_and_found_at_once() -> None:
    rows = [{"values": [n], "unit_amount": n} for n in range(1000)]
    price = compile_price("matrix", {"dimensions": ["a"], "rows": rows})
    usage = Metered(Fraction(2), 2, groups=((("999",), Fraction(1)), (("7",), Fraction(1))))
    assert amount_of(price, usage).amount == 1006
    assert hash(price) == hash(compile_price("matrix", {"dimensions": ["a"], "rows": rows}))
    with pytest.raises(Invalid) as refused:
        compile_price("matrix", {"dimensions": ["a"], "rows": [*rows, rows[0]]})
    assert refused.value.details == {"properties.rows": "must have 1 to 1000 entries"}
