"""Reading accounts and test clocks."""

# ruff: noqa: S608 — what is put together here are constants of this file; values are always parameters.

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tallystick.accounts.domain import Account, AccountView, Clock, ZoneChange, email_key
from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import Invalid, NotFound
from tallystick.kernel.pagination import Page, decode_cursor, decode_uuid_cursor, encode_cursor
from tallystick.platform.db import ReadSession, Record

ACCOUNT = """a.no, a.id, a.entity_id, a.external_id, a.currency, a.timezone, a.zone_history, a.locale, a.country, a.status,
    a.livemode, a.test_clock_id, a.usage_from, a.usage_billed_to, a.next_usage_billing_at,
    a.next_billing_at, a.opened_at, a.closed_at, a.revision"""
VIEW = """a.id, p.name, p.email, p.phone, p.address, a.currency, a.timezone, a.locale, p.tax_id, a.country, a.external_id,
    a.metadata, a.status, a.livemode, a.test_clock_id, a.opened_at, a.closed_at, a.revision, a.created_at,
    greatest(a.updated_at, p.updated_at) AS updated_at"""

CLOCK = "id, entity_id, name, frozen_time, status, target, error, created_at, updated_at"
_SORTS = {
    "created_at": ("a.no", ">", "ASC"),
    "-created_at": ("a.no", "<", "DESC"),
    "name": ("p.name", ">", "ASC"),
    "-name": ("p.name", "<", "DESC"),
}


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom a document is addressed to: what it keeps of name, address, country, tax id and e-mail when it is issued."""

    id: str
    bill_to: dict[str, Any]


def account_of(row: Record) -> Account:
    """The account in a row of `ACCOUNT` columns."""
    values = dict(row)
    values["zones"] = _zones(values.pop("zone_history"))
    return Account(**values)


def _zones(history: Sequence[dict[str, str]]) -> tuple[ZoneChange, ...]:
    return tuple(
        ZoneChange(datetime.fromisoformat(change["at"]).astimezone(UTC), change["timezone"])
        for change in history
    )


async def find(session: ReadSession, account_id: str) -> Account | None:
    """The account with that id, open or closed, or None. For whoever asks on the house's own behalf; see `visible`."""
    row = await session.fetchrow(f"SELECT {ACCOUNT} FROM accounts a WHERE a.id = $1", account_id)
    return None if row is None else account_of(row)


async def by_id(session: ReadSession, account_id: str) -> Account:
    """As `find`; raises `NotFound`."""
    found = await find(session, account_id)
    if found is None:
        raise NotFound
    return found


async def visible(
    session: ReadSession, actor: Actor, account_id: str, *, include_closed: bool = False
) -> Account:
    """The account where it is there for `actor`: open, and his own if he is a customer. Raises `NotFound` otherwise."""
    if actor.is_customer and account_id != actor.account_id:
        raise NotFound
    found = await by_id(session, account_id)
    if not found.is_open and not include_closed:
        raise NotFound
    return found


async def by_nos(session: ReadSession, nos: Iterable[int]) -> dict[int, Account]:
    """Accounts by number, one statement for any number of them (primary key)."""
    rows = await session.fetch(f"SELECT {ACCOUNT} FROM accounts a WHERE a.no = ANY($1::bigint[])", list(nos))
    return {row["no"]: account_of(row) for row in rows}


async def by_ids(session: ReadSession, ids: Iterable[str]) -> dict[str, Account]:
    """Open accounts by id, one statement for a whole batch; unknown ones are left out."""
    rows = await session.fetch(
        f"SELECT {ACCOUNT} FROM accounts a WHERE a.id = ANY($1::text[]) AND a.status = 'open'", list(ids)
    )
    return {row["id"]: account_of(row) for row in rows}


async def open_nos(session: ReadSession, entity_id: int) -> list[int]:
    """The numbers of an entity's open accounts."""
    rows = await session.fetch(
        "SELECT no FROM accounts WHERE entity_id = $1 AND status = 'open' ORDER BY no", entity_id
    )
    return [row["no"] for row in rows]


async def by_external_ids(
    session: ReadSession, entity_id: int, external_ids: Iterable[str]
) -> dict[str, Account]:
    """Open accounts of an entity by the caller's own id for them, one statement for a whole batch."""
    rows = await session.fetch(
        f"SELECT {ACCOUNT} FROM accounts a WHERE a.entity_id = $1 AND a.external_id = ANY($2::text[]) AND a.status = 'open'",
        entity_id, list(external_ids),
    )  # fmt: skip
    return {row["external_id"]: account_of(row) for row in rows}


