"""A body that cannot be read: the refusal says why, and keeps its code on every route."""

import httpx
import pytest


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"name": NaN}', "malformed_json"),
        (b'{"name": "a", "metadata": {"x": 1e400}}', "number_out_of_range"),
        (b'{"name": "a", "name": "b"}', "duplicate_key"),
        (b'{"name": "\\u0000"}', "nul_character"),
        (b'{"name": "\xff"}', "malformed_utf8"),
        (b'{"name": ' + b"[" * 1000 + b"]" * 1000 + b"}", "too_deep"),
    ],
)
async def test_the_refusal_says_why(
    client: httpx.AsyncClient, admin_headers: dict[str, str], body: bytes, code: str
) -> None:
    headers = {**admin_headers, "Content-Type": "application/json"}
    for more in ({}, {"Idempotency-Key": "one"}):
        answer = await client.post("/v1/accounts", content=body, headers={**headers, **more})
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text


async def test_another_media_type_is_not_read(
    client: httpx.AsyncClient, admin_headers: dict[str, str]
) -> None:
    headers = {**admin_headers, "Content-Type": "text/plain"}
    answer = await client.post("/v1/accounts", content=b'{"name": "a"}', headers=headers)
    assert answer.status_code == 415, answer.text
