"""Taxes over HTTP."""

from typing import Any

import httpx
import pytest

Headers = dict[str, str]


async def made(client: httpx.AsyncClient, headers: Headers, **fields: Any) -> dict[str, Any]:
    answer = await client.post(
        "/v1/taxes", json={"code": "vat", "name": "VAT", "rate": 19, **fields}, headers=headers
    )
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_a_tax_is_made_shown_and_renamed(
    client: httpx.AsyncClient, finance_headers: Headers, support_headers: Headers
) -> None:
    tax = await made(client, finance_headers, rate="8.875", is_default=True)
    got = await client.get(f"/v1/taxes/{tax['id']}", headers=support_headers)
    assert '"rate":8.875,' in got.text
    assert got.json()["data"] == tax
    put = await client.put(
        f"/v1/taxes/{tax['id']}", json={**tax, "name": "NYC", "is_default": False}, headers=finance_headers
    )
    assert (put.status_code, put.json()["data"]["name"], put.headers["etag"]) == (200, "NYC", '"2"')
    again = await client.put(f"/v1/taxes/{tax['id']}", json={"name": "NYC"}, headers=finance_headers)
    assert again.headers["etag"] == '"2"'
    rate = await client.put(f"/v1/taxes/{tax['id']}", json={"rate": 9}, headers=finance_headers)
    assert (rate.status_code, rate.json()["code"]) == (422, "read_only")
    twice = await client.post(
        "/v1/taxes", json={"code": "vat", "name": "V", "rate": 1}, headers=finance_headers
    )
    assert (twice.status_code, twice.json()["code"]) == (409, "tax_exists")
    assert [
        each["code"] for each in (await client.get("/v1/taxes", headers=support_headers)).json()["data"]
    ] == ["vat"]
    assert (await client.post("/v1/taxes", json={}, headers=support_headers)).status_code in (403, 422)
    assert (await client.get("/v1/taxes")).status_code == 401


@pytest.mark.parametrize("rate", [-1, 100.000001, "0.0000001", "NaN", True, None, "19%"])
async def test_a_rate_is_a_percentage(client: httpx.AsyncClient, finance_headers: Headers, rate: Any) -> None:
    body = {"code": "vat", "name": "VAT", "rate": rate}
    answer = await client.post("/v1/taxes", json=body, headers=finance_headers)
    assert answer.status_code == 422
    assert set(answer.json()["details"]) == {"rate"}


async def test_an_account_pays_its_own_taxes_or_the_defaults(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    await made(client, admin_headers, is_default=True)
    await made(client, admin_headers, code="none", name="Exempt", rate=0)
    account = (await client.post("/v1/accounts", json={"name": "A"}, headers=admin_headers)).json()["data"]
    url = f"/v1/accounts/{account['id']}/taxes"

    async def codes() -> list[str]:
        return [each["code"] for each in (await client.get(url, headers=admin_headers)).json()["data"]]

    assert await codes() == ["vat"]
    exempt = await client.put(url, json={"codes": ["none"]}, headers=admin_headers)
    assert exempt.status_code == 200, exempt.text
    assert await codes() == ["none"]
    unknown = await client.put(url, json={"codes": ["other"]}, headers=admin_headers)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_tax")
    assert await codes() == ["none"]
    await client.put(url, json={"codes": []}, headers=admin_headers)
    assert await codes() == ["vat"]
    assert (await client.get("/v1/accounts/acc_x/taxes", headers=admin_headers)).status_code == 404
