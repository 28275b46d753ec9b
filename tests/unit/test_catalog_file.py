"""The catalog file without a database: every mistake at its place, the round trip, the difference, the revenue."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests.catalog_strategies import contents

from tallystick.billing.catalog_file.checking import check
from tallystick.billing.catalog_file.comparing import Action, compare
from tallystick.billing.catalog_file.reading import (
    MAX_BYTES,
    CatalogFileInvalid,
    CatalogFileTooLarge,
    decoded,
    locate,
    plain,
    read,
    refusal,
)
from tallystick.billing.catalog_file.revenue import Held, if_moved, monthly, rounded, total
from tallystick.billing.catalog_file.sections import Content, canonical
from tallystick.billing.catalog_file.writing import write

GOOD = """\
catalog: 1
taxes:
  vat: {name: VAT, rate: 19.5}
meters:
  api: {aggregation: sum, unit: call}
services: [Database Hosting]
plans:
  pro:
    name: Pro
    price: 29.99
    currency: USD
    charges:
      - {code: calls, meter: api, charge_model: standard, properties: {unit_amount: 0.1}}
      - code: more
        meter: service:Database Hosting
        charge_model: graduated
        properties:
          tiers:
            - {up_to: 1000, unit_amount: "0.05"}
            - {up_to: null, unit_amount: 0.000000000001}
