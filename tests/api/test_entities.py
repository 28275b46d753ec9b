"""The selling company's settings over HTTP."""

from typing import Any

import httpx
import pytest

Headers = dict[str, str]


async def test_settings_are_shown_changed_and_kept(
    client: httpx.AsyncClient, admin_headers: Headers, support_headers: Headers
) -> None:
    listed = (await client.get("/v1/entities", headers=support_headers)).json()["data"]
    assert [(each["id"], each["is_test"]) for each in listed] == [(1, False), (2, True)]
    wish = {
        "name": "Tally GmbH",
        "timezone": "Europe/Berlin",
        "country": "DE",
        "rounding": "half_even",
        "tax_point": "issue_date",
    }
    put = await client.put("/v1/entities/1", json=wish, headers=admin_headers)
    assert (put.status_code, put.headers["etag"]) == (200, '"2"')
    assert {name: put.json()["data"][name] for name in wish} == wish
    again = await client.put("/v1/entities/1", json=put.json()["data"], headers=admin_headers)
    assert again.headers["etag"] == '"2"'
    stale = await client.put(
        "/v1/entities/1", json={"name": "x"}, headers={**admin_headers, "If-Match": '"1"'}
    )
    assert stale.status_code == 412
    assert (await client.put("/v1/entities/9", json={"name": "x"}, headers=admin_headers)).status_code == 404
    assert (
        await client.put("/v1/entities/1", json={"name": "x"}, headers=support_headers)
    ).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"), ({"timezone": "../etc/passwd"}, "timezone"), ({"currency": "XXQ"}, "currency"),
        ({"rounding": "nearest"}, "rounding"), ({"usage_close_delay_seconds": -1}, "usage_close_delay_seconds"),
        ({"net_terms_days": 99999}, "net_terms_days"), ({"country": "Germany"}, "country"), ({"is_test": True}, "is_test"),
        ({"moon": 1}, "moon"), ({"prices_include_tax": "maybe"}, "prices_include_tax"), ({"name": None}, "name"),
    ],
)  # fmt: skip
async def test_a_bad_setting_is_named_and_nothing_changes(
    client: httpx.AsyncClient, admin_headers: Headers, body: dict[str, Any], field: str
) -> None:
    before = (await client.get("/v1/entities/1", headers=admin_headers)).json()["data"]
    answer = await client.put("/v1/entities/1", json=body, headers=admin_headers)
    assert (answer.status_code, set(answer.json()["details"])) == (422, {field})
    assert (await client.get("/v1/entities/1", headers=admin_headers)).json()["data"] == before
