"""The catalog file over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from fastapi import FastAPI
from support import Customer, service_key

Headers = dict[str, str]
FILE = "plans:\n  team: {name: Team, price: 29, currency: USD}\n"


async def posted(client: httpx.AsyncClient, headers: Headers, what: str, **body: Any) -> httpx.Response:
    return await client.post(f"/v1/catalog/{what}", json=body, headers=headers)


async def test_a_file_is_compared_applied_and_listed(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    seen = await posted(client, admin_headers, "diff", file=FILE)
    assert seen.status_code == 200, seen.text
    (team,) = [each for each in seen.json()["data"]["changes"] if each["action"] == "add"]
    assert (team["kind"], team["code"], team["new_version"]) == ("plan", "team", 1)
    assert '"monthly_fee":{"amount":29.00,"currency":"USD"}' in seen.text
    token = seen.json()["data"]["token"]
    done = await posted(client, admin_headers, "apply", file=FILE, token=token)
    assert (done.status_code, done.json()["data"]["version"]) == (200, 1)
    again = await posted(client, admin_headers, "apply", file=FILE, token=token)
    assert (again.status_code, again.json()["code"]) == (409, "catalog_changed")
    repeat = await posted(client, admin_headers, "apply", file=FILE)
    assert (repeat.json()["data"]["version"], repeat.json()["message"]) == (None, "Nothing to change")
    versions = (await client.get("/v1/catalog/versions", headers=admin_headers)).json()["data"]
    assert [(each["number"], each["kind"]) for each in versions] == [(1, "apply")]
    text = (await client.get("/v1/catalog/file", headers=admin_headers)).json()["data"]["file"]
    assert '    price: "29.00"\n' in text
    same = await posted(client, admin_headers, "diff", file=text, prune=True)
    assert same.json()["data"]["changes"] == []


async def test_mistakes_are_422_and_named_at_their_lines(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    for what in ("diff", "apply"):
        bad = await posted(
            client, admin_headers, what, file=FILE.replace("29", "2.999").replace("USD", "XXZ")
        )
        assert (bad.status_code, bad.json()["code"]) == (422, "catalog_file_invalid")
        assert list(bad.json()["details"]) == ["file[2:36].plans.team.currency"]
        empty = await posted(client, admin_headers, what, file="")
        assert (empty.status_code, empty.json()["code"]) == (422, "validation_failed")
    assert (await client.get("/v1/plans?code=team", headers=admin_headers)).json()["data"] == []


async def test_taxes_in_a_file_need_their_own_right(app: FastAPI, client: httpx.AsyncClient) -> None:
    headers = await service_key(app, ["catalog:write"])
    refused = await posted(client, headers, "apply", file="taxes: {vat: {name: VAT, rate: 19}}\n" + FILE)
    assert (refused.status_code, refused.json()["details"]) == (403, {"required": "taxes:write"})
    assert (await posted(client, headers, "apply", file=FILE)).status_code == 200


async def test_staff_reads_the_file_and_customers_do_not_find_it(
    client: httpx.AsyncClient, support_headers: Headers, customer: Callable[..., Awaitable[Customer]]
) -> None:
    ada = await customer()
    for path in ("/v1/catalog/file", "/v1/catalog/versions"):
        assert (await client.get(path, headers=support_headers)).status_code == 200
        assert (await client.get(path, headers=ada.headers)).status_code == 404
    assert (await posted(client, support_headers, "diff", file=FILE)).status_code == 403
    assert (await posted(client, support_headers, "apply", file=FILE)).status_code == 403