"""


def told(text: str, current: Content | None = None) -> dict[str, str]:
    return {place: str(said) for place, said in refusal(check(text, current or {}).mistakes).details.items()}


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_a_good_file_has_no_mistakes_and_loses_no_digit() -> None:
    found = check(GOOD, {})
    assert found.mistakes == []
    pro = found.content["plans"]["pro"]
    assert (pro["price"], pro["charges"][0]["properties"]) == (
        Decimal("29.99"),
        {"unit_amount": Decimal("0.1")},
    )
    assert str(pro["charges"][1]["properties"]["tiers"][1]["unit_amount"]) == "1E-12"
    assert pro["charges"][0]["name"] == "calls"
    assert found.content["services"] == {"Database Hosting": {}}
    assert found.content["taxes"]["vat"]["rate"] == Decimal("19.5")


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        (changed("unit_amount: \"0.05\"}", "unit_amount: \"0,05\"}"), "19:29: plans.pro.charges[1].properties.tiers[0].unit_amount", "decimal number"),
        (changed("up_to: null", "up_to: 500"), "20:16: plans.pro.charges[1].properties.tiers[1].up_to", "must be"),
        (changed("up_to: 1000,", "upto: 1000,"), "19:16: plans.pro.charges[1].properties.tiers[0].upto", "not a known field"),
        (changed("    price: 29.99", "    price: 29.999"), "10:5: plans.pro.price", "decimals of USD"),
        (changed("    price: 29.99", "    price: [29.99]"), "10:5: plans.pro.price", "must be a number"),
        (changed("    price: 29.99", "    price: true"), "10:5: plans.pro.price", "must be a number"),
        (changed("    price: 29.99", "    price: .nan"), "10:12: plans.pro.price", "may be read as"),
        (changed("    price: 29.99", "    price: 1e400"), "10:12: plans.pro.price", "may be read as"),
        (changed("    price: 29.99", "    price: 1_000"), "10:12: plans.pro.price", "may be read as"),
        (changed("    price: 29.99", "    price: 010"), "10:12: plans.pro.price", "may be read as"),
        (changed("    price: 29.99", "    price: -1"), "10:5: plans.pro.price", "negative"),
        (changed("    price: 29.99", "    pries: 29.99"), "10:5: plans.pro.pries", "not a known field"),
        (changed("    price: 29.99\n", ""), "8:3: plans.pro.price", "is required"),
        (changed("currency: USD", "currency: USX"), "11:5: plans.pro.currency", "ISO 4217"),
        (changed("name: Pro", "name: 2024"), "9:5: plans.pro.name", "put it in quotes"),
        (changed("name: Pro", "name: Pro\n    name: Pro"), "10:5: plans.pro.name", "second time; the first is on line 9"),
        (changed("name: Pro", "name: Pro\n    code: x"), "10:5: plans.pro.code", "leave it out"),
        (changed("name: Pro", "name: Pro\n    billing_cycle: daily"), "10:5: plans.pro.billing_cycle", "weekly"),
        (changed("name: Pro", "name: Pro\n    is_public: yes"), "10:5: plans.pro.is_public", "true or false"),
        (changed("name: Pro", "name: Pro\n    settings: {billing_day: 1.5}"), "10:16: plans.pro.settings.billing_day", "whole number"),
        (changed("name: Pro", "name: Pro\n    features: {api: {limit: x}}"), "10:22: plans.pro.features.api.limit", "whole number, a size"),
        (changed("name: Pro", "name: !!str Pro"), "9:11: plans.pro.name", "tag"),
        (changed("name: Pro", "name: &a Pro"), "9:11: plans.pro.name", "anchor"),
        (changed("name: Pro", "name: *a"), "9:11: plans.pro.name", "alias"),
        (changed("name: Pro", "? [a]\n    : b"), "9:7: plans.pro", "not plain text"),
        (changed("meter: api,", "meter: apy,"), "13:23: plans.pro.charges[0].meter", "is not a meter"),
        (changed("code: calls,", "id: 7, code: calls,"), "13:10: plans.pro.charges[0].id", "leave it out"),
        (changed("code: more", "code: calls"), "14:9: plans.pro.charges[1].code", "another charge"),
        (changed("charge_model: standard", "charge_model: standart"), "13:35: plans.pro.charges[0].charge_model", "must be one of"),
        (changed("aggregation: sum", "aggregation: unique"), "5:3: meters.api.field", "is required"),
        (changed("aggregation: sum", "aggregation: summ"), "5:9: meters.api.aggregation", "must be"),
        (changed("  api: {", "  service:x: {"), "5:3: meters.service:x", "kept for services"),
        (changed("rate: 19.5", "rate: 101"), "3:20: taxes.vat.rate", "at most 100"),
        (changed("[Database Hosting]", "[Database Hosting, Database Hosting]"), "6:30: services[1]", "second time"),
        (changed("[Database Hosting]", "[{a: 1}]"), "6:12: services[0]", "text"),
        (changed("[Database Hosting]", "{a: 1}"), "6:1: services", "a list of names"),
        (changed("catalog: 1", "catalog: 2"), "1:1: catalog", "must be 1"),
        (changed("services:", "servizes:"), "6:1: servizes", "not a part"),
        (GOOD + "--- \na: 1\n", "21:1", "second document"),
        (changed("    name: Pro", "\tname: Pro"), "9:1", "tab"),
        (changed("name: Pro", "name: \"Pro"), "1", "is not YAML"),
        (changed("name: Pro", "name: P\x07ro"), "9:12", "does not allow"),
        ("", "1:1", "holds nothing"),
        ("# only a comment\n", "1:1", "holds nothing"),
        ("- a\n", "1:1", "must be a mapping"),
        ("plans: {a: [1]}\n", "1:9: plans.a", "must be a mapping"),
        ("plans: {a: {charges: 7, name: a, price: 1, currency: USD}}\n", "1:13: plans.a.charges", "must be a list"),
        ("plans: [a]\n", "1:1: plans", "mapping of codes"),
        ("plans: " + "[" * 40, "1:39", "deeper than"),
        ("a: 1" + "0" * 60 + "\n", "1:4: a", "may be read as"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_at_its_line_and_column(text: str, place: str, sentence: str) -> None:
    found = told(text)
    named = {key: said for key, said in found.items() if key.startswith(f"catalog.yaml:{place}")}
    assert named, found
    assert sentence in " ".join(named.values())


def test_all_mistakes_are_told_at_once_in_order() -> None:
    text = (
        changed("price: 29.99", "price: x")
        .replace("0.05", "x")
        .replace("meter: api", "meter: nix")
        .replace("19.5", "190")
    )
    assert [place.split(": ")[1] for place in told(text)] == [
        "taxes.vat.rate", "plans.pro.price", "plans.pro.charges[0].meter", "plans.pro.charges[1].properties.tiers[0].unit_amount",
    ]  # fmt: skip


def test_of_many_mistakes_a_hundred_are_told() -> None:
    text = "plans:\n" + "".join(f"  p{n}: {{price: x}}\n" for n in range(200))
    found = told(text)
    assert len(found) == 101
    assert found["catalog.yaml"] == "has 600 mistakes; the first 100 are told"


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    text = "a: &a [x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )
    assert "anchor" in told(text)["catalog.yaml:1:4: a"]


def test_a_file_is_utf_8_and_not_huge() -> None:
    with pytest.raises(CatalogFileTooLarge):
        decoded(b" " * (MAX_BYTES + 1))
    with pytest.raises(CatalogFileInvalid) as refused:
        decoded(b"a: 1\nb: \xff\n")
    assert refused.value.details == {"catalog.yaml:2:4": "is not UTF-8"}
    assert decoded(b"\xef\xbb\xbfa: 1") == "a: 1"


def test_what_never_changes_is_refused_where_it_stands() -> None:
    current = check(GOOD, {}).content
    text = changed("aggregation: sum", "aggregation: max").replace("rate: 19.5", "rate: 20")
    found = told(text, current)
    assert list(found) == ["catalog.yaml:3:20: taxes.vat.rate", "catalog.yaml:5:9: meters.api.aggregation"]
    assert "never changes" in " ".join(found.values())


def test_codes_with_points_and_brackets_are_found() -> None:
    root, _ = read("a.b:\n  c[0]:\n    - x: 1\n    - {y.z: 2}\n")
    assert root is not None
    node = locate(root, "a.b.c[0][1].y.z")
    assert (node.value, node.line, node.column) == (2, 4, 8)
    assert locate(root, "a.b.nothing").line == 1


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(contents())
def test_what_is_written_is_read_as_the_same_catalog_and_written_alike(content: Content) -> None:
    text = write(content)
    found = check(text, {})
    assert found.mistakes == []
    assert canonical(found.content) == canonical(content)
    assert compare(content, found.content, prune=True) == []
    assert write(found.content) == text


def test_a_file_reads_well() -> None:
    assert (
        write(check(GOOD, {}).content).split("catalog: 1\n\n", 1)[1]
        == """\
