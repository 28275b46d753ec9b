"""The write side of taxes."""

from collections.abc import Sequence
from decimal import Decimal

from tallystick.platform.db import Session


async def insert_tax(
    session: Session, entity_id: int, *, code: str, name: str, rate: Decimal, is_default: bool
) -> int | None:
    """Adds a tax; None where the entity has the code, also by a transaction that commits meanwhile."""
    tax_id: int | None = await session.fetchval(
        """
        INSERT INTO taxes (entity_id, code, name, rate, is_default) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (entity_id, code) DO NOTHING RETURNING id
        """,
        entity_id, code, name, rate, is_default,
    )  # fmt: skip
    return tax_id


async def lock_tax(session: Session, entity_id: int, tax_id: int) -> int | None:
    """Locks a tax of the entity for a change; gives its revision, None without one."""
    found: int | None = await session.fetchval(
        "SELECT revision FROM taxes WHERE id = $1 AND entity_id = $2 FOR NO KEY UPDATE", tax_id, entity_id
    )
    return found


async def update_tax(session: Session, tax_id: int, *, name: str, is_default: bool) -> None:
    """Writes what may change of a tax."""
    await session.execute(
        "UPDATE taxes SET name = $2, is_default = $3, revision = revision + 1 WHERE id = $1",
        tax_id, name, is_default,
    )  # fmt: skip


async def tax_ids(session: Session, entity_id: int, codes: Sequence[str]) -> dict[str, int]:
    """Ids of the entity's taxes by code; unknown codes are left out."""
    rows = await session.fetch(
        "SELECT code, id FROM taxes WHERE entity_id = $1 AND code = ANY($2::text[])", entity_id, list(codes)
    )
    return {row["code"]: row["id"] for row in rows}


async def replace_account_taxes(session: Session, account_no: int, tax_ids: Sequence[int]) -> None:
    """The taxes of an account, whose row the caller has locked; none means the entity's defaults."""
    await session.execute("DELETE FROM account_taxes WHERE account_no = $1", account_no)
    await session.execute(
        "INSERT INTO account_taxes (account_no, tax_id) SELECT $1, unnest($2::integer[])",
        account_no,
        tax_ids,
    )
