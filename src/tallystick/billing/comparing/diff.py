"""What a backfill would change, line by line, before anything counts.

The dry run is the run: the backfill is committed, what comes late is marked, and the accounts' bills are looked at, all in one
transaction that is undone; then they are looked at again as they are. So a diff and the commit after it never differ by how they compute, only by what
happened in between, and the digest tells that.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from tallystick.accounts import queries as accounts
from tallystick.billing.comparing.stands import Outcome, Price, Stand, Standing, standing
from tallystick.billing.corrections import repository as late
from tallystick.billing.corrections.sweep import glance
from tallystick.kernel.actor import Actor
from tallystick.metering.backfills import service as backfills
from tallystick.metering.backfills.domain import Applied
from tallystick.platform.db import Database, Session

ZERO = Decimal(0)
MOST_LINES = 1000
PATIENCE = 2.0
"""Seconds that a diff waits for events that are being written at this moment."""


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One price of one period. `outcome` says what becomes of the difference; without a meter it is a top-up to a minimum."""

    account_id: str
    subscription_id: UUID | None
    meter: str | None
    description: str
    unit: str
    period_start: datetime
    period_end: datetime
    currency: str
    outcome: str
    quantity_before: Decimal
    quantity_after: Decimal
    quantity_difference: Decimal
    amount_before: Decimal
    amount_after: Decimal
    amount_difference: Decimal


@dataclass(frozen=True, slots=True)
class Diff:
    """What a commit would do now. `totals` is the difference by currency, before coupons, credits and tax; lines beyond 1000 are left off."""

    backfill_id: UUID
    digest: str
    added: int
    kept: int
    replaced: int
    accounts: int
    totals: Mapping[str, Decimal]
    lines: Sequence[DiffLine]
    lines_left_off: int
    problems: Sequence[Mapping[str, Any]]


class _Undo(Exception):
    """Leaves a savepoint, so that what happened in it never did."""


async def diff(database: Database, actor: Actor, backfill_id: UUID, now: datetime) -> Diff:
    """What committing the backfill now would change. Nothing is written. Raises what `commit` raises."""
    await glance(database, PATIENCE)
    return await database.rehearse(partial(_diff, actor=actor, backfill_id=backfill_id, now=now))


async def _diff(session: Session, actor: Actor, backfill_id: UUID, now: datetime) -> Diff:
    backfill = await backfills.locked(session, backfill_id)
    try:
        async with session.savepoint():
            applied = await backfills.apply(session, actor, backfill, now)
            span = (backfill.period_start, backfill.period_end)
            await late.mark_late(session, [applied.batch], span, (applied.batch - 1, applied.batch))
            after = await standing(session, applied.accounts, now)
            raise _Undo
    except _Undo:
        before = await standing(session, applied.accounts, now)
    owners = {no: each.id for no, each in (await accounts.by_nos(session, applied.accounts)).items()}
    return _compared(backfill_id, applied, before, after, owners)


def _compared(
    backfill_id: UUID, applied: Applied, before: Standing, after: Standing, owners: Mapping[int, str]
) -> Diff:
    prices = sorted(
        {*before.prices, *after.prices},
        key=lambda each: (owners[each.account_no], each.period, str(each.subscription_id), each.key),
    )
    lines = [
        line
        for price in prices
        if (line := _line(owners[price.account_no], price, before.prices.get(price), after.prices.get(price)))
    ]
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for each in lines:
        totals[each.currency] += each.amount_difference
    known = {(each.account_no, each.code) for each in before.failures}
    problems = [
        {"account_id": owners[each.account_no], "code": each.code, "reason": each.reason}
        for each in after.failures
        if (each.account_no, each.code) not in known
    ]
    return Diff(
        backfill_id, applied.digest, applied.added, applied.kept, applied.replaced, len(applied.accounts), totals, lines[:MOST_LINES],
        max(len(lines) - MOST_LINES, 0), problems,
    )  # fmt: skip


def _line(account_id: str, price: Price, before: Stand | None, after: Stand | None) -> DiffLine | None:
    """The difference of one price, None where there is none."""
    shown = after or before
    assert shown is not None, "a price is in one of both"
    was = _amounts(before, shown)
    will = _amounts(after, shown)
    if was == will:
        return None
    line = shown.line
    return DiffLine(
        account_id, price.subscription_id, shown.meter, line.description, line.unit, price.period, line.period_end, shown.currency,
        shown.outcome.value, was[0], will[0], will[0] - was[0], was[1], will[1], will[1] - was[1],
    )  # fmt: skip


def _amounts(stand: Stand | None, other: Stand) -> tuple[Decimal, Decimal]:
    """Quantity and amount; of a closed period that is not corrected on this side, what its documents say."""
    if stand is not None:
        return stand.quantity, stand.amount
    if other.outcome is Outcome.OPEN_PERIOD:
        return ZERO, ZERO
    return other.billed_quantity, other.billed_amount
