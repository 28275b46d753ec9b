"""Which grant paid which line: told, and proven by drawing again."""

from typing import Any
from uuid import UUID

from tallystick.invoicing.domain.draft import InvoiceDraft
from tallystick.invoicing.domain.drawing import check
from tallystick.invoicing.queries import InvoiceView, LineView
from tallystick.platform.db import ReadSession
from tallystick.wallets import queries as wallets
from tallystick.wallets.domain import Drawn, Kind


async def draw_problems(session: ReadSession, invoice: InvoiceView, lines: list[LineView]) -> list[str]:
    """What does not come out the same where the invoice's grants are drawn on again, from what is frozen beside the draws."""
    draws = await wallets.draws(session, invoice.id)
    if not draws and not invoice.wallet_applied and not any(line.reductions for line in lines):
        return []
    due = invoice.total - invoice.credit_applied
    try:
        problems = check(lines, draws, invoice.currency, due, invoice.wallet_applied)
    except (ValueError, ArithmeticError) as error:
        problems = [f"the draws on wallets cannot be computed again ({type(error).__name__})"]
    if await wallets.draws_misstated(session, invoice.id):
        problems.append("what a grant gave is not the sum of what it paid of the lines")
    return problems


async def draw_sentences(session: ReadSession, invoice: InvoiceView) -> list[str]:
    """One sentence for each line that a wallet paid something of."""
    return [_sentence(each, invoice.currency) for each in await wallets.draws(session, invoice.id)]


def _sentence(each: Drawn, currency: str) -> str:
    how = "granted credit, before tax" if each.kind == Kind.GRANTED else "paid money, after tax"
    return f"wallet {each.wallet} pays {each.amount:,f} {currency} of line {each.line} ({how}; top-up {each.grant_id})"


def draws_view(draft: InvoiceDraft) -> list[dict[str, Any]]:
    """The draws of a preview."""
    return [
        _view(each.grant.wallet_id, each.grant.code, each.grant.id, each.grant.kind.value, index + 1, amount)
        for each in draft.draws
        for index, amount in each.shares
    ]


def _view(wallet_id: UUID, wallet: str, grant_id: UUID, kind: str, line: int, amount: Any) -> dict[str, Any]:
    return {
        "wallet_id": str(wallet_id), "wallet": wallet, "grant_id": str(grant_id), "kind": kind, "line": line, "amount": amount,
    }  # fmt: skip
