"""Login and me over HTTP."""

import httpx
from fastapi import FastAPI
from support import PASSWORD, make_user


async def member(app: FastAPI, email: str = "user@example.com") -> None:
    await make_user(app, "finance", email=email, password_hash=await app.state.identity.hasher.hash(PASSWORD))


async def test_login_answers_the_contracts_body(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    answer = await client.post("/v1/auth/login", json={"email": "USER@example.com", "password": PASSWORD})
    assert answer.status_code == 200
    body = answer.json()
    assert body["success"] is True
    assert set(body["data"]) == {
        "access_token", "token_type", "expires_in", "user_id", "email", "refresh_token",
    }  # fmt: skip
    assert body["data"]["token_type"] == "bearer"
    assert body["data"]["expires_in"] == 3600
    assert isinstance(body["data"]["user_id"], int)
    assert body["data"]["email"] == "user@example.com"
    me = await client.get("/v1/auth/me/", headers={"Authorization": f"Bearer {body['data']['access_token']}"})
    assert me.status_code == 200
    assert me.json()["data"]["role"] == "finance"
    assert me.json()["data"]["user_id"] == body["data"]["user_id"]
