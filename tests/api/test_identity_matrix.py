"""Customer A and what belongs to customer B: at every route, in every place where an id can stand, it is not there.

The routes and the places are read from the application. Where a customer may call a route, every name in its path, query and body
stands in one of the tables below; a name in none of them fails, and so does an id that nothing was made for.
"""

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from seeded import seed
from support import Customer, database_of, sign_up_as

from tallystick.identity.domain import ROLES
from tallystick.platform.http.openapi import permission_of

OWNED = {
    "account_id", "customer_id", "subscription_id", "event_id", "invoice_id", "record_id", "note_id", "run_id", "external_id",
    "email", "number", "source_id", "wallet_id", "hold_id", "applied_id",
}  # fmt: skip
"""Names of ids that lead to what belongs to one customer."""

SHARED = {"plan_id", "code", "meter", "service", "name"}
"""Names that lead to what all customers of the house see."""

CLAIMED = {("body", "external_id"), ("body", "email"), ("body", "name")}
"""What one writes about oneself: it leads nowhere, at most it is taken."""

PLAIN = {
    "limit", "cursor", "sort", "include_closed", "currency", "status", "is_active", "source", "format", "period_start", "period_end",
    "phone", "address", "timezone", "locale", "tax_id", "country", "metadata", "test_clock_id", "charge_model", "properties",
    "adjustments", "units", "events", "aggregation", "percentile", "unit", "anchor", "cycle", "alignment", "billing_day", "start",
    "end", "count", "basis", "value", "kind", "refresh_token", "all", "current_password", "new_password", "quantity", "unit_price", "occurred_at",
}  # fmt: skip
"""Names of what is no id. `tax_id` in a body is a VAT number; `test_clock_id` is for staff, who alone open accounts."""

BODIES: dict[str, dict[str, Any]] = {
    "PUT /v1/accounts/{account_id}": {"locale": "de-DE"},
    "PUT /accounts/{account_id}": {"locale": "de-DE"},
    "POST /v1/invoices/preview": {"account_id": None},
    "POST /v1/coupons/apply": {"code": "SEEDED", "account_id": None},
}
"""A right body for each route that takes one and an id; None stands for the id."""


@dataclass(frozen=True)
class Place:
    """One name in one place of one route that a customer may call."""

    method: str
    path: str
    where: str
    name: str

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"

    def __str__(self) -> str:
        return f"{self.route}: {self.where} {self.name}"


def names_in(annotation: Any) -> Iterator[str]:
    """The fields of a body, those of nested models too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield name
            yield from names_in(field.annotation)
    elif not isinstance(annotation, type) or isinstance(annotation, types.GenericAlias):
        for part in get_args(annotation):
            yield from names_in(part)


def routes(app: FastAPI) -> Iterator[tuple[str, str, APIRoute]]:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            for method in sorted(route.methods):
                yield method, str(context.path), route


def places(app: FastAPI) -> list[Place]:
    """Every named place of every route that customers may call."""
    found: list[Place] = []
    for method, path, route in routes(app):
        if permission_of(route) not in ROLES["customer"]:
            continue
        parts = route.dependant
        found += [Place(method, path, "path", each.name) for each in parts.path_params]
        found += [Place(method, path, "query", each.alias) for each in parts.query_params]
        for body in parts.body_params:
            found += [Place(method, path, "body", name) for name in names_in(body.field_info.annotation)]
        assert not hasattr(route.endpoint, "direct"), f"{path} reads its body itself: what may stand in it?"
    return found


def leads_to_one(place: Place) -> bool:
    return place.name in OWNED and (place.where, place.name) not in CLAIMED


def test_every_name_is_in_a_table(app: FastAPI) -> None:
    for place in places(app):
        known = place.name in OWNED | SHARED | PLAIN or (place.where, place.name) in CLAIMED
        assert known, f"{place}: is it an id? Enter it in a table of this file"
    looks_like_an_id = re.compile(r"(^|_)(id|ids|no|number|email)$")
    assert {name for name in PLAIN | SHARED if looks_like_an_id.search(name)} == {
        "tax_id", "test_clock_id", "plan_id",
    }  # fmt: skip


@dataclass
class Two:
    """Customer `a`, customer `b`, and the ids of what belongs to `b`."""

    a: Customer
    b: Customer
    ids: dict[str, Any]
    staff: dict[str, str]

    def of(self, place: Place) -> str:
        """B's id for this place."""
        assert place.name in self.ids, f"{place}: tests/api/seeded.py makes nothing that this could name"
        return str(self.ids[place.name])

    def path(self, path: str) -> str:
        """The path with B's ids in it."""
        return re.sub(r"\{([a-z_]+)(:path)?\}", lambda part: str(self.ids.get(part[1], 1)), path)


@pytest.fixture
async def two(app: FastAPI, client: httpx.AsyncClient, admin_headers: dict[str, str], customer: Any) -> Two:
    ids = (await seed(client, admin_headers)).ids
    async with database_of(app).read() as session:
        account_no = await session.fetchval("SELECT no FROM accounts WHERE id = $1", ids["account_id"])
    b = await sign_up_as(app, account_no, ids["account_id"])
    put = await client.put(
        f"/v1/accounts/{ids['account_id']}", json={"email": "bob@example.com"}, headers=admin_headers
    )
    assert put.status_code == 200
    for invoice in (await client.get("/v1/invoices", headers=b.headers)).json()["data"]:
        ids["invoice_id"], ids["number"] = invoice["id"], invoice["number"]
    shown = (await client.get(f"/v1/billing/{ids['record_id']}", headers=admin_headers)).json()["data"]
    paid = await client.put(f"/v1/billing/{ids['record_id']}", json={"status": "paid"}, headers=admin_headers)
    assert paid.status_code == 200, (shown, paid.text)
    ids |= {"external_id": "seeded", "email": "bob@example.com", "source_id": ids["invoice_id"]}
    return Two(await customer(), b, ids, admin_headers)


