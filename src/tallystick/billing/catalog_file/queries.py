"""Reading: the catalog as it is, who a change touches, what was applied before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tallystick.billing.catalog_file.revenue import Held
from tallystick.billing.catalog_file.sections import (
    COUPONS,
    METERS,
    PLANS,
    SECTIONS,
    SERVICES,
    TAXES,
    Content,
    Section,
    fields_of,
    is_own,
)
from tallystick.catalog import queries as catalog
from tallystick.catalog.domain import PlanView
from tallystick.invoicing.coupons import queries as coupons
from tallystick.invoicing.coupons.queries import CouponView
from tallystick.platform.db import ReadSession
from tallystick.taxes import queries as taxes
from tallystick.taxes.queries import TaxView

ALL = 1_000_000
MAX_NAMED = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """The catalog of an installation at one moment: as a file would have it, and as the commands that change it need it."""

    content: Content
    plans: Mapping[str, PlanView]
    taxes: Mapping[str, TaxView]
    coupons: Mapping[str, CouponView]


@dataclass(frozen=True, slots=True)
class Application:
    """One application of a file, or a rollback. `created_at` is system time; `before` and `after` are left out of lists."""

    number: int
    kind: str
    rolled_back_to: int | None
    principal: str
    name: str
    digest: str
    prune: bool
    summary: Mapping[str, Any]
    created_at: datetime
    before: str = ""
    after: str = ""


async def standing(session: ReadSession, entity_id: int) -> Standing:
    """Everything that a file can hold, taxes and coupons of this entity: a constant number of statements."""
    known: dict[str, Any] = {
        TAXES.name: {
            view.code: view for view in (await taxes.taxes(session, entity_id, limit=ALL, cursor=None)).rows
        },
        METERS.name: await catalog.meters_by_code(session),
        SERVICES.name: {
            view.name: view for view in (await catalog.services(session, limit=ALL, cursor=None)).rows
        },
        PLANS.name: {
            view.code: view
            for view in (await catalog.plans(session, limit=ALL, cursor=None, all_plans=True)).rows
        },
        COUPONS.name: {
            view.code: view
            for view in (await coupons.coupons(session, entity_id, limit=ALL, cursor=None)).rows
        },
    }
    content = {section.name: _content(section, known[section.name]) for section in SECTIONS}
    return Standing(content, known[PLANS.name], known[TAXES.name], known[COUPONS.name])


def _content(section: Section, views: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {code: fields_of(section, view) for code, view in views.items() if is_own(section, code)}


async def held(session: ReadSession, codes: Iterable[str], now: datetime) -> list[Held]:
    """The subscriptions of plans that have not ended, by version, whatever the number in one statement.

    Test accounts are counted apart (`live` false), at the time of their clocks.
    """
    rows = await session.fetch(
        """
        SELECT p.code AS plan_code, v.version, v.price, v.currency, v.billing_cycle AS cycle, a.livemode AS live,
            count(*)::integer AS subscriptions, sum(s.quantity) AS quantity
        FROM plans p JOIN plan_versions v ON v.plan_id = p.id JOIN subscriptions s ON s.plan_version_id = v.id
            JOIN accounts a ON a.no = s.account_no LEFT JOIN test_clocks c ON c.id = a.test_clock_id
        WHERE p.code = ANY($1::text[]) AND (s.ended_at IS NULL OR s.ended_at > coalesce(c.frozen_time, $2))
        GROUP BY p.code, v.id, a.livemode ORDER BY p.code, v.version, a.livemode DESC
        """,
        list(codes), now,
    )  # fmt: skip
    return [Held(**dict(row)) for row in rows]


async def accounts_by_plan(session: ReadSession, codes: Iterable[str], now: datetime) -> dict[str, int]:
    """How many accounts, test accounts left out, hold each plan."""
    rows = await session.fetch(
        """
        SELECT p.code, count(DISTINCT s.account_no)::integer AS accounts
        FROM plans p JOIN plan_versions v ON v.plan_id = p.id JOIN subscriptions s ON s.plan_version_id = v.id
            JOIN accounts a ON a.no = s.account_no
        WHERE p.code = ANY($1::text[]) AND a.livemode AND (s.ended_at IS NULL OR s.ended_at > $2) GROUP BY p.code
        """,
        list(codes), now,
    )  # fmt: skip
    return {row["code"]: row["accounts"] for row in rows}


async def holders(session: ReadSession, codes: Iterable[str], now: datetime) -> dict[str, list[str]]:
    """Ids of the accounts that hold a plan, by its code: in order, at most ten thousand of all."""
    rows = await session.fetch(
        """
        SELECT DISTINCT p.code, a.id
        FROM plans p JOIN plan_versions v ON v.plan_id = p.id JOIN subscriptions s ON s.plan_version_id = v.id
            JOIN accounts a ON a.no = s.account_no LEFT JOIN test_clocks c ON c.id = a.test_clock_id
        WHERE p.code = ANY($1::text[]) AND (s.ended_at IS NULL OR s.ended_at > coalesce(c.frozen_time, $2))
        ORDER BY p.code, a.id LIMIT $3
        """,
        list(codes), now, MAX_NAMED,
    )  # fmt: skip
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["code"], []).append(row["id"])
    return found


async def applications(session: ReadSession, entity_id: int, limit: int = 50) -> list[Application]:
    """What was applied, the newest first, without the catalogs themselves."""
    rows = await session.fetch(
        """
        SELECT number, kind, rolled_back_to, principal, name, digest, prune, summary, created_at FROM catalog_files
        WHERE entity_id = $1 ORDER BY number DESC LIMIT $2
        """,
        entity_id, limit,
    )  # fmt: skip
    return [Application(**dict(row)) for row in rows]


async def application(session: ReadSession, entity_id: int, number: int | None) -> Application | None:
    """One application with its catalogs; the last one where no number is given."""
    row = await session.fetchrow(
        """
        SELECT number, kind, rolled_back_to, principal, name, digest, prune, summary, created_at, before, after
        FROM catalog_files WHERE entity_id = $1 AND ($2::integer IS NULL OR number = $2) ORDER BY number DESC LIMIT 1
        """,
        entity_id, number,
    )  # fmt: skip
    return None if row is None else Application(**dict(row))


async def first_number(session: ReadSession, entity_id: int) -> int | None:
    """The number of the entity's first application."""
    found: int | None = await session.fetchval(
        "SELECT min(number) FROM catalog_files WHERE entity_id = $1", entity_id
    )
    return found
