"""Granted credit before tax, paid wallets after it: on any document, and checked again on what is stored of it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tallystick.invoicing.domain.assemble import Fee, Inputs, assemble
from tallystick.invoicing.domain.draft import InvoiceDraft, Line, Reduction, TaxShare
from tallystick.invoicing.domain.drawing import Fund, Reach, before_tax, check, grant_lines, returned
from tallystick.kernel.money import Rounding
from tallystick.platform import wire
from tallystick.taxes.domain import Profile, Tax, TaxRate
from tallystick.wallets.domain import Drawn, Grant, Kind, facts

START = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = (START, START + timedelta(days=31))
ZERO = Decimal(0)


def fee(price: str, plan: int = 1, **changes: Any) -> Fee:
    plain = Fee(
        UUID(int=plan), plan, f"Plan {plan}", Decimal(price), Decimal(1), "days", 31, 31, *MONTH, MONTH, "advance", "4000"
    )  # fmt: skip
    return replace(plain, **changes)


def fund(
    free: str, number: int = 1, kind: Kind = Kind.GRANTED, reach: Reach | None = None, **more: Any
) -> Fund:
    grant = Grant(
        UUID(int=number),
        UUID(int=900 + number),
        f"Wallet {number}",
        kind,
        Decimal(free),
        50,
        None,
        START,
        "EUR",
    )
    return Fund(replace(grant, **more), reach)


def invoice(
    fees: list[Fee], funds: list[Fund], rate: str = "19", credit: str = "0", rounding: str = "rate"
) -> InvoiceDraft:
    taxes = (Tax(1, "vat", "VAT", Decimal(rate)),) if rate != "0" else ()
    made = assemble(
        Inputs(
            1, 1, "EUR", fees, Rounding.HALF_AWAY, rounding, Profile(taxes), credit=Decimal(credit), funds=funds
        )
    )  # fmt: skip
    assert made is not None
    return made


@dataclass(frozen=True)
class Stored:
    """A line as the check sees it."""

    position: int
    amount: Decimal
    discount: Decimal
    granted: Decimal
    reductions: tuple[Reduction, ...]
    taxes: tuple[TaxShare, ...]


def stored(draft: InvoiceDraft) -> tuple[list[Stored], list[Drawn]]:
    lines = [
        Stored(position, line.amount, line.discount, line.granted, line.reductions, line.taxes)
        for position, line in enumerate(draft.lines, 1)
    ]
    draws = [
        Drawn(
            each.grant.wallet_id, each.grant.code, each.grant.id, each.grant.kind.value, index + 1, amount,
            wire.loads_own(wire.dumps(facts(each))),
        )
        for each in draft.draws
        for index, amount in each.shares
    ]  # fmt: skip
    return lines, draws


def problems(draft: InvoiceDraft, draws: list[Drawn] | None = None, **changes: Any) -> list[str]:
    lines, told = stored(draft)
    given_ = {"due": draft.total - draft.credit_applied, "wallet_applied": draft.wallet_applied, **changes}
    return check(lines, told if draws is None else draws, "EUR", given_["due"], given_["wallet_applied"])


def test_granted_credit_lowers_what_is_taxed_and_paid_money_pays_the_tax_too() -> None:
    made = invoice([fee("100.00")], [fund("40.00"), fund("50.00", 2, Kind.PAID)])
    assert [made.subtotal, made.granted, made.total] == [100, 40, Decimal("71.40")]
    assert [made.wallet_applied, made.amount_due] == [50, Decimal("21.40")]
    (line,) = made.lines
    assert line.reductions == (Reduction("grant", UUID(int=1), "Wallet 1", Decimal("40.00")),)
    assert line.remainder == 60
    assert problems(made) == []


def test_customer_credit_comes_before_paid_money() -> None:
    made = invoice([fee("10.00"), fee("30.00", 2)], [fund("99", 1, Kind.PAID)], rate="0", credit="10.00")
    assert [made.credit_applied, made.wallet_applied, made.amount_due] == [10, 30, 0]
    assert [amount for _, amount in made.draws[0].shares] == [Decimal("7.50"), Decimal("22.50")]
    assert problems(made) == []


def test_a_limited_paid_wallet_pays_its_lines_and_their_tax_and_no_more() -> None:
    only = Reach(plan_versions=frozenset({2}))
    made = invoice([fee("10.00"), fee("30.00", 2)], [fund("99", 1, Kind.PAID, only)])
    assert (made.wallet_applied, made.amount_due) == (Decimal("35.70"), Decimal("11.90"))
    assert made.draws[0].shares == ((1, Decimal("35.70")),)
    assert made.draws[0].lines == (1,)
    assert problems(made) == []


def test_a_grant_that_covers_everything_leaves_nothing_to_pay() -> None:
    made = invoice([fee("10.00"), fee("30.00", 2)], [fund("25"), fund("99", 2), fund("1", 3, Kind.PAID)])
    assert [made.granted, made.tax, made.total, made.amount_due, made.wallet_applied] == [40, 0, 0, 0, 0]
    assert [each.amount for each in made.draws] == [25, 15]
    assert problems(made) == []


def test_a_charges_top_up_belongs_to_its_meter() -> None:
    reach = Reach(meters=frozenset({7}), charges=frozenset({3}))
    (plain,) = invoice([fee("1")], []).lines
    assert reach.covers(replace(plain, charge_id=3))
    assert not reach.covers(plain)
    assert not Reach(meters=frozenset({7}), charges=frozenset({3}), plan_versions=frozenset({9})).covers(
        replace(plain, charge_id=3)
    )


def test_corrections_below_zero_leave_no_group_below_zero() -> None:
    opens = [Decimal("10.00"), Decimal("-4.00"), Decimal("5.00")]
    assert before_tax(opens, ["a", "a", "b"], "EUR") == [Decimal("6.00"), 0, Decimal("5.00")]
    (plain,) = invoice([fee("1")], []).lines
    lines = [replace(plain, amount=amount) for amount in opens]
    reduced, drawn = grant_lines(lines, [fund("99")], "EUR", lambda: [(), (), ()])
    assert sum((line.remainder for line in reduced), ZERO) == 0
    assert drawn[0].amount == 11


def test_a_correction_lowers_what_is_taxed_as_it_is_whatever_it_carries() -> None:
    """It carries the rates of the line it corrects; others have theirs by category: alike is what pays the same."""
    vat, low = TaxRate("vat", "VAT", Decimal(19)), TaxRate("low", "Low", Decimal(7))
    (plain,) = invoice([fee("1")], []).lines
    lines = [replace(plain, amount=Decimal(amount)) for amount in ("10.00", "6.00", "-4.00")]
    lines[2] = replace(lines[2], tax_rates=(vat,))
    reduced, drawn = grant_lines(lines, [fund("99")], "EUR", lambda: [(low,), (vat,), (vat,)])
    assert [line.remainder for line in reduced] == [0, Decimal("4.00"), Decimal("-4.00")]
    assert drawn[0].amount == 12


def test_what_a_correction_gives_back_is_not_a_draw() -> None:
    (plain,) = invoice([fee("1")], []).lines
    back = Reduction("grant", UUID(int=5), "Wallet", Decimal("-2.00"))
    coupon = Reduction("coupon", UUID(int=6), "TEN", Decimal("-1.00"))
    line = replace(plain, amount=Decimal("-5.00"), corrects=(UUID(int=1), 1), reductions=(coupon, back))
    assert returned([plain, line]) == [(1, UUID(int=5), Decimal("2.00"))]
    seen = Stored(1, Decimal("-5.00"), Decimal("-1.00"), Decimal("-2.00"), (coupon, back), ())
    assert check([seen], [], "EUR", ZERO, ZERO) == []


def test_tampering_with_draws_is_found() -> None:
    only = Reach(plan_versions=frozenset({2}))
    made = invoice(
        [fee("10.00"), fee("30.00", 2)], [fund("5"), fund("9", 2, Kind.PAID, only), fund("99", 3, Kind.PAID)]
    )
    _, draws = stored(made)
    assert problems(made, draws) == []
    first, *rest = draws
    assert problems(made, rest)
    assert problems(made, [replace(first, amount=first.amount + 1), *rest])
    assert problems(made, [replace(first, grant_id=UUID(int=77)), *rest])
    assert problems(made, [replace(first, facts={}), *rest])
    assert problems(made, [replace(first, facts={**first.facts, "free": Decimal(4)}), *rest])
    paid = [each for each in draws if each.kind == "paid"]
    late = [
        replace(each, facts={**each.facts, "priority": 99}) if each.grant_id.int == 2 else each for each in draws
    ]  # fmt: skip
    assert paid
    assert problems(made, late), "who comes later would have found nothing left of this line"
    assert problems(made, wallet_applied=made.wallet_applied - 1)


prices = st.integers(1, 20_000).map(lambda cents: Decimal(cents) / 100)
FUNDS = st.lists(
    st.tuples(
        st.integers(0, 30_000).map(lambda cents: Decimal(cents) / 100), st.sampled_from(list(Kind)), st.integers(0, 1),
        st.none() | st.sets(st.integers(1, 3)),
    ),
    max_size=5,
)  # fmt: skip


@given(
    st.lists(prices, min_size=1, max_size=3), FUNDS, st.sampled_from(["0", "8.875", "19"]),
    st.sampled_from(["rate", "line"]), st.integers(0, 5_000),
)  # fmt: skip
def test_laws_of_a_document(
    amounts: list[Decimal], wished: list[Any], rate: str, rounding: str, credit: int
) -> None:
    fees = [fee(str(amount), number) for number, amount in enumerate(amounts, 1)]
    funds = [
        fund(str(free), number, kind, None if plans is None else Reach(plan_versions=frozenset(plans)), priority=priority)
        for number, (free, kind, priority, plans) in enumerate(wished, 1)
    ]  # fmt: skip
    made = invoice(fees, funds, rate, str(Decimal(credit) / 100), rounding)
    by = {kind: sum((each.amount for each in made.draws if each.grant.kind is kind), ZERO) for kind in Kind}
    assert (by[Kind.GRANTED], by[Kind.PAID]) == (made.granted, made.wallet_applied)
    assert made.amount_due >= 0
    assert made.total == made.subtotal - made.granted + made.tax
    for line in made.lines:
        assert 0 <= line.granted <= line.amount
    free = {each.grant.id: each.grant.free for each in funds}
    assert all(each.amount <= free[each.grant.id] for each in made.draws)
    if any(
        each.grant.kind is Kind.PAID and each.reach is None and each.grant.free > made.total for each in funds
    ):
        assert made.amount_due == 0
    if rate != "0":
        plain: tuple[Line, ...] = invoice(fees, [], rate, "0", rounding).lines
        assert made.tax <= sum((tax.amount for line in plain for tax in line.taxes), ZERO)
    assert problems(made) == []
