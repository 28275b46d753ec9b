"""Credits and changes: what was billed comes back at most once, and a day is paid for once."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.kernel.errors import Invalid
from tallystick.kernel.money import Rounding
from tallystick.kernel.period import Aligned, Alignment, Cycle, Period, Schedule, period_at
from tallystick.kernel.proration import (
    Amounts,
    Basis,
    BilledLine,
    Charge,
    NewPrice,
    cancel,
    change,
    change_start,
    credit,
    fraction,
    used_share,
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def amounts(net: str, tax: str = "0") -> Amounts:
    return Amounts(Decimal(net), Decimal(tax))


APRIL = period_at(
    Schedule(at("2024-01-01T00:00Z"), Cycle.MONTHLY, Alignment.CALENDAR, "UTC"), at("2024-04-10T00:00Z")
)


def line(
    net: str = "30.00",
    tax: str = "0",
    *,
    basis: Basis = Basis.DAYS,
    start: str = "2024-04-01T00:00Z",
    whole: Aligned = APRIL,
    changed_on: date | None = None,
) -> BilledLine:
    period = Period(at(start), whole.period.end)
    return BilledLine("USD", amounts(net, tax), period, whole, basis, changed_on=changed_on)


def billed(charge: Charge, tax: Decimal = Decimal(0)) -> BilledLine:
    """The line an invoice makes of a charge."""
    return BilledLine(
        "USD",
        Amounts(charge.amount, tax),
        charge.period,
        charge.whole,
        charge.basis,
        changed_on=charge.changed_on,
    )


@pytest.mark.parametrize(
    ("cut", "last_day", "expected"),
    [
        ("2024-04-11T00:00Z", False, amounts("20.00", "3.80")),
        ("2024-04-11T18:00Z", False, amounts("20.00", "3.80")),
        ("2024-04-11T18:00Z", True, amounts("19.00", "3.61")),
        ("2024-04-01T00:00Z", False, amounts("30.00", "5.70")),
        ("2024-04-01T09:00Z", False, amounts("30.00", "5.70")),
        ("2024-04-01T09:00Z", True, amounts("29.00", "5.51")),
        ("2024-04-30T23:59Z", False, amounts("1.00", "0.19")),
        ("2024-04-30T23:59Z", True, amounts("0.00", "0.00")),
        ("2024-05-01T00:00Z", False, amounts("0.00", "0.00")),
        ("2024-06-01T00:00Z", False, amounts("0.00", "0.00")),
    ],
)
def test_cancelling_credits_the_unused_days(cut: str, last_day: bool, expected: Amounts) -> None:
    assert cancel(line("30.00", "5.70"), at(cut), bill_last_day=last_day) == expected


def test_a_credit_is_what_rounding_the_kept_part_leaves() -> None:
    third = line("10.00")
    assert credit(third, Fraction(1, 3)) == amounts("6.67")
    assert credit(third, Fraction(2, 3)) == amounts("3.33")
    assert credit(line("0.01"), Fraction(1, 2)) == amounts("0.00")
    assert credit(line("0.01"), Fraction(1, 2), Rounding.DOWN) == amounts("0.01")


def test_a_line_for_a_rest_is_credited_by_its_own_length() -> None:
    rest = line("10.00", start="2024-04-21T15:00Z")
    assert used_share(rest, at("2024-04-25T08:00Z")) == Fraction(4, 10)
    assert cancel(rest, at("2024-04-25T08:00Z")) == amounts("6.00")


def test_a_line_that_measures_nothing_gives_nothing_back() -> None:
    whole = period_at(
        Schedule(at("2023-01-31T00:00Z"), Cycle.MONTHLY, Alignment.ANNIVERSARY, "UTC"),
        at("2023-03-10T00:00Z"),
    )
    last = line("0.00", basis=Basis.THIRTY_360, start="2023-03-30T00:00Z", whole=whole)
    assert used_share(last, at("2023-03-30T12:00Z")) == 1


def test_without_proration_a_used_line_gives_nothing_back_and_an_unused_one_all() -> None:
    fixed = line("30.00", basis=Basis.NONE)
    assert cancel(fixed, at("2024-04-01T00:00:01Z")) == amounts("0.00")
    assert cancel(fixed, at("2024-04-01T00:00Z")) == amounts("30.00")


def test_an_earlier_credit_counts_against_a_later_one() -> None:
    first = cancel(line("30.00"), at("2024-04-21T00:00Z"))
    noted = BilledLine("USD", amounts("30.00"), APRIL.period, APRIL, Basis.DAYS, credited=first)
    assert first == amounts("10.00")
    assert noted.left == amounts("20.00")
    assert cancel(noted, at("2024-04-21T00:00Z")) == amounts("0.00")
    assert cancel(noted, at("2024-04-11T00:00Z")) == amounts("10.00")
    assert cancel(noted, at("2024-04-26T00:00Z")) == amounts("0.00")


def test_a_change_credits_the_old_line_and_charges_the_rest() -> None:
    done = change(
        line("30.00", "5.70"), at("2024-04-11T15:00Z"), NewPrice(Decimal("90.00"), APRIL, Basis.DAYS)
    )
    assert done.credit == amounts("20.00", "3.80")
    assert done.credit.total == Decimal("23.80")
    assert done.line.left == amounts("10.00", "1.90")
    assert done.charge == Charge(
        period=Period(at("2024-04-11T15:00Z"), APRIL.period.end),
        whole=APRIL,
        basis=Basis.DAYS,
        fraction=Fraction(2, 3),
        exact=Fraction(60),
        amount=Decimal("60.00"),
        changed_on=date(2024, 4, 11),
    )


def test_the_price_list_of_today_plays_no_part_in_a_credit() -> None:
    discounted = line("15.00")
    assert change(
        discounted, at("2024-04-16T00:00Z"), NewPrice(Decimal("30"), APRIL, Basis.DAYS)
    ).credit == amounts("7.50")


def test_a_new_cycle_of_its_own_may_begin_with_the_change() -> None:
    moment = at("2024-04-11T15:00Z")
    year = period_at(Schedule(moment, Cycle.YEARLY, Alignment.ANNIVERSARY, "UTC"), moment)
    done = change(line("30.00"), moment, NewPrice(Decimal("300.00"), year, Basis.SECONDS))
    assert (done.charge.period, done.charge.amount) == (year.period, Decimal("300.00"))


def test_a_change_of_a_service_that_ends_is_charged_to_its_end() -> None:
    new = NewPrice(Decimal("90.00"), APRIL, Basis.DAYS, until=at("2024-04-21T00:00Z"))
    assert change(line("30.00"), at("2024-04-11T15:00Z"), new).charge.amount == Decimal("30.00")


@pytest.mark.parametrize("moment", ["2024-03-31T23:59Z", "2024-05-01T00:00Z"])
def test_an_immediate_change_falls_inside_the_line(moment: str) -> None:
    with pytest.raises(ValueError, match="inside the period"):
        change(line(), at(moment), NewPrice(Decimal("90"), APRIL, Basis.DAYS))


@pytest.mark.parametrize("basis", list(Basis))
def test_of_two_changes_on_one_day_only_the_last_is_charged(basis: Basis) -> None:
    plan_a = line("30.00", basis=basis)
    first = change(plan_a, at("2024-04-11T10:00Z"), NewPrice(Decimal("600.00"), APRIL, basis))
    second = change(billed(first.charge), at("2024-04-11T15:00Z"), NewPrice(Decimal("90.00"), APRIL, basis))
    direct = change(plan_a, at("2024-04-11T10:00Z"), NewPrice(Decimal("90.00"), APRIL, basis))
    assert second.credit.net == first.charge.amount
    assert second.charge == direct.charge
    assert first.credit == direct.credit


def test_the_next_day_the_earlier_change_is_kept_for_its_day() -> None:
    first = change(line("30.00"), at("2024-04-11T10:00Z"), NewPrice(Decimal("60.00"), APRIL, Basis.DAYS))
    bill = billed(first.charge)
    assert change_start(bill, at("2024-04-11T23:00Z")) == at("2024-04-11T10:00Z")
    assert change_start(bill, at("2024-04-12T00:00Z")) == at("2024-04-12T00:00Z")
    second = change(bill, at("2024-04-12T00:00Z"), NewPrice(Decimal("90.00"), APRIL, Basis.DAYS))
    assert bill.billed.net - second.credit.net == Decimal("2.00")


def test_the_day_of_a_change_is_the_accounts_local_day() -> None:
    plan = Schedule(at("2024-01-01T00:00Z"), Cycle.MONTHLY, Alignment.CALENDAR, "America/New_York")
    april = period_at(plan, at("2024-04-10T00:00Z"))
    evening = line("30.00", whole=april, start="2024-04-01T04:00Z", changed_on=date(2024, 4, 10))
    done = change(evening, at("2024-04-11T03:00Z"), NewPrice(Decimal("90.00"), april, Basis.DAYS))
    assert done.charge.changed_on == date(2024, 4, 10)
    assert done.credit == amounts("30.00")


@pytest.mark.parametrize(
    ("net", "credited"),
    [("-1.00", "0"), ("1.00", "1.01"), ("1.00", "-0.01")],
)
def test_a_line_never_holds_amounts_no_invoice_can_have(net: str, credited: str) -> None:
    with pytest.raises(ValueError, match="credits must lie"):
        BilledLine("USD", amounts(net), APRIL.period, APRIL, Basis.DAYS, credited=amounts(credited))


def test_a_line_has_the_currencys_decimals_and_lies_in_its_whole() -> None:
    with pytest.raises(Invalid):
        line("1.001")
    with pytest.raises(ValueError, match="inside its whole"):
        BilledLine("USD", amounts("1"), Period(at("2024-03-31T00:00Z"), APRIL.period.end), APRIL, Basis.DAYS)


@pytest.mark.parametrize("used", [Fraction(-1, 10), Fraction(11, 10)])
def test_a_used_share_is_a_share(used: Fraction) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        credit(line(), used)


cents = st.integers(0, 10**9).map(lambda units: Decimal(units).scaleb(-2))
shares = st.fractions(min_value=0, max_value=1)
moments = st.integers(0, 30 * 86_400 - 1).map(lambda second: APRIL.period.start + timedelta(seconds=second))


@given(net=cents, tax=cents, used=shares, mode=st.sampled_from(Rounding))
def test_kept_and_credited_make_up_the_billed(
    net: Decimal, tax: Decimal, used: Fraction, mode: Rounding
) -> None:
    given_back = credit(BilledLine("USD", Amounts(net, tax), APRIL.period, APRIL, Basis.DAYS), used, mode)
    for billed_amount, back in ((net, given_back.net), (tax, given_back.tax)):
        kept = billed_amount - back
        assert 0 <= kept <= billed_amount
        assert abs(Fraction(kept) - Fraction(billed_amount) * used) < Fraction(1, 100)


@given(net=cents, tax=cents, uses=st.lists(shares, max_size=8), mode=st.sampled_from(Rounding))
def test_cumulated_credits_never_pass_what_was_billed(
    net: Decimal, tax: Decimal, uses: list[Fraction], mode: Rounding
) -> None:
    noted = BilledLine("USD", Amounts(net, tax), APRIL.period, APRIL, Basis.DAYS)
    for used in uses:
        back = credit(noted, used, mode)
        assert min(back.net, back.tax) >= 0
        noted = BilledLine(
            "USD", noted.billed, APRIL.period, APRIL, Basis.DAYS, credited=noted.credited.plus(back)
        )
    if uses:
        fresh = BilledLine("USD", noted.billed, APRIL.period, APRIL, Basis.DAYS)
        assert noted.credited == credit(fresh, min(uses), mode)


@given(
    opening=cents,
    changes=st.lists(st.tuples(moments, cents), min_size=1, max_size=8),
    basis=st.sampled_from(Basis),
    mode=st.sampled_from(Rounding),
)
def test_no_sequence_of_changes_gives_back_more_than_was_billed(
    opening: Decimal, changes: list[tuple[datetime, Decimal]], basis: Basis, mode: Rounding
) -> None:
    current = BilledLine("USD", Amounts(opening), APRIL.period, APRIL, basis)
    charged, credited = opening, Decimal(0)
    for moment, price in sorted(changes):
        done = change(current, moment, NewPrice(price, APRIL, basis), mode)
        assert 0 <= done.credit.net <= current.left.net
        current, charged, credited = (
            billed(done.charge),
            charged + done.charge.amount,
            credited + done.credit.net,
        )
    assert credited <= charged - current.billed.net


@given(
    price=cents,
    changes=st.lists(moments, min_size=1, max_size=8),
    basis=st.sampled_from([Basis.DAYS, Basis.SECONDS, Basis.THIRTY_360]),
)
def test_changing_to_the_same_price_costs_the_same_but_for_rounding(
    price: Decimal, changes: list[datetime], basis: Basis
) -> None:
    current = BilledLine("USD", Amounts(price), APRIL.period, APRIL, basis)
    net = price
    for moment in sorted(changes):
        done = change(current, moment, NewPrice(price, APRIL, basis))
        net += done.charge.amount - done.credit.net
        current = billed(done.charge)
    assert abs(net - price) <= Decimal("0.01") * len(changes)


@given(price=cents, others=st.lists(cents, min_size=1, max_size=5), seconds=st.integers(0, 86_399))
def test_a_day_of_changes_costs_what_the_last_alone_costs(
    price: Decimal, others: list[Decimal], seconds: int
) -> None:
    day = at("2024-04-11T00:00Z")
    times = [day + timedelta(seconds=seconds * n // len(others)) for n in range(len(others) + 1)]
    current = BilledLine("USD", Amounts(price), APRIL.period, APRIL, Basis.SECONDS)
    net = price
    for moment, other in zip(times, [*others, Decimal("45.00")], strict=True):
        done = change(current, moment, NewPrice(other, APRIL, Basis.SECONDS))
        net += done.charge.amount - done.credit.net
        current = billed(done.charge)
    alone = change(
        BilledLine("USD", Amounts(price), APRIL.period, APRIL, Basis.SECONDS),
        times[0],
        NewPrice(Decimal("45.00"), APRIL, Basis.SECONDS),
    )
    assert net == price - alone.credit.net + alone.charge.amount


def test_the_parts_of_a_changed_period_still_make_a_whole() -> None:
    first = change(line("30.00"), at("2024-04-11T10:00Z"), NewPrice(Decimal("60.00"), APRIL, Basis.DAYS))
    kept = fraction(Basis.DAYS, Period(APRIL.period.start, first.charge.period.start), APRIL)
    assert kept + first.charge.fraction == 1
