"""Reading taxes."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from tallystick.entities.domain import TEST_ID
from tallystick.kernel.errors import NotFound
from tallystick.kernel.pagination import Page, decode_cursor, encode_cursor
from tallystick.platform.db import ReadSession, Record
from tallystick.taxes.domain import Profile, Tax, Treatment, in_order


@dataclass(frozen=True, slots=True)
class RateView:
    """A rate in percent that begins on a date; None: the tax is not charged from then."""

    valid_from: date
    rate: Decimal | None


@dataclass(frozen=True, slots=True)
class TaxView:
    """A tax as the API shows it. `rate` is in percent, from the beginning; `later_rates` from their dates on."""

    id: int
    code: str
    name: str
    rate: Decimal
    is_default: bool
    kind: str
    categories: list[str]
    note: str
    later_rates: list[RateView]
    livemode: bool
    revision: int
    created_at: datetime
    updated_at: datetime


async def for_accounts(session: ReadSession, accounts: Sequence[tuple[int, int]]) -> dict[int, Profile]:
    """What each of (account_no, entity_id) pays: its own taxes, else the defaults of its entity, and how it is treated.

    One statement for any number of accounts; taxes are few and read once each.
    """
    rows = await session.fetch(
        """
        WITH asked AS (SELECT * FROM unnest($1::bigint[], $2::integer[]) AS a(no, entity_id))
        SELECT a.no, o.tax_ids, d.tax_ids AS defaults, x.treatment, x.note
        FROM asked a
        LEFT JOIN LATERAL (SELECT array_agg(tax_id) AS tax_ids FROM account_taxes WHERE account_no = a.no) o ON true
        LEFT JOIN (SELECT entity_id, array_agg(id) AS tax_ids FROM taxes WHERE is_default GROUP BY entity_id) d USING (entity_id)
        LEFT JOIN account_tax_treatments x ON x.account_no = a.no
        """,
        [no for no, _ in accounts], [entity for _, entity in accounts],
    )  # fmt: skip
    wanted = {each for row in rows for each in row["tax_ids"] or row["defaults"] or ()}
    known = await by_ids(session, sorted(wanted)) if wanted else {}
    profiles: dict[tuple[frozenset[int], str | None, str | None], Profile] = {}
    found: dict[int, Profile] = {}
    for row in rows:
        ids = frozenset(row["tax_ids"] or row["defaults"] or ())
        key = ids, row["treatment"], row["note"]
        if key not in profiles:
            treatment = row["treatment"] or Treatment.TAXABLE
            profiles[key] = Profile(in_order([known[each] for each in ids]), treatment, row["note"] or "")
        found[row["no"]] = profiles[key]
    return found


_TAX = """t.id, t.entity_id, t.code, t.name, t.rate, t.is_default, t.kind, t.categories, t.note, t.revision, t.created_at, t.updated_at,
    (SELECT array_agg(valid_from ORDER BY valid_from) FROM tax_rates WHERE tax_id = t.id) AS dates,
    (SELECT array_agg(rate ORDER BY valid_from) FROM tax_rates WHERE tax_id = t.id) AS rates"""


async def is_shifted(session: ReadSession, account_no: int) -> bool:
    """Whether the account owes its tax itself (primary key). Where the account is locked, this stays so until the transaction ends."""
    found = await session.fetchval(
        "SELECT treatment FROM account_tax_treatments WHERE account_no = $1", account_no
    )
    return bool(found == Treatment.REVERSE_CHARGE)


async def by_ids(session: ReadSession, ids: Sequence[int]) -> dict[int, Tax]:
    """Taxes with all their rates (primary key)."""
    rows = await session.fetch(f"SELECT {_TAX} FROM taxes t WHERE t.id = ANY($1::integer[])", ids)
    return {
        row["id"]: Tax(
            row["id"], row["code"], row["name"], row["rate"], row["kind"], tuple(row["categories"]), row["note"],
            tuple(zip(row["dates"] or (), row["rates"] or (), strict=True)),
        )
        for row in rows
    }  # fmt: skip


def _view(row: Record) -> TaxView:
    values = dict(row)
    dates, rates = values.pop("dates") or (), values.pop("rates") or ()
    later = [RateView(since, rate) for since, rate in zip(dates, rates, strict=True)]
    livemode = values.pop("entity_id") != TEST_ID
    return TaxView(**values, later_rates=later, livemode=livemode)


async def tax(session: ReadSession, entity_ids: Sequence[int], tax_id: int) -> TaxView:
    """A tax of one of the entities. Raises `NotFound`."""
    row = await session.fetchrow(
        f"SELECT {_TAX} FROM taxes t WHERE t.id = $1 AND t.entity_id = ANY($2::integer[])",
        tax_id,
        list(entity_ids),
    )
    if row is None:
        raise NotFound
    return _view(row)


async def taxes(
    session: ReadSession, entity_id: int, *, limit: int, cursor: str | None, code: str | None = None
) -> Page[TaxView]:
    """A page of the entity's taxes in order of code."""
    position = decode_cursor(cursor, str)
    rows = await session.fetch(
        f"""
        SELECT {_TAX} FROM taxes t
        WHERE t.entity_id = $2 AND ($3::text IS NULL OR t.code > $3) AND ($4::text IS NULL OR t.code = $4) ORDER BY t.code LIMIT $1
        """,
        limit + 1, entity_id, None if position is None else position[0], code,
    )  # fmt: skip
    found = [_view(row) for row in rows[:limit]]
    return Page(found, encode_cursor(found[-1].code) if len(rows) > limit else None)
