"""Credit notes as arithmetic: never above what they correct, exact in every sum, and the last one takes the remainder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.invoicing.domain import notes
from tallystick.invoicing.domain.crediting import CreditedLine, Taken, cumulated, gone, treatment
from tallystick.invoicing.domain.draft import TaxShare, TaxTotal
from tallystick.invoicing.domain.notes import Asked, NoteDraft, NoteLine, credit
from tallystick.kernel.errors import Invalid
from tallystick.kernel.money import round_money
from tallystick.ledger import domain as books

ZERO = Decimal(0)
START, END = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Line:
    """What of a stored line a note looks at."""

    position: int
    amount: Decimal
    taxes: tuple[TaxShare, ...] = ()
    discount: Decimal = ZERO
    granted: Decimal = ZERO
    description: str = "Requests"
    gl_code: str = "4000"
    timing: str = "arrears"
    period_start: datetime = START
    period_end: datetime = END

    @property
    def whole(self) -> Decimal:
        return self.amount - self.discount - self.granted

    @property
    def total(self) -> Decimal:
        return self.whole + sum((tax.amount for tax in self.taxes if not tax.included), ZERO)


def tax(amount: str, base: str, rate: str = "19", code: str = "vat", **more: Any) -> TaxShare:
    return TaxShare(code, code.upper(), Decimal(rate), Decimal(base), Decimal(amount), **more)


def totals(lines: Sequence[Line]) -> list[TaxTotal]:
    found: dict[tuple[Any, ...], TaxTotal] = {}
    for line in lines:
        for share in line.taxes:
            key = tuple(treatment(share).items())
            before = found.get(key, TaxTotal(**treatment(share), base=ZERO, amount=ZERO))
            found[key] = replace(before, base=before.base + share.base, amount=before.amount + share.amount)
    return list(found.values())


class Ledger:
    """An invoice under credit: what was taken of it so far, as the store would remember it."""

    def __init__(self, lines: Sequence[Line], currency: str = "EUR") -> None:
        self.lines, self.currency = lines, currency
        self.notes: list[NoteDraft] = []

    @property
    def taken(self) -> dict[int, Taken]:
        own: dict[int, list[CreditedLine]] = {}
        for note in self.notes:
            for each in note.lines:
                own.setdefault(each.position, []).append(each)
        return {
            line.position: gone(line, [(each.amount, each.taxes) for each in own[line.position]], [])
            for line in self.lines
            if line.position in own
        }

    @property
    def left(self) -> Decimal:
        return sum((line.total for line in self.lines), ZERO) - sum((note.total for note in self.notes), ZERO)

    def credit(self, *lines: NoteLine, amount: str | Decimal | None = None) -> NoteDraft:
        asked = Asked(lines, None if amount is None else Decimal(amount))
        note = credit(self.lines, totals(self.lines), self.taken, asked, self.currency)
        self.notes.append(note)
        return note


def simple() -> Ledger:
    return Ledger(
        [Line(1, Decimal("10.00"), (tax("1.90", "10.00"),)), Line(2, Decimal("5.05"), (tax("0.96", "5.05"),))]
    )


def test_a_full_note_is_the_invoice() -> None:
    note = simple().credit()
    assert (note.subtotal, note.tax, note.total) == (Decimal("15.05"), Decimal("2.86"), Decimal("17.91"))
    assert note.taxes == (TaxTotal("vat", "VAT", Decimal(19), Decimal("15.05"), Decimal("2.86")),)


def test_a_line_is_credited_in_its_own_terms_and_its_tax_follows() -> None:
    note = simple().credit(NoteLine(1, Decimal("3.00")))
    assert (note.subtotal, note.tax, note.total) == (Decimal("3.00"), Decimal("0.57"), Decimal("3.57"))
    assert note.lines[0].taxes == (tax("0.57", "3.00"),)


def test_an_amount_is_of_the_total_and_comes_out_to_the_cent() -> None:
    book = simple()
    for amount in ("0.01", "0.02", "3.33", "7.77"):
        assert book.credit(amount=amount).total == Decimal(amount)
    assert book.credit().total == Decimal("17.91") - Decimal("11.13")


def test_tax_is_cumulated_so_that_small_notes_pay_their_share_and_the_last_the_rest() -> None:
    book = Ledger([Line(1, Decimal("0.10"), (tax("0.02", "0.10"),))])
    taxes = [book.credit(NoteLine(1, Decimal("0.01"))).tax for _ in range(10)]
    assert [int(each * 100) for each in taxes] == [0, 0, 1, 0, 0, 0, 0, 1, 0, 0]


def test_an_included_tax_comes_out_of_the_amount() -> None:
    book = Ledger([Line(1, Decimal("11.90"), (tax("1.90", "10.00", included=True),))])
    note = book.credit(NoteLine(1, Decimal("5.95")))
    assert (note.subtotal, note.included_tax, note.tax, note.total) == tuple(
        map(Decimal, ("5.95", "0.95", "0.95", "5.95"))
    )
    assert (note.lines[0].earned, note.lines[0].taxes[0].base) == (Decimal("5.00"), Decimal("5.00"))
    assert book.credit().total == Decimal("5.95")


def test_discounts_and_granted_credit_were_never_charged_and_are_not_given_back() -> None:
    book = Ledger([Line(1, Decimal("10.00"), (tax("1.14", "6.00"),), Decimal("3.00"), Decimal("1.00"))])
    with pytest.raises(notes.OverLine):
        book.credit(NoteLine(1, Decimal("6.01")))
    assert book.credit().total == Decimal("7.14")


def test_the_treatment_goes_along() -> None:
    charged = (tax("0.00", "10.00", "0", kind="reverse_charge"),)
    rate = TaxTotal(
        "vat",
        "VAT",
        Decimal(0),
        Decimal("10.00"),
        ZERO,
        kind="reverse_charge",
        note="Steuerschuld des Empfängers",
    )
    note = credit([Line(1, Decimal("10.00"), charged)], [rate], {}, Asked((NoteLine(1, Decimal("4.00")),)), "EUR")  # fmt: skip
    assert note.taxes == (replace(rate, base=Decimal("4.00")),)
    assert note.lines[0].taxes == (replace(charged[0], base=Decimal("4.00")),)


@pytest.mark.parametrize(
    ("asked", "refusal", "field"),
    [
        (Asked(amount=Decimal("17.92")), notes.OverInvoice, "amount"),
        (Asked(amount=Decimal("0.00")), notes.NotPositive, "amount"),
        (Asked(amount=Decimal("0.001")), Invalid, "amount"),
        (Asked((NoteLine(1, Decimal("10.01")),)), notes.OverLine, "lines.0.amount"),
        (Asked((NoteLine(2), NoteLine(1, Decimal("0.005")))), Invalid, "lines.1.amount"),
        (Asked((NoteLine(1, Decimal("0.00")),)), notes.NotPositive, "lines.0.amount"),
        (Asked((NoteLine(1, Decimal("-1.00")),)), notes.NotPositive, "lines.0.amount"),
        (Asked((NoteLine(3),)), notes.UnknownLine, "lines.0.line"),
        (Asked((NoteLine(1, Decimal(1)), NoteLine(1, Decimal(1)))), notes.UnknownLine, "lines.1.line"),
    ],
)
def test_what_cannot_be_is_refused_by_name(asked: Asked, refusal: type[Any], field: str) -> None:
    lines = simple().lines
    with pytest.raises(refusal) as raised:
        credit(lines, totals(lines), {}, asked, "EUR")
    assert set(raised.value.details) == {field}


def test_nothing_is_left_after_a_full_note() -> None:
    book = simple()
    book.credit()
    for lines, amount in (((), None), ((), "0.01"), ((NoteLine(1),), None)):
        with pytest.raises(notes.NothingLeft):
            book.credit(*lines, amount=amount)
    with pytest.raises(notes.OverLine):
        book.credit(NoteLine(1, Decimal("0.01")))


def test_a_line_below_zero_is_credited_below_zero() -> None:
    book = Ledger(
        [
            Line(1, Decimal("10.00"), (tax("1.90", "10.00"),)),
            Line(2, Decimal("-4.00"), (tax("-0.76", "-4.00"),)),
        ]
    )
    with pytest.raises(notes.OverInvoice):
        book.credit(NoteLine(1))  # 11.90 of an invoice of 7.14
    with pytest.raises(notes.NotPositive):
        book.credit(NoteLine(2))
    assert book.credit(amount="2.00").total == Decimal("2.00")
    assert book.credit().total == Decimal("5.14")
    assert sum(each.tax for each in book.notes) == Decimal("1.14")


def test_no_rate_gives_back_more_than_it_has() -> None:
    other = tax("7.00", "100.00", "7", "reduced")
    lines = [
        Line(1, Decimal("100.00"), (tax("19.00", "100.00"),)),
        Line(2, Decimal("-80.00"), (tax("-15.20", "-80.00"),)),
        Line(3, Decimal("100.00"), (other,)),
    ]
    with pytest.raises(notes.OverTax):
        Ledger(lines).credit(NoteLine(1))
    assert Ledger(lines).credit(NoteLine(1), NoteLine(2)).tax == Decimal("3.80")


def test_what_a_later_invoice_corrected_is_not_credited_again() -> None:
    line = Line(1, Decimal("10.00"), (tax("1.90", "10.00"),))
    back = [(Decimal("-4.00"), (tax("-0.76", "-4.00"),))]
    taken = gone(line, [(Decimal("1.00"), (tax("0.19", "1.00"),))], back)
    assert taken == Taken(Decimal("5.00"), (Decimal("0.95"),))
    assert credit([line], totals([line]), {1: taken}, Asked(), "EUR").total == Decimal("5.95")
    more = gone(line, [], [(Decimal("2.00"), (tax("0.38", "2.00"),))])
    assert credit([line], totals([line]), {1: more}, Asked(), "EUR").total == Decimal("11.90")


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=4))
def test_a_cumulated_split_only_grows_and_ends_at_its_parts(units: list[int]) -> None:
    parts = [Decimal(unit).scaleb(-2) for unit in units]
    steps = [cumulated(parts, Decimal(n).scaleb(-2), 2) for n in range(sum(units) + 1)]
    assert steps[-1] == parts
    for n, (before, after) in enumerate(pairwise(steps)):
        assert sum(after) == Decimal(n + 1).scaleb(-2)
        assert all(a <= b <= part for a, b, part in zip(before, after, parts, strict=True))


CENTS = {"EUR": 2, "JPY": 0, "KWD": 3}
RATES = [("vat", "19"), ("reduced", "7"), ("city", "1.125"), ("zero", "0"), ("high", "99.5")]


@st.composite
def invoices(draw: st.DrawFn) -> Ledger:
    currency = draw(st.sampled_from(sorted(CENTS)))
    lines = []
    for position in range(1, draw(st.integers(1, 6)) + 1):
        units = draw(st.one_of(st.integers(0, 30), st.integers(-2_000, 100_000)))
        whole = Decimal(units).scaleb(-CENTS[currency])
        included = draw(st.booleans())
        rates = draw(st.lists(st.sampled_from(RATES), unique=True, max_size=3))
        every = sum((Decimal(rate) for _, rate in rates), ZERO)
        shares = []
        for code, rate in rates:
            exact = whole.as_integer_ratio()
            per = (Decimal(rate) / (100 + every) if included else Decimal(rate) / 100).as_integer_ratio()
            amount = round_money(_fraction(exact) * _fraction(per), currency)
            shares.append(TaxShare(code, code, Decimal(rate), whole, amount, included))
        if included and abs(sum((share.amount for share in shares), ZERO)) > abs(whole):
            shares = shares[:1]  # rounding made more tax than there is price
        lines.append(Line(position, whole, tuple(shares)))
    return Ledger(lines, currency)


def _fraction(ratio: tuple[int, int]) -> Any:
    from fractions import Fraction

    return Fraction(*ratio)


@settings(deadline=None)
@given(invoices(), st.data())
def test_notes_of_any_kind_never_exceed_their_invoice_and_the_last_takes_the_remainder(
    book: Ledger, data: st.DataObject
) -> None:
    unit = Decimal(1).scaleb(-CENTS[book.currency])
    for _ in range(data.draw(st.integers(0, 6))):
        kind = data.draw(st.sampled_from(["amount", "lines", "too much"]))
        left = book.left
        try:
            if kind == "amount" and left > 0:
                most = int(left / unit)
                wanted = data.draw(st.one_of(st.integers(1, most), st.just(most))) * unit
                assert book.credit(amount=wanted).total == wanted
                if wanted == left:
                    _all_is_gone(book)
            elif kind == "lines":
                line = data.draw(st.sampled_from(book.lines))
                gone_ = book.taken.get(line.position, Taken()).amount
                rest = int((line.whole - gone_) / unit)
                if rest:
                    wanted = data.draw(st.integers(min(rest, 1), max(rest, -1))) * unit or None
                    book.credit(NoteLine(line.position, wanted))
            else:
                with pytest.raises((notes.OverInvoice, notes.NothingLeft)):
                    book.credit(amount=max(left, ZERO) + unit)
        except (notes.OverInvoice, notes.OverTax, notes.NotPositive, notes.NothingLeft):
            assert any(line.whole < 0 for line in book.lines) or left <= 0 or kind == "lines"
        _holds(book)
    if book.left > 0:
        book.credit()
        _all_is_gone(book)
    _holds(book)


@settings(deadline=None, max_examples=400)
@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=3),
    st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=20),
)
def test_notes_in_either_terms_mix_on_one_line(
    units: int, rates: list[tuple[int, bool]], wishes: list[tuple[bool, int]]
) -> None:
    """By the line's amount and by the total in any order, on a line so small that every cent is a rounding."""
    held = sum(amount for amount, included in rates if included)
    shares = tuple(
        TaxShare(f"t{n}", "T", Decimal(n), ZERO, Decimal(amount).scaleb(-2), included)
        for n, (amount, included) in enumerate(rates)
    )
    line = Line(1, Decimal(units + held).scaleb(-2), shares)
    book = Ledger([line])
    for by_total, cents in wishes:
        amount = Decimal(cents).scaleb(-2)
        taken = book.taken.get(1, Taken()).amount
        if by_total and book.left > 0:
            amount = min(amount, book.left)
            assert book.credit(amount=amount).total == amount
        elif not by_total and line.whole > taken:
            amount = min(amount, line.whole - taken)
            assert book.credit(NoteLine(1, amount)).subtotal == amount
        _holds(book)
    if book.left > 0:
        book.credit()
    _all_is_gone(book)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_whatever_is_gone_of_a_line_a_note_stays_within_what_is_left(data: st.DataObject) -> None:
    """Corrections on later invoices were rounded on their own, so what is gone of a tax need not be its part of what is gone of the line."""

    def cents(most: int) -> int:
        return data.draw(st.integers(0, most))

    charged = [(cents(40), data.draw(st.booleans())) for _ in range(data.draw(st.integers(0, 3)))]
    shares = tuple(
        TaxShare(f"t{n}", "T", Decimal(n), ZERO, Decimal(tax).scaleb(-2), included)
        for n, (tax, included) in enumerate(charged)
    )
    units = 1 + cents(60) + sum(tax for tax, included in charged if included)
    line = Line(1, Decimal(units).scaleb(-2), shares)
    before = Taken(
        Decimal(cents(units)).scaleb(-2), tuple(Decimal(cents(tax)).scaleb(-2) for tax, _ in charged)
    )
    added = [n for n, share in enumerate(shares) if not share.included]
    left = line.total - before.amount - sum((before.taxes[n] for n in added), ZERO)
    if left <= 0:
        return
    wanted = Decimal(data.draw(st.integers(1, int(left * 100)))).scaleb(-2)
    rest = line.whole - before.amount
    asked = [Asked(amount=wanted), Asked(), *([Asked((NoteLine(1, min(wanted, rest)),))] if rest else [])]
    for each in asked:
        note = credit([line], totals([line]), {1: before}, each, "EUR")
        (own,) = note.lines
        assert 0 <= own.amount <= rest
        for share, was, stored in zip(own.taxes, before.taxes, shares, strict=True):
            assert 0 <= share.amount <= stored.amount - was
        assert note.total == (wanted if each.amount else left if not each.lines else note.total)


