"""How billing's values are written out."""

from typing import Any

from tallystick.accounts.domain import Clock
from tallystick.billing.domain.runs import ClockProgress, Run
from tallystick.billing.service.drawn import draws_view
from tallystick.invoicing.domain.draft import InvoiceDraft, Line
from tallystick.kernel.proration import PreviewPeriod


def run_view(run: Run) -> dict[str, Any]:
    """A run without what only the house knows."""
    return {
        "id": run.id, "status": run.status, "phase": run.phase, "as_of": run.as_of, "account_id": run.account_id,
        "accounts_due": run.accounts_due, "accounts_done": run.accounts_done, "invoices": run.invoices, "parked": run.parked,
        "error": run.error, "created_at": run.created_at, "started_at": run.started_at, "finished_at": run.finished_at,
        "parked_accounts": run.parked_accounts,
    }  # fmt: skip


def line_view(line: Line) -> dict[str, Any]:
    """A line of a preview."""
    return {
        "kind": line.kind.value, "description": line.description, "quantity": line.quantity, "unit": line.unit,
        "amount": line.amount, "exact_amount": line.exact, "period_start": line.period_start, "period_end": line.period_end,
        "rule": line.rule, "taxes": line.taxes,
    }  # fmt: skip


def draft_view(draft: InvoiceDraft) -> dict[str, Any]:
    """An invoice that nobody stored."""
    return {
        "currency": draft.currency, "period_start": draft.period_start, "period_end": draft.period_end,
        "subtotal": draft.subtotal, "tax": draft.tax, "total": draft.total,
        "credit_applied": draft.credit_applied, "wallet_applied": draft.wallet_applied, "amount_due": draft.amount_due,
        "lines": [line_view(line) for line in draft.lines], "taxes": draft.tax_totals, "wallet_draws": draws_view(draft),
    }  # fmt: skip


def clock_view(clock: Clock, progress: ClockProgress) -> dict[str, Any]:
    """A test clock: where it stands, what is left of its way, and whom it could not bill."""
    return {
        "id": clock.id, "entity_id": clock.entity_id, "name": clock.name, "frozen_time": clock.frozen_time,
        "status": clock.status, "target": clock.target, "error": clock.error, "created_at": clock.created_at,
        "updated_at": clock.updated_at, "accounts": progress.accounts, "accounts_due": progress.accounts_due,
        "parked": progress.parked, "parked_accounts": progress.parked_accounts,
    }  # fmt: skip


def period_view(period: PreviewPeriod) -> dict[str, Any]:
    """A period with the fraction of the price it costs."""
    return {
        "index": period.index, "start": period.service.start, "end": period.service.end, "whole_start": period.whole.start,
        "whole_end": period.whole.end, "used": period.share.used, "whole": period.share.whole,
        "fraction": str(period.fraction), "closes_at": period.closes_at,
    }  # fmt: skip
