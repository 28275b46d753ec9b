"""Reading coupons."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from tallystick.entities.domain import TEST_ID
from tallystick.invoicing.domain.coupons import Applied, CouponNotFound, Kind
from tallystick.invoicing.domain.draft import CouponUse
from tallystick.kernel.errors import NotFound
from tallystick.kernel.pagination import Page, decode_cursor, encode_cursor
from tallystick.platform.db import ReadSession, Record
from tallystick.wallets.domain import Scope


@dataclass(frozen=True, slots=True)
class CouponView:
    """A coupon as the API shows it. `redemptions` counts the accounts it was given to, withdrawn ones too."""

    id: int
    code: str
    name: str
    kind: str
    value: Decimal
    currency: str | None
    duration: str
    periods: int | None
    meters: list[str]
    plans: list[str]
    redeem_by: datetime | None
    max_redemptions: int | None
    per_account: int
    is_active: bool
    livemode: bool
    redemptions: int
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AppliedView:
    """A coupon that an account has. `uses_left` None: every invoice; `discounted` is what it took off so far."""

    id: UUID
    coupon_id: int
    code: str
    name: str
    kind: str
    value: Decimal
    currency: str
    duration: str
    uses_left: int | None
    status: str
    discounted: Decimal
    applied_at: datetime
    withdrawn_at: datetime | None


_COUPON = """id, entity_id, code, name, kind, value, currency, duration, periods, meters, plans, redeem_by, max_redemptions, per_account,
    is_active, redemptions, revision, created_at, updated_at"""


def _view(row: Record) -> CouponView:
    values = dict(row)
    entity_id = values.pop("entity_id")
    return CouponView(**values, livemode=entity_id != TEST_ID)


async def coupon(session: ReadSession, coupon_id: int) -> CouponView:
    """One coupon (primary key). Raises `CouponNotFound`."""
    row = await session.fetchrow(f"SELECT {_COUPON} FROM coupons WHERE id = $1", coupon_id)
    if row is None:
        raise CouponNotFound
    return _view(row)


async def by_code(session: ReadSession, entity_id: int, code: str) -> CouponView | None:
    """The entity's coupon with this code (unique), or None."""
    row = await session.fetchrow(
        f"SELECT {_COUPON} FROM coupons WHERE entity_id = $1 AND code = $2", entity_id, code
    )
    return None if row is None else _view(row)


async def coupons(
    session: ReadSession, entity_id: int, *, limit: int, cursor: str | None, code: str | None = None
) -> Page[CouponView]:
    """A page of the entity's coupons in order of code (uq_coupons_entity_id_code)."""
    position = decode_cursor(cursor, str)
    rows = await session.fetch(
        f"""
        SELECT {_COUPON} FROM coupons
        WHERE entity_id = $2 AND ($3::text IS NULL OR code > $3) AND ($4::text IS NULL OR code = $4) ORDER BY code LIMIT $1
        """,
        limit + 1, entity_id, None if position is None else position[0], code,
    )  # fmt: skip
    found = [_view(row) for row in rows[:limit]]
    return Page(found, encode_cursor(found[-1].code) if len(rows) > limit else None)


_APPLIED = """
SELECT a.id, a.coupon_id, c.code, c.name, c.kind, c.value, a.currency, c.duration, a.uses_left,
       CASE WHEN a.withdrawn_at IS NOT NULL THEN 'withdrawn' WHEN a.uses_left = 0 THEN 'used_up' ELSE 'active' END AS status,
       (SELECT coalesce(sum(u.amount), 0) FROM coupon_uses u WHERE u.applied_id = a.id AND NOT u.voided) AS discounted,
       a.applied_at, a.withdrawn_at
FROM applied_coupons a JOIN coupons c ON c.id = a.coupon_id
"""


async def applied(session: ReadSession, account_no: int) -> list[AppliedView]:
    """All coupons an account ever redeemed, oldest first (ix_applied_coupons_account_no)."""
    rows = await session.fetch(f"{_APPLIED} WHERE a.account_no = $1 ORDER BY a.id LIMIT 1000", account_no)
    return [AppliedView(**row) for row in rows]


async def one_applied(session: ReadSession, account_no: int, applied_id: UUID) -> AppliedView:
    """An account's coupon (primary key). Raises `NotFound`."""
    row = await session.fetchrow(f"{_APPLIED} WHERE a.id = $1 AND a.account_no = $2", applied_id, account_no)
    if row is None:
        raise NotFound
    return AppliedView(**row)


async def times_applied(session: ReadSession, coupon_id: int, account_no: int) -> int:
    """How often the account has redeemed it, withdrawn ones too (ix_applied_coupons_account_no)."""
    count: int = await session.fetchval(
        "SELECT count(*) FROM applied_coupons WHERE account_no = $2 AND coupon_id = $1", coupon_id, account_no
    )
    return count


async def effective(session: ReadSession, account_nos: Sequence[int]) -> dict[int, list[Applied]]:
    """The coupons that may lower the accounts' next invoices, in one statement for any number (ix_applied_coupons_account_no)."""
    rows = await session.fetch(
        """
        SELECT a.account_no, a.id, c.code, c.kind, c.value, a.currency, c.meters, c.plans, a.applied_at
        FROM applied_coupons a JOIN coupons c ON c.id = a.coupon_id
        WHERE a.account_no = ANY($1::bigint[]) AND a.withdrawn_at IS NULL AND a.uses_left IS DISTINCT FROM 0
        """,
        list(account_nos),
    )
    found: dict[int, list[Applied]] = defaultdict(list)
    for row in rows:
        scope = Scope(tuple(row["meters"]), tuple(row["plans"]))
        found[row["account_no"]].append(
            Applied(
                row["id"],
                row["code"],
                Kind(row["kind"]),
                row["value"],
                row["currency"],
                scope,
                row["applied_at"],
            )
        )
    return found


async def uses(session: ReadSession, invoice_id: UUID) -> list[CouponUse]:
    """What coupons took off an invoice, in their order (ix_coupon_uses_invoice_id)."""
    rows = await session.fetch(
        "SELECT applied_id, kind, value, lines, amount FROM coupon_uses WHERE invoice_id = $1 ORDER BY position",
        invoice_id,
    )
    return [
        CouponUse(row["applied_id"], row["kind"], row["value"], tuple(row["lines"]), row["amount"])
        for row in rows
    ]
