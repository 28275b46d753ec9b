"""Random lives with events that come late and events that are voided: whatever came when, what stands adds up to what it should be."""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tallystick.accounts.domain import usage_schedule
from tallystick.billing.corrections import queries as corrections
from tallystick.billing.service import explaining
from tallystick.billing.service.book import Shelf, read_book
from tallystick.billing.service.collect import fill
from tallystick.billing.service.dues import Bill, RecordedPart, Renewal
from tallystick.cli.doctor import examine
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.domain.assemble import Recount, made_anew
from tallystick.invoicing.domain.corrections import Stood
from tallystick.kernel.clock import parse_instant
from tallystick.kernel.period import Part, Period, period_at
from tallystick.ledger import queries as books
from tallystick.metering import queries as metering
from tallystick.metering.domain.digest import event_key
from tallystick.metering.domain.events import IncomingEvent
from tallystick.metering.service import ingest, void
from tallystick.platform.db import Database, ReadSession
from tests.db.test_billing_random import ACTOR, AGGREGATIONS, BEGIN, SEEDS, Lives


class Disorder(Lives):
    """Lives of which a part arrives late, and a part is voided, soon or much later."""

    def __init__(self, database: Database, seed: int) -> None:
        super().__init__(database, seed)
        self.kept: list[str] = []

    async def use(self, start: datetime, end: datetime) -> None:
        await super().use(start, end)
        batch = []
        for account in self.accounts:
            for _ in range(self.chance.randrange(4)):
                self.events += 1
                back = timedelta(days=self.chance.randrange(1, 90))
                batch.append(
                    IncomingEvent(
                        id=str(self.events), account_id=account.id, meter=self.chance.choice((*AGGREGATIONS, "service:Database Hosting")),
                        quantity=Decimal(self.chance.randrange(-200, 9000)) / 100, occurred_at=max(end - back, BEGIN),
                        unit_price=Decimal(self.chance.choice(("0.07", "0.1"))) if self.chance.random() < 0.4 else None,
                        properties={"who": self.chance.choice("abcd")},
                    )
                )  # fmt: skip
        if batch:
            verdicts = await ingest(self.database, ACTOR, batch, now=end, request_id="t", backfill=True)
            assert all(verdict.status == "accepted" for verdict in verdicts)
        for _ in range(self.chance.randrange(12)):
            await self.void(str(self.chance.randrange(1, self.events + 1)), end)

    async def void(self, event: str, now: datetime) -> None:
        key = event_key("", event)
        async with self.database.write() as session:
            stored = (await metering.stored(session, [key]))[key]
            await void(session, ACTOR, stored, now=now, reason="", request_id="t")


async def stands(session: ReadSession, account_no: int) -> dict[tuple[Any, ...], Decimal]:
    """What documents say of each price and period of the account."""
    found: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    far = BEGIN - timedelta(days=400), BEGIN + timedelta(days=400)
    for line in (await corrections.stood(session, [(account_no, *far)])).get(account_no, ()):
        found[line.subscription_id, parse_instant(line.inputs["aligned"][0]), line.price_key] += line.amount
    return {key: amount for key, amount in found.items() if amount}


async def from_scratch(session: ReadSession, account_no: int) -> dict[tuple[Any, ...], Decimal]:
    """What each price of each closed period comes to by all events there are."""
    book = await read_book(session, [account_no], Shelf())
    account = book.accounts[account_no]
    bill = Bill(account, account.usage_billed_to)
    for each in book.all_subscriptions.get(account_no, ()):
        at = each.anchor
        while at < each.usage_billed_to:
            whole = period_at(book.schedule(each), at)
            part = Part(Period(max(whole.period.start, each.anchor), whole.period.end), whole)
            bill.renewals.append(Renewal(each, book.shelf.versions[each.plan_version_id], None, part))
            at = whole.period.end
    at, months = account.usage_from - timedelta(days=100), usage_schedule(account)
    while at < account.usage_billed_to:
        whole_month = period_at(months, at).period
        bill.recorded.append(RecordedPart(whole_month, whole_month.end))
        at = whole_month.end
    await fill(session, book, [bill], metering.ALL_BATCHES, anew=True)
    found: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for inputs in bill.inputs:
        for line in made_anew(inputs, Recount(inputs.items, Stood((), 0))):
            found[line.subscription_id, line.inputs["aligned"][0], line.price_key] += line.amount
    return {key: amount for key, amount in found.items() if amount}


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_disorder(database: Database, seed: int) -> None:
    """`TALLYSTICK_SEED` runs one seed of your own."""
    lives = Disorder(database, seed)
    await lives.begin()
    now = BEGIN
    for days in (10, 31, 25, 40, 33):
        now, before = now + timedelta(days=days, hours=1), now
        await lives.use(before, now)
        await lives.bill(now)
    await lives.bill(now + timedelta(days=95))
    async with database.snapshot() as session:
        found = (await invoices.invoices(session, limit=200)).rows
        reports = [await explaining.verify(session, each) for each in found]
        balances = await books.trial_balance(session)
        left = await corrections.marks(session, [each.no for each in lives.accounts])
        corrected = [
            line
            for each in found
            for line in await invoices.lines(session, each.id)
            if line.kind == "correction"
        ]
        for each in lives.accounts:
            assert await stands(session, each.no) == await from_scratch(session, each.no)
    assert corrected
    assert left == {}
    assert [report.problems for report in reports if not report.agrees] == []
    assert [each for each in await examine(database) if each["violations"]] == []
    assert sum(each.debit for each in balances) == sum(each.credit for each in balances)