async def any_unmarked(session: ReadSession, key: str) -> bool:
    """Whether there is an account whose metadata lacks `key`. Stops at the first: at once wherever real accounts are."""
    return bool(await session.fetchval("SELECT EXISTS (SELECT FROM accounts WHERE NOT metadata ? $1)", key))


async def any_marked(session: ReadSession, key: str) -> bool:
    """Whether there is an account whose metadata have `key`."""
    return bool(await session.fetchval("SELECT EXISTS (SELECT FROM accounts WHERE metadata ? $1)", key))


async def marked(
    session: ReadSession, entity_id: int, key: str, external_ids: Iterable[str]
) -> dict[str, Account]:
    """As `by_external_ids`, only those whose metadata have `key`."""
    rows = await session.fetch(
        f"""
        SELECT {ACCOUNT} FROM accounts a
        WHERE a.entity_id = $1 AND a.external_id = ANY($2::text[]) AND a.status = 'open' AND a.metadata ? $3
        """,
        entity_id, list(external_ids), key,
    )  # fmt: skip
    return {row["external_id"]: account_of(row) for row in rows}


async def names(session: ReadSession, nos: Iterable[int]) -> dict[int, str]:
    """Names for documents and statements; closed accounts have none."""
    rows = await session.fetch(
        "SELECT account_no, name FROM account_profiles WHERE account_no = ANY($1::bigint[])", list(nos)
    )
    return {row["account_no"]: row["name"] for row in rows}


async def addressees(session: ReadSession, nos: Iterable[int]) -> dict[int, Addressee]:
    """Id and addressee of accounts for documents that are issued now, one statement for any number of them (primary keys)."""
    rows = await session.fetch(
        """
        SELECT a.no, a.id, a.country, p.name, p.email, p.address, p.tax_id
        FROM accounts a LEFT JOIN account_profiles p ON p.account_no = a.no WHERE a.no = ANY($1::bigint[])
        """,
        list(nos),
    )
    wanted = ("name", "address", "country", "tax_id", "email")
    return {
        row["no"]: Addressee(row["id"], {name: row[name] for name in wanted if row[name] is not None})
        for row in rows
    }


async def view(session: ReadSession, no: int) -> AccountView:
    """The account as the API shows it."""
    row = await session.fetchrow(
        f"SELECT {VIEW} FROM accounts a LEFT JOIN account_profiles p ON p.account_no = a.no WHERE a.no = $1",
        no,
    )
    if row is None:
        raise NotFound
    return AccountView(**dict(row))


async def page(
    session: ReadSession,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    sort: str = "-created_at",
    include_closed: bool = False,
    email: str | None = None,
    external_id: str | None = None,
    name: str | None = None,
    currency: str | None = None,
    status: str | None = None,
) -> Page[AccountView]:
    """A page of accounts, newest first unless `sort` says otherwise; a customer sees his own only.

    Keyset on (no) or (name, no): each page costs what the first costs. Raises `Invalid` for another sort or a foreign cursor.
    """
    if sort not in _SORTS:
        raise Invalid.field("sort", f"must be one of {', '.join(_SORTS)}")
    column, comparison, direction = _SORTS[sort]
    by_name = column == "p.name"
    position = decode_cursor(cursor, *((str, int) if by_name else (int,)))
    wanted: dict[str, Any] = {
        "a.no =": actor.account_no if actor.is_customer else None,
        "p.email_key =": email_key(email),
        "a.external_id =": external_id,
        "p.name =": name,
        "a.currency =": currency,
        "a.status =": status,
    }
    args: list[Any] = [limit + 1]
    where = [] if include_closed else ["a.status = 'open'"]
    for test, value in wanted.items():
        if value is not None:
            args.append(value)
            where.append(f"{test} ${len(args)}")
    if position is not None:
        args.extend(position)
        marks = ", ".join(f"${n}" for n in range(len(args) - len(position) + 1, len(args) + 1))
        where.append(f"({'p.name, a.no' if by_name else 'a.no'}) {comparison} ({marks})")
    order = f"{column} {direction}" + (f", a.no {direction}" if by_name else "")
    rows = await session.fetch(
        f"""
        SELECT a.no, {VIEW} FROM accounts a {"" if by_name else "LEFT"} JOIN account_profiles p ON p.account_no = a.no
        WHERE {" AND ".join(where) or "true"} ORDER BY {order} LIMIT $1
        """,
        *args,
    )
    return _page(rows, limit, by_name=by_name)


