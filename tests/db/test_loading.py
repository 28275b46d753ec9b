"""Loading a data set: twice, interrupted at every step, by two at once; and every stored line beside the rows behind it."""

import asyncio
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console

from tallystick.accounts.domain import Account
from tallystick.billing.domain.replay import exact_of
from tallystick.billing.importers.compare import exact_lines
from tallystick.billing.importers.dataset import Charge, Dataset, Plan
from tallystick.billing.importers.discover import discover, load, recognise
from tallystick.billing.service import explaining, loading
from tallystick.billing.service.loading import Differs, ensure_plans, uncovered
from tallystick.cli.bill_reading import Issued, check_lines, issued
from tallystick.cli.importing import Input, Loaded, loader, put
from tallystick.cli.progress import Steps
from tallystick.platform.db import Database
from tallystick.sample import sample_month
from tests.db.test_billing_recorded import at, healthy

DATA = os.environ.get("TALLYSTICK_REAL_DATA", "")
FIXTURES = Path(__file__).parents[1] / "unit" / "fixtures"
LOADER = loader("test", {"demo": "test"})


class Interrupted(Exception):
    """Stands for a kill: raised between two commits."""


class StopAfter(Steps):
    """Steps that end the work once `left` pieces are done."""

    left = 10**9

    @contextmanager
    def step(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        def done(_count: int) -> None:
            self.left -= 1
            if self.left < 0:
                raise Interrupted

        yield done


def steps(left: int = 10**9) -> StopAfter:
    made = StopAfter(Console(file=io.StringIO()), time.monotonic)
    made.left = left
    return made


async def bill(database: Database, loaded: list[Loaded]) -> list[list[Issued]]:
    """Bills and reads what was loaded; nothing may be parked, and every invoice comes out again."""
    nos = [account.no for each in loaded for account in each.accounts.values()]
    as_of = max(each.source.dataset.bill_as_of for each in loaded)
    assert await loading.bill(database, LOADER, nos, as_of, everyone=True) == []
    async with database.snapshot() as session:
        found = [await issued(session, each.source.dataset, each.accounts) for each in loaded]
        for each in (one for own in found for one in own):
            assert (await explaining.verify(session, each.invoice)).agrees
    await healthy(database)
    return found


def totals(found: list[Issued]) -> dict[str, Decimal]:
    return {each.account.external_id or "": each.invoice.total for each in found}


SAMPLE = {
    "sample-bergmann": Decimal("169.82"),
    "sample-harbor": Decimal("229.85"),
    "sample-asahi": Decimal("29469"),
    "sample-lumiere": Decimal("73.61"),
    "sample-prairie": Decimal("67.89"),
    "sample-kauri": Decimal("55.39"),
}


async def test_the_sample_is_billed_to_the_cent_and_once(database: Database) -> None:
    first = await put(database, LOADER, [Input(sample_month())], steps())
    (found,) = await bill(database, first)
    assert totals(found) == SAMPLE
    assert first[0].counts().accepted == len(sample_month().events)
    second = await put(database, LOADER, [Input(sample_month())], steps())
    assert second[0].counts().duplicate == len(sample_month().events)
    (again,) = await bill(database, second)
    assert [each.invoice for each in again] == [each.invoice for each in found]


async def test_free_units_of_a_short_month_by_hand(database: Database) -> None:
    """Lumière came on 17 March: 1,846 e-mails less 2,000 × 15/31 = 967.74 free ones begin one package of 1,000 at 0.80 EUR.

    So its net is 60.54 for all else plus 0.80, and 20 % of 61.34 is 12.268, rounded 12.27.
    """
    (found,) = await bill(database, await put(database, LOADER, [Input(sample_month())], steps()))
    (lumiere,) = [each for each in found if each.account.external_id == "sample-lumiere"]
    assert 0 < Fraction(1846) - Fraction(2000 * 15, 31) <= 1000
    assert [(line.description, f"{line.amount:f}") for line in lumiere.lines] == [
        ("Platform EUR", "21.77"),  # 45.00 × 15/31 = 21.774…
        ("API calls", "10.01"),  # 10,000 × 0 + 11,780 × 0.00085 = 10.013
        ("Data sent", "4.02"),  # 47.34 × 0.085 = 4.0239
        ("E-mails sent", "0.80"),
        ("Storage, highest of the month", "2.34"),  # 108.72 × 0.0215 = 2.33748
        ("Active users", "22.40"),  # 16 × 1.40
    ]
    assert (lumiere.invoice.subtotal, lumiere.invoice.tax) == (Decimal("61.34"), Decimal("12.27"))


async def test_interrupted_at_every_step_it_goes_on_and_bills_the_same(database: Database) -> None:
    pieces = 0
    while True:
        try:
            loaded = await put(database, LOADER, [Input(sample_month())], steps(pieces))
            break
        except Interrupted:
            pieces += 1
    assert pieces == 7  # meters, accounts, events, three price lists, subscriptions
    (found,) = await bill(database, loaded)
    assert totals(found) == SAMPLE


async def test_two_at_once_subscribe_nobody_twice(database: Database) -> None:
    source = Input(sample_month())
    with pytest.raises(Interrupted):
        await put(database, LOADER, [source], steps(5))  # all but the subscriptions
    both = await asyncio.gather(*(put(database, LOADER, [source], steps()) for _ in range(2)))
    (found,) = await bill(database, both[0])
    assert totals(found) == SAMPLE


def unrounded(found: list[Issued]) -> dict[tuple[str, str], Fraction]:
    """What each stored line comes to before rounding, by customer and meter."""
    return {
        (each.account.external_id or "", each.meters[line.evidence.meter_id]): exact_of(line)
        for each in found
        for line in each.lines
        if line.evidence is not None
    }


async def test_every_row_of_a_report_is_on_its_line_also_one_of_nothing(database: Database) -> None:
    plan = load(recognise(FIXTURES / "focus_small.csv"))
    loaded = await put(database, LOADER, [Input(plan.dataset, plan)], steps())
    (found,) = await bill(database, loaded)
    assert unrounded(found) == exact_lines(plan.expectations)
    assert Fraction(0) in unrounded(found).values()
    assert loaded[0].refused() == plan.bad_rows


async def test_a_row_restated_is_named_and_charged_once(database: Database) -> None:
    plan = load(recognise(FIXTURES / "focus_small.csv"))
    await put(database, LOADER, [Input(plan.dataset, plan)], steps())
    first, *rest = plan.dataset.events
    restated = replace(plan.dataset, events=(replace(first, quantity=first.quantity + 1), *rest))
    (loaded,) = await put(database, LOADER, [Input(restated, plan)], steps())
    assert (loaded.counts().conflict, loaded.counts().accepted) == (1, 0)
    (refused,) = loaded.refused()
    assert refused.line_no == plan.expectations[0].line_no
    (found,) = await bill(database, [loaded])
    assert unrounded(found) == exact_lines(plan.expectations)


async def test_prices_of_a_later_file_supplement_the_plan_and_charge_no_meter_twice(
    database: Database,
) -> None:
    """The report of one month in two files: the second has prices and customers that the first has not."""
    plan = load(recognise(FIXTURES / "focus_small.csv"))
    whole = plan.dataset
    early = tuple(row for row in plan.expectations if row.occurred_at < at("2024-03-02T00:00"))
    assert early
    parts = [_part(whole, {row.event_id for row in early}), whole]
    for part in parts:
        loaded = await put(database, LOADER, [Input(part, plan)], steps())
    (found,) = await bill(database, loaded)
    assert unrounded(found) == exact_lines(plan.expectations)
    assert sum(len(each.lines) for each in found) == len(exact_lines(plan.expectations))


def _part(whole: Dataset, ids: set[str]) -> Dataset:
    events = tuple(event for event in whole.events if event.id in ids)
    used, buyers = {each.meter_code for each in events}, {each.customer_external_id for each in events}
    return replace(
        whole,
        events=events,
        customers=tuple(each for each in whole.customers if each.external_id in buyers),
        meters=tuple(each for each in whole.meters if each.code in used),
        plans=tuple(
            replace(each, charges=tuple(charge for charge in each.charges if charge.meter_code in used))
            for each in whole.plans
        ),
        subscriptions=tuple(
            each for each in whole.subscriptions if each.customer_external_id in buyers
        ),
    )  # fmt: skip


async def test_another_price_for_a_known_meter_is_refused(database: Database) -> None:
    await put(database, LOADER, [Input(sample_month())], steps())
    known = sample_month().plans[0]
    dearer = Charge("sample.storage_gb", "standard", {"unit_amount": "99"}, "Storage")
    changed = Plan(known.code, known.name, known.currency, known.fee, (dearer,))
    with pytest.raises(Differs):
        await ensure_plans(database, LOADER, [changed], lambda _count: None)


async def test_only_its_own_accounts_are_billed_beside_others(database: Database) -> None:
    (mine,) = await put(database, LOADER, [Input(sample_month())], steps())
    other = load(recognise(FIXTURES / "oci_small.csv"))
    (theirs,) = await put(database, loader("test", {}), [Input(other.dataset, other)], steps())
    nos = [account.no for account in mine.accounts.values()]
    assert (
        await loading.bill(database, LOADER, nos, mine.source.dataset.bill_as_of, everyone=False)
        == []
    )  # fmt: skip
    assert await _billed(database, mine.source.dataset, mine.accounts) == 6
    assert await _billed(database, theirs.source.dataset, theirs.accounts) == 0


async def _billed(database: Database, dataset: Dataset, accounts: dict[str, Account]) -> int:
    async with database.snapshot() as session:
        return len(await issued(session, dataset, accounts))


@pytest.mark.parametrize(
    ("existing", "left"),
    [
        ([], [(1, 9)]),
        ([(1, 9)], []),
        ([(1, None)], []),
        ([(0, 5)], [(5, 9)]),
        ([(3, 5), (7, None)], [(1, 3), (5, 7)]),
        ([(12, None)], [(1, 9)]),
        ([(4, 20), (2, 3)], [(1, 2), (3, 4)]),
    ],
)
def test_uncovered(existing: list[tuple[int, int | None]], left: list[tuple[int, int]]) -> None:
    def day(number: int) -> datetime:
        return at(f"2026-01-{number + 1:02}")

    spans = [(day(start), None if end is None else day(end)) for start, end in existing]
    assert list(uncovered((day(1), day(9)), spans)) == [(day(start), day(end)) for start, end in left]


@pytest.mark.skipif(
    not DATA, reason="TALLYSTICK_REAL_DATA does not name a folder with the published FOCUS and OCI reports"
)
async def test_every_line_of_the_published_reports_is_the_exact_sum_of_its_rows(database: Database) -> None:
    plans = [load(report) for report in discover(Path(DATA)).reports]
    loaded = await put(database, LOADER, [Input(plan.dataset, plan) for plan in plans], steps())
    counted = {}
    for plan, found in zip(plans, await bill(database, loaded), strict=True):
        expected = plan.priced or exact_lines(plan.expectations)
        assert unrounded(found) == expected
        for each in found:
            for line in each.lines:
                assert abs(Fraction(line.exact) - exact_of(line)) < Fraction(1, 10**18)
        check = check_lines(plan.mapping.label, found, expected)
        counted[check.label] = (check.agreeing, check.compared)
    assert counted == {"AWS CUR": (195, 195), "FOCUS": (405, 405), "OCI": (13, 13), "token": (16, 16)}
