"""Taxes over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from support import Customer

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


async def test_a_rate_changes_on_its_date(client: httpx.AsyncClient, finance_headers: Headers) -> None:
    tax = await made(client, finance_headers)
    url = f"/v1/taxes/{tax['id']}/rates"
    first = await client.post(url, json={"valid_from": "2020-07-01", "rate": "16"}, headers=finance_headers)
    assert (first.status_code, first.json()["data"]["later_rates"]) == (
        201,
        [{"valid_from": "2020-07-01", "rate": 16}],
    )
    for body in ({"valid_from": "2020-07-01", "rate": "17"}, {"valid_from": "2019-01-01", "rate": "17"}):
        late = await client.post(url, json=body, headers=finance_headers)
        assert (late.status_code, late.json()["code"], set(late.json()["details"])) == (
            409,
            "rate_not_later",
            {"valid_from"},
        )
    ended = await client.post(url, json={"valid_from": "2030-01-01", "rate": None}, headers=finance_headers)
    assert ended.json()["data"]["later_rates"][-1] == {"valid_from": "2030-01-01", "rate": None}
    assert (
        await client.post(
            "/v1/taxes/999/rates", json={"valid_from": "2020-07-01", "rate": 1}, headers=finance_headers
        )
    ).status_code == 404


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"valid_from": "2020-02-30", "rate": 1}, {"valid_from"}), ({"valid_from": "2020-01-01"}, {"rate"}), ({"rate": 1}, {"valid_from"}),
        ({"valid_from": "2020-01-01T00:00:00Z", "rate": 1}, {"valid_from"}), ({"valid_from": "2020-01-01", "rate": 101}, {"rate"}),
    ],
)  # fmt: skip
async def test_a_bad_rate_names_its_field(
    client: httpx.AsyncClient, finance_headers: Headers, body: Any, fields: set[str]
) -> None:
    tax = await made(client, finance_headers)
    answer = await client.post(f"/v1/taxes/{tax['id']}/rates", json=body, headers=finance_headers)
    assert (answer.status_code, set(answer.json()["details"])) == (422, fields)


async def test_what_is_not_charged_has_no_rate(client: httpx.AsyncClient, finance_headers: Headers) -> None:
    body = {"code": "ex", "name": "Exempt", "rate": 5, "kind": "exempt"}
    answer = await client.post("/v1/taxes", json=body, headers=finance_headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "kind_has_no_rate")


async def test_taxes_of_test_clocks_stand_apart(client: httpx.AsyncClient, admin_headers: Headers) -> None:
    await made(client, admin_headers, livemode=False, is_default=True)
    await made(client, admin_headers, rate=7)
    for livemode, rate in ((True, 7), (False, 19)):
        listed = await client.get("/v1/taxes", params={"livemode": livemode}, headers=admin_headers)
        assert [(each["rate"], each["livemode"]) for each in listed.json()["data"]] == [(rate, livemode)]


async def test_a_customer_who_owes_the_tax_himself_has_a_tax_id(
    client: httpx.AsyncClient, admin_headers: Headers
) -> None:
    account = (await client.post("/v1/accounts", json={"name": "A"}, headers=admin_headers)).json()["data"]
    url, wish = (
        f"/v1/accounts/{account['id']}/tax-treatment",
        {"treatment": "reverse_charge", "note": "Article 196"},
    )
    refused = await client.put(url, json=wish, headers=admin_headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "tax_id_required")
    await client.put(f"/v1/accounts/{account['id']}", json={"tax_id": "DE136695976"}, headers=admin_headers)
    assert (await client.put(url, json=wish, headers=admin_headers)).json()["data"] == wish
    assert (await client.get(url, headers=admin_headers)).json()["data"] == wish
    await client.put(url, json={"treatment": "taxable"}, headers=admin_headers)
    assert (await client.get(url, headers=admin_headers)).json()["data"] == {
        "treatment": "taxable",
        "note": "",
    }
    odd = await client.put(url, json={"treatment": "never"}, headers=admin_headers)
    assert (odd.status_code, set(odd.json()["details"])) == (422, {"treatment"})


async def test_the_tax_id_stays_while_the_tax_is_shifted(
    client: httpx.AsyncClient,
    admin_headers: Headers,
    customer: Callable[..., Awaitable[Customer]],
) -> None:
    ada = await customer(tax_id="DE136695976")
    url = f"/v1/accounts/{ada.account_id}"
    theirs = await client.put(url, json={"tax_id": "DE999999999"}, headers=ada.headers)
    assert theirs.status_code == 200, "his own, where nothing hangs on it"
    await client.put(f"{url}/tax-treatment", json={"treatment": "reverse_charge"}, headers=admin_headers)
    for headers, wish, code in (
        (ada.headers, None, "read_only"),
        (ada.headers, "DE136695976", "read_only"),
        (admin_headers, None, "tax_id_required"),
    ):
        refused = await client.put(url, json={"tax_id": wish}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, code)
        assert refused.json()["details"].keys() == {"tax_id"}
    shown = (await client.get(url, headers=ada.headers)).json()["data"]
    assert shown["tax_id"] == "DE999999999"
    for headers, change in (
        (ada.headers, {**shown, "name": "B"}),
        (admin_headers, {"tax_id": "DE136695976"}),
    ):
        assert (await client.put(url, json=change, headers=headers)).status_code == 200
    await client.put(f"{url}/tax-treatment", json={"treatment": "taxable"}, headers=admin_headers)
    assert (await client.put(url, json={"tax_id": None}, headers=ada.headers)).status_code == 200