def _page(rows: Sequence[Record], limit: int, *, by_name: bool) -> Page[AccountView]:
    views = []
    for row in rows[:limit]:
        values = dict(row)
        values.pop("no")
        views.append(AccountView(**values))
    if len(rows) <= limit:
        return Page(views, None)
    last = rows[limit - 1]
    return Page(views, encode_cursor(last["name"], last["no"]) if by_name else encode_cursor(last["no"]))


async def for_metering(
    session: ReadSession, entity_id: int, ids: Sequence[str], external_ids: Sequence[str]
) -> list[tuple[int, str, int, str | None, datetime | None]]:
    """(no, id, entity_id, external_id, frozen_time) of the open accounts that a batch of events names: one statement.

    Ids are unique in the installation, external ids in the entity of whoever sends.
    """
    rows = await session.fetch(
        """
        SELECT a.no, a.id, a.entity_id, a.external_id, c.frozen_time
        FROM accounts a LEFT JOIN test_clocks c ON c.id = a.test_clock_id
        WHERE a.status = 'open' AND (a.id = ANY($2::text[]) OR (a.entity_id = $1 AND a.external_id = ANY($3::text[])))
        """,
        entity_id, ids, external_ids,
    )  # fmt: skip
    return [tuple(row) for row in rows]


async def rezoned_accounts(session: ReadSession, nos: Iterable[int]) -> dict[int, tuple[ZoneChange, ...]]:
    """The whole zone history of those accounts that changed their zone; most never do."""
    rows = await session.fetch(
        "SELECT no, zone_history FROM accounts WHERE no = ANY($1::bigint[]) AND jsonb_array_length(zone_history) > 1",
        list(nos),
    )
    return {row["no"]: _zones(row["zone_history"]) for row in rows}


async def business_now(session: ReadSession, account: Account, system_now: datetime) -> datetime:
    """The account's present: its test clock's time where it is on one, else `system_now`."""
    if account.test_clock_id is None:
        return system_now
    frozen: datetime = await session.fetchval(
        "SELECT frozen_time FROM test_clocks WHERE id = $1", account.test_clock_id
    )
    return frozen


async def business_nows(
    session: ReadSession, accounts: Iterable[Account], system_now: datetime
) -> dict[int, datetime]:
    """As `business_now`, for many accounts: one statement at most."""
    known = list(accounts)
    clocks = {account.test_clock_id for account in known if account.test_clock_id is not None}
    times: dict[UUID | None, datetime] = {None: system_now}
    if clocks:
        rows = await session.fetch(
            "SELECT id, frozen_time FROM test_clocks WHERE id = ANY($1::uuid[])", list(clocks)
        )
        times |= {row["id"]: row["frozen_time"] for row in rows}
    return {account.no: times[account.test_clock_id] for account in known}


async def clock(session: ReadSession, clock_id: UUID) -> Clock:
    """A test clock. Raises `NotFound`."""
    row = await session.fetchrow(f"SELECT {CLOCK} FROM test_clocks WHERE id = $1", clock_id)
    if row is None:
        raise NotFound
    return Clock(**dict(row))


async def clocks(session: ReadSession, *, limit: int, cursor: str | None = None) -> Page[Clock]:
    """Test clocks, newest first: their ids are ordered by time."""
    before = decode_uuid_cursor(cursor)
    rows = await session.fetch(
        f"SELECT {CLOCK} FROM test_clocks WHERE $2::uuid IS NULL OR id < $2 ORDER BY id DESC LIMIT $1",
        limit + 1, before,
    )  # fmt: skip
    found = [Clock(**dict(row)) for row in rows[:limit]]
    return Page(found, encode_cursor(str(found[-1].id)) if len(rows) > limit else None)


async def accounts_on(session: ReadSession, clock_id: UUID) -> list[int]:
    """Numbers of the open accounts on a clock, in order (ix_accounts_test_clock_id)."""
    rows = await session.fetch(
        "SELECT no FROM accounts WHERE test_clock_id = $1 AND status = 'open' ORDER BY no", clock_id
    )
    return [row["no"] for row in rows]


async def advancing_clock(session: ReadSession) -> UUID | None:
    """The clock that has waited longest among those being advanced."""
    found: UUID | None = await session.fetchval(
        "SELECT id FROM test_clocks WHERE status = 'advancing' ORDER BY updated_at, id LIMIT 1"
    )
    return found