def plain(answer: httpx.Response) -> dict[str, Any]:
    """What a refusal says, without what differs every time."""
    return {name: value for name, value in answer.json().items() if name not in ("request_id", "timestamp")}


def shows_nothing_of(two: Two, answer: httpx.Response) -> bool:
    """Not one of B's own ids, nor his names."""
    secret = (
        "account_id",
        "subscription_id",
        "invoice_id",
        "record_id",
        "number",
        "note_id",
        "wallet_id",
        "applied_id",
    )
    own = [str(two.ids[name]) for name in secret if two.ids.get(name)]
    return not any(value in answer.text for value in [*own, "bob@example.com", '"Seeded"'] if value)


async def test_ids_in_paths(app: FastAPI, client: httpx.AsyncClient, two: Two) -> None:
    """B gets it, A gets what one gets for an id that was never given."""
    seen = 0
    for place in places(app):
        if place.where != "path" or not leads_to_one(place):
            continue
        body = BODIES.get(place.route)
        assert body is not None or place.method == "GET", f"{place}: give it a body in BODIES"
        path = two.path(place.path)
        answer = await client.request(place.method, path, json=body, headers=two.a.headers)
        never = path.replace(two.of(place), "00000000-0000-7000-8000-000000000000")
        missing = await client.request(place.method, never, json=body, headers=two.a.headers)
        assert (answer.status_code, plain(answer)) == (404, plain(missing)), f"{place}: {answer.text}"
        own = await client.request(place.method, path, json=body, headers=two.b.headers)
        assert own.is_success, f"{place}: not even its owner: {own.text}"
        seen += 1
    assert seen >= 14


async def test_ids_in_queries(app: FastAPI, client: httpx.AsyncClient, two: Two) -> None:
    """A filter for what is B's finds nothing, or is refused as what is not there."""
    seen = 0
    for place in places(app):
        if place.where != "query" or not leads_to_one(place):
            continue
        answer = await client.get(
            two.path(place.path), params={place.name: two.of(place)}, headers=two.a.headers
        )
        empty = answer.status_code == 200 and answer.json()["data"] == []
        assert empty or answer.status_code == 404, f"{place}: {answer.status_code} {answer.text}"
        own = await client.get(
            two.path(place.path), params={place.name: two.of(place)}, headers=two.b.headers
        )
        assert own.status_code == 200, f"{place}: {own.text}"
        seen += 1
    assert seen >= 6


async def test_ids_in_bodies(app: FastAPI, client: httpx.AsyncClient, two: Two) -> None:
    seen = 0
    for place in places(app):
        if place.where != "body" or not leads_to_one(place):
            continue
        template = BODIES.get(place.route, {})
        assert place.name in template, f"{place}: give the route a body in BODIES"
        body = {**template, place.name: two.of(place)}
        answer = await client.request(place.method, two.path(place.path), json=body, headers=two.a.headers)
        never = await client.request(
            place.method, two.path(place.path), json={**body, place.name: "acc_never"}, headers=two.a.headers
        )
        assert (answer.status_code, plain(answer)) == (404, plain(never)), f"{place}: {answer.text}"
        own = await client.request(place.method, two.path(place.path), json=body, headers=two.b.headers)
        known = own.is_success or own.status_code == 409
        assert known, f"{place}: not even its owner: {own.text}"
        seen += 1
    assert seen >= 1


async def test_lists_show_ones_own(app: FastAPI, client: httpx.AsyncClient, two: Two) -> None:
    """Every list, unfiltered: nothing of B's is among what A sees, and B sees some of his own."""
    own = 0
    for method, path, route in routes(app):
        if method == "GET" and "{" not in path and permission_of(route) in ROLES["customer"]:
            answer = await client.get(path, headers=two.a.headers)
            whole = await client.get(path, headers=two.b.headers)
            assert answer.status_code == whole.status_code, f"{path}: {answer.text}"
            assert answer.status_code in (200, 404), f"{path}: {answer.text}"
            assert shows_nothing_of(two, answer), f"{path} shows A what is B's"
            own += not shows_nothing_of(two, whole)
    assert own >= 4


async def test_what_a_customer_may_not_is_not_there(
    app: FastAPI, client: httpx.AsyncClient, two: Two
) -> None:
    """Also with ids of things that are, his own or another's: 404, the same for both."""
    seen = 0
    for method, path, route in routes(app):
        permission = permission_of(route)
        if permission is None or permission in ROLES["customer"]:
            continue
        for who in (two.a, two.b):
            answer = await client.request(method, two.path(path), json={}, headers=who.headers)
            assert answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text}"
            assert plain(answer) == {
                "success": False, "error": "Not found", "code": "not_found", "details": {},
            }, f"{method} {path}"  # fmt: skip
            seen += 1
    assert seen > 60


async def test_what_only_staff_may_change_is_read_only(client: httpx.AsyncClient, two: Two) -> None:
    path = f"/v1/accounts/{two.a.account_id}"
    for change in ({"external_id": "mine"}, {"metadata": {"vip": True}}):
        answer = await client.put(path, json=change, headers=two.a.headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "read_only"), answer.text
        assert set(answer.json()["details"]) == set(change)
    assert (await client.post("/v1/accounts", json={"name": "X"}, headers=two.a.headers)).status_code == 404
