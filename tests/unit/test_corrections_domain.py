"""What a correction comes to, what it gives back of coupons and grants, and whether an invoice takes it: laws and cases."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.invoicing.domain.assemble import Inputs, Recount, Usage, assemble
from tallystick.invoicing.domain.corrections import Stood, corrections, reductions_of, sort, spread
from tallystick.invoicing.domain.draft import InvoiceDraft, Line, LineKind, Reduction, TaxShare, UsageEvidence
from tallystick.kernel.money import Rounding
from tallystick.rating.domain import compile_price
from tallystick.taxes.domain import Profile, Tax, TaxRate

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
ONE, TWO = UUID(int=1), UUID(int=2)
CENT = Decimal("0.01")
VAT, GST = TaxRate("vat", "VAT", Decimal(19)), TaxRate("gst", "GST", Decimal(5))
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Stands:
    """A line on an issued invoice."""

    amount: Decimal
    position: int = 1
    kind: LineKind = LineKind.USAGE
    count: int = 3
    to_batch: int = 5
    revision: int = 0
    corrects: tuple[UUID, int] | None = None
    reductions: tuple[Reduction, ...] = ()
    price_key: str = "charge:7"
    charge_id: int | None = 7
    quantity: Decimal = Decimal(10)
    invoice_id: UUID = ONE
    taxes: tuple[TaxShare, ...] = (TaxShare("vat", "VAT", Decimal(19), ZERO, ZERO),)
    inputs: dict[str, Any] = field(
        default_factory=lambda: {"aligned": [START, END], "counted_from": START, "rounding": "half_away"}
    )
    description: str = "Calls"
    unit: str = "call"
    period_end: datetime = END
    slice_start: datetime = START
    rule: str = "standard/1"
    gl_code: str = "4000"
    subscription_id: UUID | None = TWO
    plan_version_id: int | None = 1

    @property
    def evidence(self) -> UsageEvidence | None:
        return (
            None
            if self.kind is LineKind.MINIMUM
            else UsageEvidence(9, 0, self.to_batch, self.count, self.count)
        )

    @property
    def discount(self) -> Decimal:
        return sum((each.amount for each in self.reductions if each.source != "grant"), ZERO)

    @property
    def granted(self) -> Decimal:
        return sum((each.amount for each in self.reductions if each.source == "grant"), ZERO)


def made(amount: Decimal, count: int = 4, **changes: Any) -> Line:
    """The price made anew."""
    line = Line(
        kind=LineKind.USAGE, description="Calls", quantity=Decimal(12), unit="call", amount=amount, exact=amount, exact_cut=False,
        period_start=START, period_end=END, slice_start=START, price_key="charge:7", rule="standard/1", gl_code="4000", timing="arrears",
        inputs={"aligned": (START, END)}, subscription_id=TWO, plan_version_id=1, charge_id=7, evidence=UsageEvidence(9, 0, 8, count, count),
    )  # fmt: skip
    return replace(line, **changes)


amounts = st.integers(-100_000, 100_000).map(lambda units: units * CENT)
positive = st.integers(0, 100_000).map(lambda units: units * CENT)


@given(positive, st.lists(amounts, min_size=1, max_size=4))
def test_what_stands_and_its_correction_come_to_the_price_made_anew(
    whole: Decimal, parts: list[Decimal]
) -> None:
    own = [
        Stands(part, position=n + 1, revision=n, corrects=(ONE, 1) if n else None)
        for n, part in enumerate(parts)
    ]
    (line,) = corrections([made(whole)], Stood(own, 8), "USD")
    assert line.amount + sum(parts) == whole
    assert (line.kind, line.corrects, line.revision) == (LineKind.CORRECTION, (ONE, 1), len(parts))
    assert line.quantity == 12 - 10 * len(parts)
    assert line.tax_rates == (VAT,)
    assert line.inputs["before"]["amount"] == sum(parts)


def test_the_same_events_are_left_alone_whatever_they_would_cost_today() -> None:
    assert corrections([made(Decimal(99), count=3)], Stood([Stands(Decimal(5))], 8), "USD") == []


def test_other_events_of_the_same_amount_are_told() -> None:
    (line,) = corrections([made(Decimal(5))], Stood([Stands(Decimal(5))], 8), "USD")
    assert (line.amount, line.evidence) == (ZERO, UsageEvidence(9, 0, 8, 4, 4))


def test_a_price_that_had_no_line_gets_one_and_one_without_events_does_not() -> None:
    (line,) = corrections([made(Decimal(5)), made(ZERO, count=0, price_key="charge:8")], Stood([], 8), "USD")
    assert (line.kind, line.corrects, line.inputs["late"], line.revision) == (LineKind.USAGE, None, True, 0)


def test_a_price_whose_events_are_all_void_comes_to_nothing() -> None:
    (line,) = corrections([], Stood([Stands(Decimal(5))], 8), "USD")
    assert (line.amount, line.evidence, line.inputs["gone"]) == (
        Decimal(-5),
        UsageEvidence(9, 0, 8, 0, 0),
        True,
    )
    assert corrections([], Stood([Stands(Decimal(5), count=0)], 8), "USD") == []


def test_top_ups_follow_what_changed_and_nothing_else() -> None:
    top_up = Stands(Decimal(4), 2, LineKind.MINIMUM, price_key="minimum:7")
    anew = made(Decimal(1), price_key="minimum:7", kind=LineKind.MINIMUM, evidence=None)
    stood = Stood([Stands(Decimal(5)), top_up], 8)
    found = corrections([made(Decimal(8)), anew], stood, "USD")
    assert [(each.price_key, each.amount) for each in found] == [
        ("charge:7", Decimal(3)),
        ("minimum:7", Decimal(-3)),
    ]
    assert corrections([made(Decimal(8), count=3), anew], stood, "USD") == []
    again = corrections([made(Decimal(8), count=3), anew], replace(stood, again=True), "USD")
    assert [each.price_key for each in again] == ["minimum:7"]


coupons = st.lists(
    st.one_of(
        st.tuples(st.just("coupon"), st.integers(1, 100).map(Decimal)),
        st.tuples(st.just("coupon"), st.none()),
        st.tuples(st.just("grant"), st.none()),
    ),
    max_size=3,
)


@given(positive, positive, coupons, st.data())
def test_never_more_is_given_back_than_was_taken(
    first: Decimal, then: Decimal, kinds: list[Any], data: Any
) -> None:
    """A line with coupons and grants, corrected twice, the second time to nothing: all of it is back, and no more on the way."""
    rest, reductions = first, []
    for n, (source, percent) in enumerate(kinds):
        taken = (
            (rest * percent / 100).quantize(CENT)
            if percent
            else data.draw(st.integers(0, int(rest * 100))) * CENT
        )
        reductions.append(Reduction(source, UUID(int=10 + n), f"c{n}", taken, percent))
        rest -= taken
    line = Stands(first, reductions=tuple(reductions))
    found = reductions_of(then, [line], ZERO, "USD")
    remainder = then - first - sum(each.amount for each in found)
    assert rest + remainder >= 0
    assert all(each.amount <= 0 for each in found if each.percent is None)
    corrected = Stands(then - first, revision=1, corrects=(ONE, 1), reductions=found)
    last = reductions_of(ZERO, [line, corrected], ZERO, "USD")
    assert rest + remainder - then - sum(each.amount for each in last) == 0


def test_a_percentage_is_taken_of_more_and_a_fixed_coupon_is_not() -> None:
    line = Stands(
        Decimal(100),
        reductions=(
            Reduction("coupon", ONE, "ten", Decimal(10)),
            Reduction("coupon", TWO, "fifth", Decimal(18), Decimal(20)),
        ),
    )
    found = reductions_of(Decimal(150), [line], ZERO, "USD")
    assert [(each.code, each.amount) for each in found] == [("fifth", Decimal("10.00"))]


def test_what_a_note_by_hand_gave_back_is_not_given_back_again() -> None:
    (found,) = reductions_of(ZERO, [Stands(Decimal(10))], Decimal(7), "USD")
    assert (found.source, found.amount) == ("note", Decimal(-7))
    assert reductions_of(Decimal(6), [Stands(Decimal(10))], Decimal(6), "USD") == ()


rates = st.sampled_from([(), (VAT,), (GST,), (VAT, GST)])


@given(st.lists(st.tuples(positive, rates), max_size=4), st.lists(st.tuples(amounts, rates), max_size=6))
def test_an_invoice_takes_what_keeps_every_rate_and_the_total_at_zero_or_above(
    lines: Any, changes: Any
) -> None:
    found = [made(amount, tax_rates=own, price_key=str(n)) for n, (amount, own) in enumerate(changes)]
    taken = sort(lines, found)
    assert sorted(each.price_key for each in (*taken.netted, *taken.noted)) == sorted(
        each.price_key for each in found
    )
    both = [*lines, *((each.remainder, each.tax_rates or ()) for each in taken.netted)]
    assert sum(amount for amount, _ in both) >= 0
    for rate in (VAT, GST):
        assert sum(amount for amount, own in both if rate in own) >= 0
    assert all(each.remainder < 0 for each in taken.noted)
    for each in taken.noted:  # none of them would have fitted beside the rest
        own = each.tax_rates or ()
        assert sum(amount for amount, _ in both) + each.remainder < 0 or any(
            sum(amount for amount, theirs in both if rate in theirs) + each.remainder < 0 for rate in own
        )


@given(st.lists(positive, max_size=5), st.data())
def test_what_is_given_back_is_spread_over_what_is_left(left: list[Decimal], data: Any) -> None:
    whole = int(sum(left, ZERO) * 100)
    amount = data.draw(st.integers(0, whole)) * CENT
    parts = spread(amount, left)
    assert sum(parts, ZERO) == amount
    assert all(0 <= part <= most for part, most in zip(parts, left, strict=True))
    with pytest.raises(ValueError, match="more is given back"):
        spread((whole + 1) * CENT, left)


def bill_with(profile: Profile, line: Stands, quantity: str) -> InvoiceDraft:
    """A bill that has 100 of something else and closes January again, at 1.00 a call."""
    price = compile_price("standard", {"unit_amount": "1.00"}, {}, version=1, currency="USD")

    def usage(charge: int, units: str, count: int, until: datetime) -> Usage:
        return Usage(
            subscription_id=TWO, plan_version_id=1, charge_id=charge, description="Calls", unit="call", price=price, terms={},
            quantity=Decimal(units), evidence=UsageEvidence(9, 0, 8, count, count), counted_from=START, start=START, end=until,
            aligned=(START, END), gl_code="4000", tax_category="standard",
        )  # fmt: skip

    stood = Stood([line], 8)
    inputs = Inputs(
        1, 1, "USD", [usage(8, "100", 1, END)], Rounding.HALF_AWAY, "rate", profile,
        recount=Recount([usage(7, quantity, 4, END)], stood),
    )  # fmt: skip
    made_ = assemble(inputs)
    assert made_ is not None
    return made_


def test_a_correction_keeps_the_rate_that_stands_beside_todays() -> None:
    today = Profile((Tax(1, "vat", "VAT", Decimal(21)),))
    bill = bill_with(today, Stands(Decimal(10)), "4")
    assert [line.amount for line in bill.lines] == [Decimal("100.00")]  # no base of 19 % may lie below zero
    assert [(each.amount, each.tax_rates) for each in bill.noted] == [(Decimal("-6.00"), (VAT,))]
    more = bill_with(today, Stands(Decimal(10)), "14")
    assert [(each.rate, each.base) for each in more.tax_totals] == [
        (Decimal(19), Decimal("4.00")),
        (Decimal(21), Decimal("100.00")),
    ]


def test_a_correction_of_what_is_not_charged_says_why_as_the_rest_does() -> None:
    profile = Profile((Tax(1, "vat", "VAT", Decimal(19)),), "reverse_charge", "Article 196")
    stands = Stands(
        Decimal(10), taxes=(TaxShare("vat", "VAT", ZERO, Decimal(10), ZERO, kind="reverse_charge"),)
    )
    bill = bill_with(profile, stands, "4")
    assert [(each.base, each.kind, each.note) for each in bill.tax_totals] == [
        (Decimal("94.00"), "reverse_charge", "Article 196")
    ]
    assert (bill.total, bill.noted) == (Decimal("94.00"), ())
