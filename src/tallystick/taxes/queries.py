"""Reading taxes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tallystick.kernel.errors import NotFound
from tallystick.kernel.pagination import Page, decode_cursor, encode_cursor
from tallystick.platform.db import ReadSession
from tallystick.taxes.domain import TaxRate


@dataclass(frozen=True, slots=True)
class TaxView:
    """A tax as the API shows it. `rate` is in percent."""

    id: int
    code: str
    name: str
    rate: Decimal
    is_default: bool
    revision: int
    created_at: datetime
    updated_at: datetime


async def for_accounts(
    session: ReadSession, accounts: Sequence[tuple[int, int]]
) -> dict[int, tuple[TaxRate, ...]]:
    """The taxes of (account_no, entity_id), for each number asked: its own, else the defaults of its entity, else none.

    In order of code, so that documents list them alike. One statement for any number of accounts.
    """
    rows = await session.fetch(
        """
        WITH asked AS (SELECT * FROM unnest($1::bigint[], $2::integer[]) AS a(no, entity_id))
        SELECT a.no, t.id, t.code, t.name, t.rate
        FROM asked a JOIN account_taxes o ON o.account_no = a.no JOIN taxes t ON t.id = o.tax_id
        UNION ALL
        SELECT a.no, t.id, t.code, t.name, t.rate
        FROM asked a JOIN taxes t ON t.entity_id = a.entity_id AND t.is_default
        WHERE NOT EXISTS (SELECT FROM account_taxes o WHERE o.account_no = a.no)
        ORDER BY 1, 3
        """,
        [no for no, _ in accounts], [entity for _, entity in accounts],
    )  # fmt: skip
    found: dict[int, list[TaxRate]] = defaultdict(list)
    for row in rows:
        found[row["no"]].append(TaxRate(row["id"], row["code"], row["name"], row["rate"]))
    return {no: tuple(found.get(no, ())) for no, _ in accounts}


async def tax(session: ReadSession, entity_id: int, tax_id: int) -> TaxView:
    """A tax of the entity. Raises `NotFound`."""
    row = await session.fetchrow(
        """
        SELECT id, code, name, rate, is_default, revision, created_at, updated_at FROM taxes
        WHERE id = $1 AND entity_id = $2
        """,
        tax_id, entity_id,
    )  # fmt: skip
    if row is None:
        raise NotFound
    return TaxView(**dict(row))


async def taxes(
    session: ReadSession, entity_id: int, *, limit: int, cursor: str | None, code: str | None = None
) -> Page[TaxView]:
    """A page of the entity's taxes in order of code."""
    position = decode_cursor(cursor, str)
    rows = await session.fetch(
        """
        SELECT id, code, name, rate, is_default, revision, created_at, updated_at FROM taxes
        WHERE entity_id = $2 AND ($3::text IS NULL OR code > $3) AND ($4::text IS NULL OR code = $4) ORDER BY code LIMIT $1
        """,
        limit + 1, entity_id, None if position is None else position[0], code,
    )  # fmt: skip
    found = [TaxView(**dict(row)) for row in rows[:limit]]
    return Page(found, encode_cursor(found[-1].code) if len(rows) > limit else None)