def _all_is_gone(book: Ledger) -> None:
    assert book.left == 0
    for line in book.lines:
        taken = book.taken.get(line.position, Taken(ZERO, (ZERO,) * len(line.taxes)))
        assert taken.amount == line.whole
        assert list(taken.taxes) == [share.amount for share in line.taxes]


def _holds(book: Ledger) -> None:
    assert book.left >= 0 or not book.notes
    for note in book.notes:
        assert note.total > 0
        for each in note.lines:
            sign = -1 if book.lines[each.position - 1].whole < 0 else 1
            assert sign * each.amount >= 0
            assert all(sign * share.amount >= 0 for share in each.taxes)
        assert note.total == sum((line.total for line in note.lines), ZERO)
        assert note.total == note.subtotal - note.included_tax + note.tax
        assert note.tax == sum((share.amount for line in note.lines for share in line.taxes), ZERO)
        posted = notes.posting(
            uuid4(), note, account_no=1, entity_id=1, currency=book.currency, offset=note.total / 2 // Decimal(1).scaleb(
                -CENTS[book.currency]) * Decimal(1).scaleb(-CENTS[book.currency]), now=END,
        )  # fmt: skip
        books.check(posted)
    for line in book.lines:
        taken = book.taken.get(line.position)
        if taken is not None:
            sign = -1 if line.whole < 0 else 1
            assert 0 <= sign * taken.amount <= sign * line.whole
            for some, share in zip(taken.taxes, line.taxes, strict=True):
                assert 0 <= sign * some <= sign * share.amount
