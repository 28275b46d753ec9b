"""Random catalogs, as a file would hold them, for the laws of the catalog file."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tallystick.billing.catalog_file.sections import COUPONS, METERS, PLANS, TAXES, Content, Section, dumped
from tallystick.kernel.money import quantize

codes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,12}", fullmatch=True).filter(
    lambda code: not code.startswith("service:")
)
names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20
).filter(lambda name: name.strip() != "" and "\x00" not in name) | st.sampled_from(
    [
        "yes",
        "null",
        "1.10",
        "0x1F",
        "a: b",
        "- a",
        "#x",
        "'",
        '"',
        "é\u2028ü",
        "\ufeffx",
        "1_000",
        "~",
        "NO",
        "@a",
        "&a",
        "*a",
    ]
)
amounts = st.decimals(0, 10**9, places=2, allow_nan=False, allow_infinity=False).map(str) | st.integers(
    0, 10**6
)
unit_prices = st.decimals(0, 1000, places=12, allow_nan=False, allow_infinity=False).map(
    lambda price: f"{price:f}"
)
words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
filters = st.dictionaries(
    words,
    st.lists(st.sampled_from(["eu", "007", "1.0", "true", "", "a b", "NO"]), min_size=1, max_size=3),
    max_size=2,
)


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    """A charge model with its properties, and adjustments."""
    bounds = sorted(draw(st.sets(st.integers(1, 10**6), max_size=3)))
    tiers = [{"up_to": each, "unit_amount": draw(unit_prices)} for each in [*bounds, None]]
    model, properties = draw(
        st.sampled_from(
            [
                ("standard", {"unit_amount": draw(unit_prices)}),
                ("flat", {"amount": draw(amounts)}),
                ("graduated", {"tiers": tiers}),
                ("volume", {"tiers": tiers}),
                ("package", {"package_size": draw(st.integers(1, 1000)), "package_amount": draw(amounts)}),
            ]
        )
    )
    adjustments = draw(st.sampled_from([{}, {"discount_percent": "12.5"}, {"rounding": "half_even"}]))
    return {"charge_model": model, "properties": properties, "adjustments": adjustments}


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """A catalog that the API would take."""
    found: Content = {
        "taxes": _things(TAXES, draw(st.dictionaries(codes, st.fixed_dictionaries(
            {"name": names, "rate": st.decimals(0, 100, places=3).map(str), "is_default": st.booleans()}), max_size=3))),
        "meters": _things(METERS, draw(st.dictionaries(codes, st.fixed_dictionaries(
            {"name": names, "aggregation": st.sampled_from(["sum", "max", "latest"]), "filters": filters, "unit": names}), min_size=1, max_size=3))),
        "services": {name.strip(): {} for name in draw(st.lists(names, max_size=2, unique=True))},
    }  # fmt: skip
    found["services"].setdefault("Database Hosting", {})
    meters = [*found["meters"], "service:Database Hosting"]
    plans = {}
    for code in draw(st.sets(codes, max_size=3)):
        plans[code] = {
            "name": draw(names),
            "price": draw(amounts),
            "currency": draw(st.sampled_from(["USD", "EUR", "CLF", "KWD"])),
            "billing_cycle": draw(st.sampled_from(["weekly", "monthly", "quarterly", "semiannual", "yearly"])),
            "billing_timing": draw(st.sampled_from(["advance", "arrears"])),
            "trial_period_days": draw(st.integers(0, 40)),
            "minimum": draw(st.none() | amounts),
            "features": draw(st.dictionaries(words.filter(lambda word: word[0] != "_"), st.sampled_from(
                [{"limit": 5}, {"limit": None}, {"limit": "1GB", "overage": "charge"}]), max_size=2)),
            "settings": draw(st.sampled_from([{}, {"bill_last_day": True}])),
            "is_public": draw(st.booleans()),
            "is_active": draw(st.booleans()),
            "charges": [
                {"code": charge, "name": draw(st.none() | names), "meter": draw(st.sampled_from(meters)),
                 "filters": draw(filters), "group_by": draw(st.lists(words, max_size=2, unique=True)), **draw(prices())}
                for charge in draw(st.lists(codes, max_size=3, unique=True))
            ],
        }  # fmt: skip
    found["plans"] = _things(PLANS, plans)
    found["coupons"] = _things(COUPONS, draw(st.dictionaries(codes, st.fixed_dictionaries({
        "name": names, "kind": st.just("fixed"), "value": st.integers(1, 10**6).map(lambda units: format(Decimal(units).scaleb(-2), "f")), "currency": st.just("USD"),
        "duration": st.sampled_from(["once", "forever"]), "meters": st.lists(st.sampled_from(meters), max_size=2, unique=True).map(sorted),
        "redeem_by": st.sampled_from([None, "2030-01-01T00:00:00Z"]), "max_redemptions": st.none() | st.integers(1, 9),
    }), max_size=2)))  # fmt: skip
    for plan in found["plans"].values():
        for name in ("price", "minimum"):
            plan[name] = None if plan[name] is None else quantize(plan[name], plan["currency"])
    return found


def _things(section: Section, things: dict[str, Any]) -> dict[str, Any]:
    return {
        code: dumped(section, section.body.model_validate({**fields, section.key: code}))
        for code, fields in things.items()
    }
