"""Commands on the books: post, undo, close. All inside the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from tallystick.kernel.errors import Conflict
from tallystick.ledger import domain, repository
from tallystick.ledger.domain import Entry, Posting
from tallystick.platform.db import Database, Session


class PostedOtherwise(Conflict):
    code = "posted_otherwise"
    sentence = "This was posted to the ledger before, with another content"


class CreditSpent(Conflict):
    code = "credit_spent"
    sentence = "The customer credit was used for something else in the meantime; try again"


async def post(session: Session, postings: Sequence[Posting]) -> int:
    """Writes postings, all or none, and gives how many were new. A repeat of the same content is a no-op.

    One statement for any number of postings; another where an account is seen for the first time. Customer accounts stay locked
    until the transaction ends, so post late in it. Raises `PostedOtherwise` where a key was used for something else,
    `domain.Unbalanced` where a posting does not add up, `CreditSpent` where more customer credit is used than there is (the
    transaction is then lost).
    """
    unique: dict[str, bytes] = {}
    fresh: list[Posting] = []
    for posting in postings:
        domain.check(posting)
        print_ = domain.fingerprint(posting)
        known = unique.setdefault(posting.key, print_)
        if known is not print_:
            if known != print_:
                raise PostedOtherwise
            continue
        fresh.append(posting)
    if not fresh:
        return 0
    arrays = columns(fresh, list(unique.values()))
    missing, posted = await _write(session, arrays)
    if missing:
        missing, posted = await _write(session, arrays)
        assert not missing, "accounts were just created"
    if posted < len(fresh):
        stored = await repository.fingerprints(session, list(unique))
        if any(stored.get(key) != print_ for key, print_ in unique.items()):
            raise PostedOtherwise
    return posted


async def _write(session: Session, arrays: list[Sequence[Any]]) -> tuple[int, int]:
    try:
        return await repository.post(session, arrays)
    except asyncpg.CheckViolationError as error:
        if error.constraint_name == "ck_ledger_accounts_credit_spent":
            raise CreditSpent from error
        raise


def columns(postings: Sequence[Posting], prints: Sequence[bytes]) -> list[Sequence[Any]]:
    """The postings as arrays: distinct accounts, headers, and entries that refer to both by 1-based position."""
    accounts: dict[tuple[int, int, str, str, str], int] = {}
    heads: list[tuple[Any, ...]] = []
    rows: list[tuple[Any, ...]] = []
    for ordinal, (posting, print_) in enumerate(zip(postings, prints, strict=True), 1):
        entity_id, currency = posting.entity_id, posting.currency
        for position, entry in enumerate(posting.entries, 1):
            identity = (entry.account_no or 0, entity_id, entry.account, entry.gl_code or "", currency)
            account = accounts.setdefault(identity, len(accounts) + 1)
            start, end = entry.period or (None, None)
            rows.append((ordinal, position, account, entry.amount, start, end))
        heads.append(
            (
                posting.key, posting.kind, entity_id, currency, posting.occurred_at, posting.source_type,
                posting.source_id, len(posting.entries), print_,
            )
        )  # fmt: skip
    return [*zip(*accounts, strict=True), *zip(*heads, strict=True), *zip(*rows, strict=True)]


async def reverse(session: Session, original_key: str, *, key: str, kind: str, now: datetime) -> bool:
    """Undoes a posting by its opposite; False where nothing was posted under `original_key`. A repeat is a no-op."""
    rows = await repository.posting_entries(session, original_key)
    if not rows:
        return False
    head = rows[0]
    entries = tuple(
        Entry(
            row["code"], row["amount"], row["account_no"] or None, row["gl_code"] or None,
            (row["period_start"], row["period_end"]) if row["period_start"] else None,
        )
        for row in rows
    )  # fmt: skip
    original = Posting(
        original_key, head["kind"], head["entity_id"], head["currency"], head["occurred_at"], head["source_type"],
        head["source_id"], entries,
    )  # fmt: skip
    await post(session, [domain.reversal(original, entries, key=key, kind=kind, occurred_at=now)])
    return True


async def close(database: Database) -> int | None:
    """Closes the books as far as they are certain now, in two transactions of its own; None where writers were too busy to let it in.

    Gives how many accounts were closed. A repeat is a no-op; two at once do no harm.
    """
    try:
        async with database.write() as session:
            through = await repository.horizon(session)
    except asyncpg.LockNotAvailableError:
        return None
    async with database.write() as session:
        return await close_books(session, through)


async def close_books(session: Session, through: int) -> int:
    """Closes entity accounts through a posting id that nothing below can still join; reading a balance then costs what came since.

    Gives how many accounts were closed. A repeat is a no-op. Nothing becomes unchangeable that was not so before.
    """
    return await repository.close_through(session, through)
