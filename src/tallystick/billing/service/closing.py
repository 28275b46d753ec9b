"""Closing an account: only when nothing is owed and nothing runs, so that nothing is lost by it."""

from datetime import datetime

from tallystick.accounts import service as accounts
from tallystick.accounts.domain import Account
from tallystick.billing import repository
from tallystick.billing.service.book import Shelf
from tallystick.billing.service.renewal import next_drafts
from tallystick.invoicing import queries as invoices
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Conflict
from tallystick.ledger import queries as ledger
from tallystick.metering import queries as metering
from tallystick.platform.db import Session
from tallystick.subscriptions import queries as subscriptions
from tallystick.wallets import queries as wallets
from tallystick.wallets import service as wallet_commands


class AccountInUse(Conflict):
    code = "account_in_use"
    sentence = (
        "The account cannot be closed while money is owed or something runs; details names what is left"
    )


async def close_account(session: Session, actor: Actor, account: Account, now: datetime) -> None:
    """Closes the account and erases its personal data; issued documents keep theirs. Raises `AccountInUse` naming every reason."""
    await repository.lock_account(session, account.no)
    left: dict[str, str] = {}
    owed = await invoices.open_balance(session, account.no)
    if owed:
        left["invoices"] = "unpaid: " + ", ".join(
            f"{amount:f} {currency}" for currency, amount in owed.items()
        )
    if await invoices.has_drafts(session, account.no):
        left["drafts"] = "finalize or void the draft invoices first"
    unused = await wallets.money_left(session, account.no)
    if unused:
        left["wallets"] = "paid and not used, or held: " + ", ".join(
            f"{amount:f} {currency}" for currency, amount in unused.items()
        )
    credit = await ledger.balances(session, account.no, "customer_credit")
    if any(credit.values()):  # money of the customer's: once he is erased, nobody knows whose
        left["credit"] = "customer credit not used: " + ", ".join(
            f"{-amount:f} {currency}" for currency, amount in credit.items() if amount
        )
    running = await subscriptions.billable(session, [account.no])
    if running:
        left["subscriptions"] = f"{len(running)} still running or not billed to their end"
    else:
        _, drafts = await next_drafts(session, account.no, Shelf(), metering.ALL_BATCHES)
        if drafts:
            left["usage"] = "unbilled; invoice it first (POST /v1/invoices)"
    if left:
        raise AccountInUse(details=left)
    await wallet_commands.close_all(session, actor, account.no, now)
    await accounts.close(session, actor, account, now)
