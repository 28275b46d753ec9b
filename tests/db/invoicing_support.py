"""What tests of stored invoices share: customers, lines with every input, drafts, and the invariants of the books."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tallystick.accounts import repository as accounts
from tallystick.accounts.domain import NewAccount
from tallystick.invoicing import invariants, service
from tallystick.invoicing.domain.draft import (
    InvoiceDraft,
    Line,
    LineKind,
    Status,
    TaxShare,
    TaxTotal,
    UsageEvidence,
)
from tallystick.kernel.actor import system_actor
from tallystick.ledger import invariants as ledger_invariants
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid

ACTOR = system_actor("test", request_id="req-1")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
START, END = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
EVIDENCE = UsageEvidence(meter_id=3, from_batch=0, to_batch=17, count=700, checksum=(1 << 128) - 5)


async def open_accounts(database: Database, count: int, entity_id: int = 1) -> list[int]:
    opened = []
    async with database.write() as session:
        for n in range(count):
            account = await accounts.insert_account(
                session, NewAccount(f"acc_{entity_id}_{n}", f"Customer {n}"), entity_id=entity_id, livemode=True, currency="EUR",
                timezone="UTC", usage_from=START, next_usage_billing_at=END, now=START,
            )  # fmt: skip
            assert account is not None
            opened.append(account.no)
    return opened


def line(amount: str, **changes: Any) -> Line:
    value = Decimal(amount)
    share = TaxShare("vat", "VAT", Decimal("19"), value, (value * 19 / 100).quantize(Decimal("0.01")))
    plain = Line(
        kind=LineKind.USAGE, description="Requests", quantity=Decimal("58"), unit="request", amount=value,
        exact=value + Decimal("0.000000000000000001"), exact_cut=True, period_start=START, period_end=END, slice_start=START,
        price_key="charge:1", rule="standard/1", gl_code="4000", timing="arrears", inputs={"unit_amount": Decimal("0.05")},
        plan_version_id=1, charge_id=1, evidence=EVIDENCE, taxes=(share,),
    )  # fmt: skip
    return replace(plain, **changes)


def draft(account_no: int, lines: Sequence[Line], **changes: Any) -> InvoiceDraft:
    subtotal = sum((each.amount for each in lines), Decimal(0))
    tax = sum((share.amount for each in lines for share in each.taxes), Decimal(0))
    totals = (TaxTotal("vat", "VAT", Decimal("19"), subtotal, tax),) if tax else ()
    plain = InvoiceDraft(
        account_no, 1, "EUR", START, END, tuple(lines), totals, subtotal, tax, subtotal + tax
    )
    return replace(plain, **changes)


def month(account_no: int) -> InvoiceDraft:
    fee = line("29.00", kind=LineKind.FEE, price_key="fee", timing="advance", gl_code="4100", evidence=None)
    return draft(account_no, [fee, line("2.90"), line("10.00", price_key="charge:2")])


async def put(
    database: Database,
    drafts: Sequence[InvoiceDraft],
    status: Status = Status.FINALIZED,
    now: datetime = NOW,
    **more: Any,
) -> list[service.InvoiceRef]:
    async with database.write() as session:
        ids = [new_uuid() for _ in drafts]
        return await service.store(session, drafts, status=status, now=now, ids=ids, actor=ACTOR, **more)


async def broken(database: Database) -> dict[str, int]:
    every = invariants.INVARIANTS | ledger_invariants.INVARIANTS
    async with database.read() as session:
        found = {name: len(await session.fetch(sql)) for name, sql in every.items()}
    return {name: count for name, count in found.items() if count}