taxes:
  vat: {name: VAT, rate: "19.5"}

meters:
  api: {aggregation: sum, unit: call}

services:
  - Database Hosting

plans:
  pro:
    name: Pro
    price: "29.99"
    currency: USD
    charges:
      - {code: calls, meter: api, charge_model: standard, properties: {unit_amount: "0.1"}}
      - code: more
        meter: "service:Database Hosting"
        charge_model: graduated
        properties:
          tiers:
            - {up_to: 1000, unit_amount: "0.05"}
            - {up_to: null, unit_amount: "0.000000000001"}

coupons: {}
"""
    )


def difference(text: str, *, prune: bool = False) -> list[Any]:
    return compare(check(GOOD, {}).content, check(text, check(GOOD, {}).content).content, prune=prune)


def test_changes_are_told_field_by_field() -> None:
    text = changed("29.99", "39.99").replace("0.05", "0.04").replace("name: Pro", "name: Professional")
    (change,) = difference(text)
    assert (change.kind, change.code, change.action, change.new_version) == (
        "plan",
        "pro",
        Action.CHANGE,
        True,
    )
    assert [(each.path, each.old, each.new) for each in change.fields] == [
        ("name", "Pro", "Professional"),
        ("price", Decimal("29.99"), Decimal("39.99")),
        ("charges.more.properties.tiers[0].unit_amount", "0.05", "0.04"),
    ]


def test_a_name_makes_no_version_and_a_spelling_no_change() -> None:
    (change,) = difference(changed("name: Pro", "name: Professional"))
    assert not change.new_version
    assert difference(changed('"0.05"', "0.050")) == []
    assert difference(changed("    price: 29.99", '    price: "29.990"')) == []


def test_what_is_not_in_the_file_is_left_alone_unless_pruned() -> None:
    text = "taxes: {}\n"
    assert {(each.kind, each.action) for each in difference(text)} == {
        ("meter", Action.LEFT_ALONE), ("service", Action.LEFT_ALONE), ("plan", Action.LEFT_ALONE),
    }  # fmt: skip
    pruned = {each.kind: each for each in difference(text, prune=True)}
    assert pruned["plan"].action is Action.RETIRE
    assert [(each.path, each.old, each.new) for each in pruned["plan"].fields] == [("is_active", True, False)]
    assert pruned["meter"].action is Action.LEFT_ALONE


def test_charges_come_go_and_move() -> None:
    content = check(GOOD, {}).content
    pro = content["plans"]["pro"]
    turned = {**content, "plans": {"pro": {**pro, "charges": pro["charges"][::-1]}}}
    (change,) = compare(content, turned, prune=False)
    assert [(each.path, each.old, each.new) for each in change.fields] == [
        ("charges (order)", ["calls", "more"], ["more", "calls"])
    ]
    fewer = {**content, "plans": {"pro": {**pro, "charges": pro["charges"][:1]}}}
    (change,) = compare(content, fewer, prune=False)
    assert [(each.path, each.new) for each in change.fields] == [("charges.more", None)]


@pytest.mark.parametrize(
    ("cycle", "share"),
    [
        ("weekly", Fraction(52, 12)), ("monthly", Fraction(1)), ("quarterly", Fraction(1, 3)), ("semiannual", Fraction(1, 6)),
        ("yearly", Fraction(1, 12)),
    ],
)  # fmt: skip
def test_a_fee_by_the_month(cycle: str, share: Fraction) -> None:
    assert monthly(Decimal("100.01"), cycle, Decimal(3)) == Fraction("100.01") * 3 * share


def test_revenue_if_moved_is_exact_until_it_is_told() -> None:
    def held(price: str, currency: str, cycle: str, quantity: int, *, live: bool = True) -> Held:
        return Held("p", 1, Decimal(price), currency, cycle, 1, Decimal(quantity), live)

    moved = if_moved(
        [held("100", "USD", "yearly", 1), held("100", "USD", "yearly", 2), held("7", "EUR", "weekly", 3),
         held("1000", "USD", "monthly", 9, live=False)],
        Decimal("10"), "USD", "monthly",
    )  # fmt: skip
    assert moved == {"USD": 60 - Fraction(300, 12), "EUR": -Fraction(7 * 3 * 52, 12)}
    assert rounded(total([moved, {"USD": Fraction(1, 3)}])) == {
        "EUR": Decimal("-91.00"),
        "USD": Decimal("35.33"),
    }


def test_plain_forgets_places() -> None:
    root, mistakes = read("a: [1, 1.50, x, true, ~, 2024-01-01, '1']\n")
    assert root is not None
    assert plain(root) == {"a": [1, Decimal("1.50"), "x", True, None, "2024-01-01", "1"]}
    assert mistakes == []


COUPONS = """
meters: {api: {aggregation: sum}}
plans: {pro: {name: Pro, price: 5, currency: USD}}
coupons:
  TEN: {name: Ten, kind: percent, value: 10, meters: [api], plans: [pro]}
  BAD: {name: Bad, kind: fixed, value: 0.001, currency: USD, meters: [moon], plans: [mars], duration: repeating}
  OLD: {name: Old, kind: percent, value: 101, livemode: false}
"""


def test_coupons_are_read_and_their_mistakes_are_named() -> None:
    checked = check(COUPONS, {})
    assert checked.content["coupons"].keys() == {"TEN"}
    assert checked.content["coupons"]["TEN"]["value"] == Decimal(10)
    assert {mistake.path for mistake in checked.mistakes} >= {
        "coupons.BAD.value", "coupons.BAD.periods", "coupons.OLD.value", "coupons.OLD.livemode",
    }  # fmt: skip
    assert {mistake.line for mistake in checked.mistakes} == {6, 7}
    lost = check(COUPONS.replace("[api]", "[moon]").replace("[pro]", "[mars]"), {})
    assert {"coupons.TEN.meters[0]", "coupons.TEN.plans[0]"} <= {mistake.path for mistake in lost.mistakes}
