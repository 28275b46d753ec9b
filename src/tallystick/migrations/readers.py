"""Who may read `public_v1`: a role of the operator's, given the views and nothing else (decision 14)."""

import re
from dataclasses import dataclass

import asyncpg

from tallystick.kernel.errors import Conflict, Invalid

_ONE_AT_A_TIME = 728_611_002
"""Two that grant on one schema at once would fail each other ("tuple concurrently updated")."""

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

GRANTS = (
    "GRANT USAGE ON SCHEMA public_v1 TO {role}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public_v1 TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public_v1 GRANT SELECT ON TABLES TO {role}",
)
"""What the role needs, later views included. `ALTER DEFAULT PRIVILEGES` counts for views that the same user makes: the one that migrates."""

_BEYOND = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('public_v1', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
  AND has_schema_privilege($1, n.oid, 'USAGE') AND has_table_privilege($1, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
UNION ALL
SELECT 'public_v1.' || c.relname FROM pg_class c
WHERE c.relnamespace = 'public_v1'::regnamespace AND has_table_privilege($1, c.oid, 'INSERT, UPDATE, DELETE')
ORDER BY 1
"""


class RoleNotMade(Conflict):
    code = "role_not_made"
    sentence = (
        "This database user may not make roles; have the role made (CREATE ROLE name NOLOGIN), then repeat"
    )


class ReaderMayMore(Conflict):
    code = "reader_may_more"
    sentence = "The role may do more than read the views; take one that has no other rights"


class RoleName(Invalid):
    code = "role_name"
    sentence = (
        "A role's name is lower-case letters, digits and underscores, 63 at most, and does not begin with pg_"
    )


@dataclass(frozen=True, slots=True)
class Reader:
    """A role that may read the views."""

    role: str
    made: bool
    views: int


async def allow_reader(url: str, name: str) -> Reader:
    """Gives the role `name` the views of `public_v1`, and makes it, without login, where there is none. A repeat changes nothing.

    Roles belong to the whole server: two databases may ask for the same one at once, so one that appears meanwhile is taken as found.
    Raises `RoleName`, `RoleNotMade`, and `ReaderMayMore`, which leaves the grants undone.
    """
    if not _NAME.fullmatch(name) or name.startswith("pg_"):
        raise RoleName(details={"reader": RoleName.sentence})
    connection = await asyncpg.connect(url)
    try:
        made = await _made(connection, name)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _ONE_AT_A_TIME)
            for grant in GRANTS:
                await connection.execute(grant.format(role=f'"{name}"'))
            if await connection.fetch(_BEYOND, name):
                raise ReaderMayMore
        views = await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public_v1'::regnamespace AND relkind = 'v'"
        )
        return Reader(name, made, views)
    finally:
        await connection.close()


async def _made(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> bool:
    if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name):
        return False
    try:
        await connection.execute(f'CREATE ROLE "{name}" NOLOGIN')
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        return False
    except asyncpg.InsufficientPrivilegeError:
        raise RoleNotMade from None
    return True
