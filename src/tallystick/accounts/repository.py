"""The write side of accounts and test clocks."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick.accounts.domain import Account, Clock, NewAccount, ZoneChange, email_key
from tallystick.accounts.queries import ACCOUNT, CLOCK, account_of
from tallystick.kernel.clock import rfc3339
from tallystick.platform.db import Session


def _history(zones: Sequence[ZoneChange]) -> list[dict[str, str]]:
    return [{"at": rfc3339(change.at), "timezone": change.timezone} for change in zones]


async def insert_account(
    session: Session,
    new: NewAccount,
    *,
    entity_id: int,
    livemode: bool,
    currency: str,
    timezone: str,
    usage_from: datetime,
    next_usage_billing_at: datetime,
    now: datetime,
) -> Account | None:
    """Adds the account; None where its external_id is taken, also by a transaction that commits meanwhile."""
    row = await session.fetchrow(
        f"""
        INSERT INTO accounts AS a (id, entity_id, external_id, currency, timezone, zone_history, locale, country, livemode,
            test_clock_id, metadata, usage_from, usage_billed_to, next_usage_billing_at, next_billing_at, opened_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $13, $14)
        ON CONFLICT (entity_id, external_id) DO NOTHING RETURNING {ACCOUNT}
        """,
        new.id, entity_id, new.external_id, currency, timezone, _history([ZoneChange(now, timezone)]), new.locale, new.country,
        livemode, new.test_clock_id, new.metadata, usage_from, next_usage_billing_at, now,
    )  # fmt: skip
    return None if row is None else account_of(row)


async def insert_profile(session: Session, account: Account, new: NewAccount) -> bool:
    """Adds the personal fields; False where the e-mail is taken, also by a transaction that commits meanwhile."""
    added = await session.execute(
        """
        INSERT INTO account_profiles (account_no, entity_id, name, email, email_key, phone, address, tax_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (entity_id, email_key) DO NOTHING
        """,
        account.no, account.entity_id, new.name, new.email, email_key(new.email), new.phone, new.address, new.tax_id,
    )  # fmt: skip
    return added == 1


async def lock(session: Session, account_id: str) -> Account | None:
    """Locks one account, so that its commands follow one another; None where there is none."""
    row = await session.fetchrow(
        f"SELECT {ACCOUNT} FROM accounts a WHERE a.id = $1 FOR NO KEY UPDATE", account_id
    )
    return None if row is None else account_of(row)


async def lock_many(session: Session, nos: Iterable[int], *, skip_locked: bool = False) -> dict[int, Account]:
    """Locks accounts in order of number, so that two batches never wait for each other in a ring.

    `skip_locked` leaves out those that someone else is working on: how runs share the work.
    """
    rows = await session.fetch(
        f"SELECT {ACCOUNT} FROM accounts a WHERE a.no = ANY($1::bigint[]) ORDER BY a.no FOR NO KEY UPDATE"
        + (" SKIP LOCKED" if skip_locked else ""),
        list(nos),
    )
    return {row["no"]: account_of(row) for row in rows}


async def email_holder(session: Session, entity_id: int, email: str) -> int | None:
    """Number of the open account that has this e-mail."""
    found: int | None = await session.fetchval(
        "SELECT account_no FROM account_profiles WHERE entity_id = $1 AND email_key = $2",
        entity_id, email_key(email),
    )  # fmt: skip
    return found


async def external_id_holder(session: Session, entity_id: int, external_id: str) -> int | None:
    """Number of the account that has this external_id."""
    found: int | None = await session.fetchval(
        "SELECT no FROM accounts WHERE entity_id = $1 AND external_id = $2", entity_id, external_id
    )
    return found


async def update_account(
    session: Session,
    no: int,
    *,
    external_id: str | None,
    locale: str | None,
    country: str | None,
    metadata: dict[str, Any],
    zones: Sequence[ZoneChange],
) -> None:
    """Writes what may change of an account and raises its revision."""
    await session.execute(
        """
        UPDATE accounts SET external_id = $2, locale = $3, country = $4, metadata = $5, timezone = $6, zone_history = $7,
            revision = revision + 1
        WHERE no = $1
        """,
        no, external_id, locale, country, metadata, zones[-1].timezone, _history(zones),
    )  # fmt: skip


async def update_profile(
    session: Session,
    no: int,
    *,
    name: str,
    email: str | None,
    phone: str | None,
    address: Any,
    tax_id: str | None,
) -> None:
    """Writes the personal fields."""
    await session.execute(
        """
        UPDATE account_profiles SET name = $2, email = $3, email_key = $4, phone = $5, address = $6, tax_id = $7
        WHERE account_no = $1
        """,
        no, name, email, email_key(email), phone, address, tax_id,
    )  # fmt: skip


async def close(session: Session, no: int, at: datetime) -> None:
    """Closes an account: its personal row is deleted, the caller's id for it is free again, nothing is billed any more."""
    await session.execute("DELETE FROM account_profiles WHERE account_no = $1", no)
    await session.execute(
        """
        UPDATE accounts SET status = 'closed', closed_at = $2, external_id = NULL, metadata = '{}', next_usage_billing_at = NULL,
            next_billing_at = NULL, revision = revision + 1
        WHERE no = $1
        """,
        no, at,
    )  # fmt: skip


async def advance_usage(session: Session, rows: Sequence[tuple[int, datetime, datetime | None]]) -> None:
    """(account_no, usage_billed_to, next_usage_billing_at) after billing: one statement for a whole batch of locked accounts."""
    if not rows:
        return
    nos, billed, due = zip(*rows, strict=True)
    await session.execute(
        """
        UPDATE accounts a SET usage_billed_to = n.billed, next_usage_billing_at = n.due,
            next_billing_at = least(a.next_billing_at, n.due)
        FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS n(no, billed, due) WHERE a.no = n.no
        """,
        nos, billed, due,
    )  # fmt: skip


async def bring_forward(session: Session, no: int, due: datetime) -> None:
    """Something more is due on a locked account, maybe before all else."""
    await session.execute(
        "UPDATE accounts SET next_billing_at = least(next_billing_at, $2) WHERE no = $1", no, due
    )


async def set_next_billing(session: Session, rows: Sequence[tuple[int, datetime | None]]) -> None:
    """(account_no, when anything is due next): one statement for a whole batch of locked accounts."""
    if not rows:
        return
    nos, due = zip(*rows, strict=True)
    await session.execute(
        """
        UPDATE accounts a SET next_billing_at = n.due
        FROM unnest($1::bigint[], $2::timestamptz[]) AS n(no, due) WHERE a.no = n.no
        """,
        nos, due,
    )  # fmt: skip


async def insert_clock(
    session: Session, clock_id: UUID, entity_id: int, name: str, frozen_time: datetime
) -> Clock:
    """Adds a test clock."""
    row = await session.fetchrow(
        f"INSERT INTO test_clocks (id, entity_id, name, frozen_time) VALUES ($1, $2, $3, $4) RETURNING {CLOCK}",
        clock_id, entity_id, name, frozen_time,
    )  # fmt: skip
    assert row is not None
    return Clock(**dict(row))


async def lock_clock(session: Session, clock_id: UUID) -> Clock | None:
    """Locks a clock for an advance; None where there is none."""
    row = await session.fetchrow(f"SELECT {CLOCK} FROM test_clocks WHERE id = $1 FOR UPDATE", clock_id)
    return None if row is None else Clock(**dict(row))


async def share_clock(session: Session, clock_id: UUID) -> Clock | None:
    """A clock that nobody may move until this transaction ends; None where there is none."""
    row = await session.fetchrow(f"SELECT {CLOCK} FROM test_clocks WHERE id = $1 FOR SHARE", clock_id)
    return None if row is None else Clock(**dict(row))


async def set_clock(
    session: Session,
    clock_id: UUID,
    *,
    frozen_time: datetime,
    status: str = "ready",
    target: datetime | None = None,
    error: str | None = None,
) -> Clock:
    """Moves a locked clock. `advancing` and `failed` name their `target`; a clock never goes back (the caller sees to it)."""
    row = await session.fetchrow(
        f"""
        UPDATE test_clocks SET frozen_time = $2, status = $3, target = $4, error = $5 WHERE id = $1 RETURNING {CLOCK}
        """,
        clock_id, frozen_time, status, target, error,
    )  # fmt: skip
    assert row is not None
    return Clock(**dict(row))
