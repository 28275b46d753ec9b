"""Writes docs/schema.md: the tables as declared, a diagram for each context, and the views of `public_v1` as a migrated database tells them.

    .venv/bin/python scripts/schema_doc.py

Uses the migrated database that DATABASE_URL names, else an embedded one for the moment. A test compares the file with both sources.
"""

import asyncio
import inspect
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import asyncpg
from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from tallystick.migrations.models import CONTEXTS
from tallystick.migrations.run import upgrade
from tallystick.platform.embedded import embedded_postgres
from tallystick.platform.tables import Base

PAGE = Path(__file__).parents[1] / "docs" / "schema.md"
SHORT = {"TIMESTAMP WITH TIME ZONE": "timestamptz"}
VIEWS = """
SELECT c.relname AS view, obj_description(c.oid) AS told, a.attname AS name, format_type(a.atttypid, NULL) AS type,
       col_description(c.oid, a.attnum) AS sentence
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'public_v1'::regnamespace AND c.relkind = 'v' ORDER BY c.relname, a.attnum
"""
HEAD = """# The schema

Made by `scripts/schema_doc.py` from the declared tables and the views' own comments; a test holds it against both.

- [Views for integrators](#views-for-integrators): what to build reports on.
- [Tables](#tables): how it is stored. Private: they change with any release.

## Views for integrators

The schema `public_v1` holds views for reading with SQL: for reports, a warehouse, a look of your own. They are versioned like the API: within v1 views and
columns are added, never changed or taken away.

```sh
.venv/bin/tallystick migrate --reader tallystick_readonly     # makes the role, without login, and gives it the views and nothing else
```

```sql
CREATE USER reports PASSWORD '…' IN ROLE tallystick_readonly;
SELECT currency, sum(total) FROM public_v1.invoices WHERE livemode AND status IN ('finalized', 'paid') GROUP BY currency;
```

Where the user that migrates may not make roles, have `CREATE ROLE tallystick_readonly NOLOGIN` run by one who may, then the command; or give the rights by hand,
as the user that migrates:

```sql
{grants}
```

What all views have in common:

- Ids are those of the API. `customer_id` is the account's id everywhere.
- Amounts are exact decimals, in the `currency` of their row. Never add across currencies.
- Instants are `timestamptz`. *By the customer's clock* is business time; only `created_at` and `updated_at` are system time.
- `livemode` is false for accounts on a test clock: leave those out of reports.
- Personal data stands in `customers` alone: name and e-mail, gone when the account is closed. Documents are shown without their addressee.

Not there yet, because what they would show does not exist yet: `transactions`, `gateway_webhook_requests`, `webhook_outbound_requests`.
"""
TABLES = """## Tables

One diagram for each context, in the order in which they build upon one another. A line is a foreign key; a table without columns stands in another diagram.
Where a reference is held by the statement that writes it instead of a key (`account_no`, `invoice_id`, `meter_id` and others), there is no line: an invariant
proves it. Columns that may be null say so. `created_at` and `updated_at`, which most have, are left out.
"""


def by_context() -> dict[str, list[tuple[Table, str]]]:
    """The tables of each context by name, each with the first paragraph of its class's text."""
    found = defaultdict(list)
    for mapper in Base.registry.mappers:
        assert isinstance(mapper.local_table, Table)
        told = (inspect.getdoc(mapper.class_) or "").partition("\n\n")[0]
        found[mapper.class_.__module__.split(".")[1]].append((mapper.local_table, " ".join(told.split())))
    return {
        context: sorted(found[context], key=lambda each: each[0].name)
        for context in CONTEXTS
        if found[context]
    }


def type_of(column: Column[object]) -> str:
    """The column's type as PostgreSQL calls it, without its size."""
    told = column.type.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    plain = told.partition(" COLLATE")[0]
    return SHORT.get(plain, plain.partition("(")[0].lower())


def attributes(table: Table) -> Iterator[str]:
    """The lines of a table in a diagram."""
    for column in table.columns:
        if column.name in ("created_at", "updated_at"):
            continue
        keys = ", ".join(
            key for key, has in (("PK", column.primary_key), ("FK", bool(column.foreign_keys))) if has
        )
        words = [type_of(column), column.name, keys, '"may be null"' if column.nullable else ""]
        yield "        " + " ".join(word for word in words if word)


def relations(table: Table) -> Iterator[str]:
    """One line per foreign key: many of ours to one of theirs."""
    for constraint in sorted(table.foreign_key_constraints, key=lambda each: str(each.name)):
        columns = list(constraint.columns)
        one = "|o" if any(column.nullable for column in columns) else "||"
        single = {column.name for column in columns} == {column.name for column in table.primary_key.columns}
        many = "o|" if single else "o{"
        label = ", ".join(column.name for column in columns)
        yield f'    {constraint.referred_table.name} {one}--{many} {table.name} : "{label}"'


def diagram(drawn: Sequence[Table]) -> str:
    """The tables of a context."""
    lines = ["```mermaid", "erDiagram"]
    for table in drawn:
        lines += [f"    {table.name} {{", *attributes(table), "    }"]
    for table in drawn:
        lines += relations(table)
    return "\n".join([*lines, "```"])


def tables() -> str:
    """The second part of the page."""
    parts = [TABLES]
    for context, found in by_context().items():
        told = "\n".join(f"- `{table.name}`: {sentence}" for table, sentence in found)
        parts.append(f"### {context}\n\n{told}\n\n{diagram([table for table, _ in found])}\n")
    return "\n".join(parts)


def views(rows: Sequence[asyncpg.Record]) -> str:
    """The views with a sentence per column."""
    parts = []
    for view, told in dict.fromkeys((row["view"], row["told"]) for row in rows):
        columns = "\n".join(
            f"| `{row['name']}` | {SHORT.get(row['type'].upper(), row['type'])} | {row['sentence']} |"
            for row in rows
            if row["view"] == view
        )
        parts.append(
            f"### public_v1.{view}\n\n{told}\n\n| column | type | what it is |\n| --- | --- | --- |\n{columns}\n"
        )
    return "\n".join(parts)


async def page(url: str) -> str:
    """The whole document, from the declared tables and the views of the migrated database at `url`."""
    from tallystick.migrations.readers import GRANTS

    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(VIEWS)
    finally:
        await connection.close()
    grants = "\n".join(grant.format(role="tallystick_readonly") + ";" for grant in GRANTS)
    return "\n".join((HEAD.format(grants=grants), views(rows), tables()))


def main() -> None:
    """Writes the page."""
    given = os.environ.get("DATABASE_URL")
    if given:
        PAGE.write_text(asyncio.run(page(given)))
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with embedded_postgres(Path(folder) / "data", durable=False, keep=False) as url:
            upgrade(url)
            PAGE.write_text(asyncio.run(page(url)))


if __name__ == "__main__":
    main()
