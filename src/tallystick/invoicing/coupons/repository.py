"""The write side of coupons."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick.platform.db import Record, Session

USE_COLUMNS = ("applied_id", "invoice_id", "position", "kind", "value", "lines", "amount")


async def insert_coupon(session: Session, values: Sequence[Any]) -> int | None:
    """Adds a coupon; None where the entity has the code, also by a transaction that commits meanwhile."""
    coupon_id: int | None = await session.fetchval(
        """
        INSERT INTO coupons (entity_id, code, name, kind, value, currency, duration, periods, meters, plans, redeem_by,
                             max_redemptions, per_account, is_active)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (entity_id, code) DO NOTHING RETURNING id
        """,
        *values,
    )
    return coupon_id


async def lock_coupon(session: Session, coupon_id: int) -> Record | None:
    """The coupon's limits, its row ours until the transaction ends: whoever redeems waits here (primary key)."""
    return await session.fetchrow(
        """
        SELECT id, kind, currency, duration, periods, redeem_by, max_redemptions, per_account, is_active, redemptions, revision
        FROM coupons WHERE id = $1 FOR NO KEY UPDATE
        """,
        coupon_id,
    )


async def update_coupon(
    session: Session,
    coupon_id: int,
    *,
    name: str,
    is_active: bool,
    redeem_by: datetime | None,
    max_redemptions: int | None,
) -> None:
    """Writes what may change of a locked coupon."""
    await session.execute(
        """
        UPDATE coupons SET name = $2, is_active = $3, redeem_by = $4, max_redemptions = $5, revision = revision + 1 WHERE id = $1
        """,
        coupon_id, name, is_active, redeem_by, max_redemptions,
    )  # fmt: skip


async def redeem(
    session: Session,
    applied_id: UUID,
    coupon_id: int,
    account_no: int,
    currency: str,
    uses: int | None,
    now: datetime,
) -> None:
    """Gives a locked coupon to a locked account, and counts it."""
    await session.execute(
        """
        WITH counted AS (UPDATE coupons SET redemptions = redemptions + 1 WHERE id = $2)
        INSERT INTO applied_coupons (id, coupon_id, account_no, currency, uses_left, applied_at) VALUES ($1, $2, $3, $4, $5, $6)
        """,
        applied_id, coupon_id, account_no, currency, uses, now,
    )  # fmt: skip


async def withdraw(session: Session, applied_id: UUID, now: datetime) -> None:
    """The coupon lowers nothing any more."""
    await session.execute("UPDATE applied_coupons SET withdrawn_at = $2 WHERE id = $1", applied_id, now)


async def use(session: Session, rows: Iterable[Sequence[Any]], applied_ids: Sequence[UUID]) -> None:
    """Writes what coupons took off invoices, and counts the uses down, of any number in two statements."""
    await session.copy("coupon_uses", USE_COLUMNS, rows)
    await session.execute(
        "UPDATE applied_coupons SET uses_left = uses_left - 1 WHERE id = ANY($1::uuid[]) AND uses_left IS NOT NULL",
        applied_ids,
    )


async def give_back(session: Session, invoice_id: UUID) -> None:
    """A void invoice used no coupon: its uses may be had again (ix_coupon_uses_invoice_id)."""
    await session.execute(
        """
        WITH gone AS (UPDATE coupon_uses SET voided = true WHERE invoice_id = $1 AND NOT voided RETURNING applied_id)
        UPDATE applied_coupons a SET uses_left = uses_left + 1 FROM gone WHERE a.id = gone.applied_id AND a.uses_left IS NOT NULL
        """,
        invoice_id,
    )
