"""Postings as values: what balances is accepted, everything else is refused before it reaches the database."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.domain import Entry, Posting, Unbalanced, check, decimals, fingerprint, reversal

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PERIOD = (datetime(2026, 2, 1, tzinfo=UTC), NOW)


def posting(*entries: Entry, currency: str = "EUR", key: str = "k") -> Posting:
    return Posting(key, "sale", 1, currency, NOW, "invoice", "7", entries)


def two(amount: str, account: str = "receivable", **changes: object) -> Posting:
    value = Decimal(amount)
    return posting(Entry(account, value, 7), Entry("revenue", -value, gl_code="4000"), **changes)  # type: ignore[arg-type]


@given(st.lists(st.decimals(min_value="0.01", max_value="1000000", places=2), min_size=1, max_size=20))
def test_one_debit_against_any_credits_balances(credits: list[Decimal]) -> None:
    whole = sum(credits, Decimal(0))
    entries = [Entry("revenue", -amount, gl_code=str(n)) for n, amount in enumerate(credits)]
    check(posting(Entry("receivable", whole, 7), *entries))
    with pytest.raises(Unbalanced, match="add up"):
        check(posting(Entry("receivable", whole + Decimal("0.01"), 7), *entries))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (posting(Entry("receivable", Decimal(1), 7)), "two entries"),
        (posting(), "two entries"),
        (two("0"), "not zero"),
        (two("1E+15"), "below"),
        (two("Infinity"), "finite"),
        (two("1.001"), "decimals"),
        (two("1.5", currency="JPY"), "decimals"),
        (posting(Entry("receivable", Decimal(1)), Entry("revenue", Decimal(-1))), "billing account"),
        (posting(Entry("receivable", Decimal(1), 0), Entry("revenue", Decimal(-1))), "billing account"),
        (posting(Entry("receivable", Decimal(1), 7), Entry("revenue", Decimal(-1), 7)), "entity"),
        (posting(Entry("receivable", Decimal(1), 7), Entry("pocket", Decimal(-1))), "no such"),
        (posting(Entry("receivable", Decimal(1), 7), Entry("tax:", Decimal(-1))), "no such"),
        (posting(Entry("cash:manual", Decimal("0.001")), Entry("revenue", Decimal("-0.001"))), "decimals"),
        (
            posting(Entry("deferred", Decimal("0.0000001")), Entry("revenue", Decimal("-0.0000001"))),
            "decimals",
        ),
    ],
)
def test_what_is_refused(bad: Posting, why: str) -> None:
    with pytest.raises(Unbalanced, match=why):
        check(bad)


def test_a_nan_is_refused() -> None:
    with pytest.raises(ArithmeticError):
        check(two("NaN"))


def test_zeros_behind_the_point_are_no_decimals() -> None:
    check(two("1.5000"))
    check(two("100", currency="JPY"))
    assert (decimals(Decimal("1.500")), decimals(Decimal("100")), decimals(Decimal("Infinity"))) == (1, 0, 0)


def test_a_reversal_adds_up_to_nothing_with_its_original() -> None:
    original = posting(
        Entry("receivable", Decimal("1.19"), 7),
        Entry("revenue", Decimal(-1), period=PERIOD),
        Entry("tax:vat", Decimal("-0.19")),
    )
    undone = reversal(original, original.entries, key="k2", kind="void", occurred_at=NOW)
    check(undone)
    for before, after in zip(original.entries, undone.entries, strict=True):
        assert replace(after, amount=before.amount) == before
        assert after.amount == -before.amount


def test_the_fingerprint_is_of_content_not_of_spelling_or_time() -> None:
    one = two("1.50")
    assert fingerprint(one) == fingerprint(two("1.5"))
    assert fingerprint(one) == fingerprint(replace(one, occurred_at=PERIOD[0], key="other"))
    others = [
        two("1.51"), two("1.50", currency="USD"), replace(one, kind="x"), replace(one, entity_id=2), replace(one, source_id="8"),
        replace(one, source_type="x"), replace(one, entries=tuple(reversed(one.entries))),
        replace(one, entries=(one.entries[0], replace(one.entries[1], gl_code="4001"))),
        replace(one, entries=(one.entries[0], replace(one.entries[1], period=PERIOD))),
        replace(one, entries=(replace(one.entries[0], account_no=8), one.entries[1])),
    ]  # fmt: skip
    assert len({fingerprint(each) for each in (one, *others)}) == len(others) + 1
