"""Preview equals run, for random plans, usage, coupons, wallets, notes and taxes, due instant after due instant on a test clock.

Before each instant at which something falls due the preview of every account's next bill is taken; then the clock moves there, and the
documents must be what was previewed, to the last digit. `TALLYSTICK_SEED` runs one seed of your own, `TALLYSTICK_INSTANTS` says for how many due instants.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from tallystick.billing.service import explaining, ranges
from tallystick.cli.doctor import examine
from tallystick.invoicing import queries as invoices
from tallystick.invoicing.domain.draft import InvoiceDraft
from tallystick.kernel.actor import system_actor
from tallystick.ledger import queries as books
from tallystick.platform.db import Database, ReadSession
from tallystick.wallets import queries as wallets
from tests.db.random_life import World

EVERYTHING = [1, 2, 3]
"""Lives in which a bit of everything happens, so that nothing is proven of nothing."""
SEEDS = [int(os.environ["TALLYSTICK_SEED"])] if "TALLYSTICK_SEED" in os.environ else EVERYTHING
INSTANTS = int(os.environ.get("TALLYSTICK_INSTANTS", "22"))
ACTOR = system_actor("test")


class Foreseen(World):
    """A world in which every bill is previewed before it is made."""

    bills = 0

    async def due(self, at: datetime) -> None:
        wanted: list[Any] = []
        noted: list[Any] = []
        before = await self.documents()
        for account in self.accounts:
            async with self.database.snapshot() as session:
                preview = await ranges.preview_next(session, account)
            if preview.due_at is not None and preview.due_at <= at:
                wanted += [_previewed(draft) for draft in preview.drafts if draft.lines]
                noted += [_noted(account.no, line) for draft in preview.drafts for line in draft.noted]
        await self.advance(at)
        async with self.database.snapshot() as session:
            made = [
                await _made(session, each) for each in await self.invoices(session) if each.id not in before
            ]
            rows = await session.fetch("SELECT * FROM noted_corrections")
        assert sorted(made, key=str) == sorted(wanted, key=str)
        got = [_noted(row["account_no"], row) for row in rows if row["id"] not in before]
        assert sorted(got, key=str) == sorted(noted, key=str)
        self.bills += len(made)

    async def invoices(self, session: ReadSession) -> Sequence[invoices.InvoiceView]:
        return (await invoices.invoices(session, limit=10_000)).rows

    async def documents(self) -> set[Any]:
        async with self.database.read() as session:
            rows = await session.fetch("SELECT id FROM invoices UNION ALL SELECT id FROM noted_corrections")
        return {row["id"] for row in rows}


def _previewed(draft: InvoiceDraft) -> tuple[Any, ...]:
    drawn = [(each.grant.id, index + 1, amount) for each in draft.draws for index, amount in each.shares]
    return _shape(draft.account_no, draft, draft.tax_totals, draft.amount_due, draft.lines, drawn)


async def _made(session: ReadSession, stored: invoices.InvoiceView) -> tuple[Any, ...]:
    drawn = [(each.grant_id, each.line, each.amount) for each in await wallets.draws(session, stored.id)]
    lines = await invoices.lines(session, stored.id)
    return _shape(stored.account_no, stored, stored.taxes, stored.amount_due, lines, drawn)


def _shape(account_no: int, head: Any, totals: Any, due: Any, lines: Any, drawn: Any) -> tuple[Any, ...]:
    """All that a document says, but for its number, its date and the last batch that it counted."""
    return (
        account_no, head.currency, head.period_start, head.period_end, head.subtotal, head.discount, head.granted, head.included_tax,
        head.tax, head.total, head.credit_applied, head.wallet_applied, due, tuple(totals), sorted(drawn),
        tuple(_line(line) for line in lines),
    )  # fmt: skip


def _line(line: Any) -> tuple[Any, ...]:
    seen = line.evidence
    return (
        str(line.kind), line.description, line.quantity, line.unit, line.amount, line.exact, line.exact_cut, line.period_start,
        line.period_end, line.slice_start, line.price_key, line.rule, line.gl_code, line.timing, line.subscription_id,
        line.charge_id, seen and (seen.meter_id, seen.from_batch, seen.count, seen.checksum), tuple(line.taxes), line.discount,
        line.granted, tuple(line.reductions), line.corrects, line.revision,
    )  # fmt: skip


def _noted(account_no: int, line: Any) -> tuple[Any, ...]:
    names = (
        "description",
        "quantity",
        "amount",
        "exact",
        "period_start",
        "period_end",
        "price_key",
        "discount",
        "granted",
        "revision",
    )
    if isinstance(line, dict) or hasattr(line, "keys"):
        return (account_no, *(line[name] for name in names))
    return (account_no, *(getattr(line, name) for name in names))


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_previewed_is_what_is_billed(database: Database, seed: int) -> None:
    world = Foreseen(database, seed)
    await world.begin()
    await world.live(INSTANTS, world.due)
    async with database.snapshot() as session:
        found = await world.invoices(session)
        reports = [await explaining.verify(session, each) for each in found]
        told = [await explaining.explain(session, each) for each in found]
        balances = await books.trial_balance(session)
        kinds = {
            line.kind.value for each in told for line in await invoices.lines(session, UUID(each.invoice_id))
        }
        drawn = await session.fetchval("SELECT count(*) FROM wallet_transactions WHERE kind = 'draw'")
        discounted = await session.fetchval("SELECT count(*) FROM coupon_uses WHERE amount > 0")
        parked = await session.fetch("SELECT account_no, code FROM billing_parked")
    assert world.bills == len(found) > 0
    assert [(report.number, report.problems) for report in reports if not report.agrees] == []
    assert all(each.text for each in told)
    if seed in EVERYTHING:
        assert {"late", "voided", "noted by hand"} <= world.seen
        assert {"fee", "usage", "recorded", "correction"} <= kinds
        assert drawn
        assert discounted
    assert [each for each in await examine(database) if each["violations"]] == []
    assert sum(each.debit for each in balances) == sum(each.credit for each in balances)
    assert parked == []
