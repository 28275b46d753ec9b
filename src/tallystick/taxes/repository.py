"""The write side of taxes."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from tallystick.platform.db import Session


async def insert_tax(
    session: Session,
    entity_id: int,
    *,
    code: str,
    name: str,
    rate: Decimal,
    is_default: bool,
    kind: str,
    categories: Sequence[str],
    note: str,
) -> int | None:
    """Adds a tax; None where the entity has the code, also by a transaction that commits meanwhile."""
    tax_id: int | None = await session.fetchval(
        """
        INSERT INTO taxes (entity_id, code, name, rate, is_default, kind, categories, note) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (entity_id, code) DO NOTHING RETURNING id
        """,
        entity_id, code, name, rate, is_default, kind, list(categories), note,
    )  # fmt: skip
    return tax_id


async def lock_tax(session: Session, entity_ids: Sequence[int], tax_id: int) -> int | None:
    """Locks a tax of one of the entities for a change; gives its revision, None without one."""
    found: int | None = await session.fetchval(
        "SELECT revision FROM taxes WHERE id = $1 AND entity_id = ANY($2::integer[]) FOR NO KEY UPDATE",
        tax_id,
        list(entity_ids),
    )
    return found


async def update_tax(
    session: Session, tax_id: int, *, name: str, is_default: bool, categories: Sequence[str], note: str
) -> None:
    """Writes what may change of a tax."""
    await session.execute(
        "UPDATE taxes SET name = $2, is_default = $3, categories = $4, note = $5, revision = revision + 1 WHERE id = $1",
        tax_id, name, is_default, list(categories), note,
    )  # fmt: skip


async def insert_rate(session: Session, tax_id: int, valid_from: date, rate: Decimal | None) -> None:
    """Adds a later rate of a locked tax, and says so in its revision."""
    await session.execute(
        "INSERT INTO tax_rates (tax_id, valid_from, rate) VALUES ($1, $2, $3)", tax_id, valid_from, rate
    )
    await session.execute("UPDATE taxes SET revision = revision + 1 WHERE id = $1", tax_id)


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


async def set_treatment(session: Session, account_no: int, treatment: str | None, note: str) -> None:
    """How an account is taxed, whose row the caller has locked; None: like everybody."""
    if treatment is None:
        await session.execute("DELETE FROM account_tax_treatments WHERE account_no = $1", account_no)
        return
    await session.execute(
        """
        INSERT INTO account_tax_treatments (account_no, treatment, note) VALUES ($1, $2, $3)
        ON CONFLICT (account_no) DO UPDATE SET treatment = $2, note = $3
        """,
        account_no, treatment, note,
    )  # fmt: skip
