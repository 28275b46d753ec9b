"""Renewing and ending a sign-in over HTTP, and on two connections at once."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from support import PASSWORD, bearer, database_of, make_user

from tallystick.identity import queries, repository, service, sessions, tokens
from tallystick.identity.domain import BadCredentials
from tallystick.identity.service import Issuing
from tallystick.kernel.actor import Actor
from tallystick.platform.edge import new_uuid, system_now

EMAIL = "user@example.com"


async def signed_in(app: FastAPI, client: httpx.AsyncClient) -> dict[str, Any]:
    """A member of staff with a real password, and the answer of his login."""
    async with database_of(app).read() as session:
        there = await queries.by_email(session, EMAIL)
    if there is None:
        hashed = await app.state.identity.hasher.hash(PASSWORD)
        await make_user(app, "finance", email=EMAIL, password_hash=hashed)
    answer = await client.post("/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def renew(client: httpx.AsyncClient, token: Any, **headers: str) -> httpx.Response:
    return await client.post("/v1/auth/refresh", json={"refresh_token": token}, headers=headers)


async def me(client: httpx.AsyncClient, grant: dict[str, Any]) -> httpx.Response:
    return await client.get("/v1/auth/me", headers=header(grant))


def header(grant: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {grant['access_token']}"}


async def execute(app: FastAPI, statement: str, *arguments: object) -> None:
    async with database_of(app).write() as session:
        await session.execute(statement, *arguments)


async def test_a_renewal_is_a_grant_like_a_login(app: FastAPI, client: httpx.AsyncClient) -> None:
    first = await signed_in(app, client)
    answer = await renew(client, first["refresh_token"])
    assert answer.status_code == 200
    second = answer.json()["data"]
    assert set(second) == set(first)
    assert (second["user_id"], second["email"], second["expires_in"]) == (first["user_id"], EMAIL, 3600)
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert answer.headers["cache-control"] == "no-store"
    for grant in (first, second):
        assert (await me(client, grant)).status_code == 200
    third = await renew(client, second["refresh_token"])
    assert third.status_code == 200
    async with database_of(app).read() as session:
        stored = await session.fetch(
            "SELECT refresh_hash AS hash FROM sessions UNION ALL SELECT token_hash FROM spent_refresh_tokens"
        )
    assert len(stored) == 3
    assert {len(row["hash"]) for row in stored} == {32}, "hashed, the spent ones too"


async def test_a_token_used_twice_ends_the_session_for_both(app: FastAPI, client: httpx.AsyncClient) -> None:
    first = await signed_in(app, client)
    other = await signed_in(app, client)
    second = (await renew(client, first["refresh_token"])).json()["data"]
    stolen = await renew(client, first["refresh_token"])
    assert (stolen.status_code, stolen.json()["error"], stolen.json()["code"]) == (
        401,
        "Invalid token",
        "invalid_token",
    )
    assert (await renew(client, second["refresh_token"])).status_code == 401
    app.state.identity.known.clear()  # five seconds later
    for grant in (first, second):
        assert (await me(client, grant)).json()["code"] == "invalid_token"
    assert (await me(client, other)).status_code == 200, "another sign-in of the same user is another matter"
    async with database_of(app).read() as session:
        noted = await session.fetch("SELECT action FROM audit_log WHERE action LIKE 'session.%'")
        reason = await session.fetch("SELECT revoked_for FROM sessions WHERE revoked_at IS NOT NULL")
    assert [row["action"] for row in noted] == ["session.refresh_token_reused"], (
        "once, however often it is shown"
    )
    assert [row["revoked_for"] for row in reason] == ["reuse"]


async def test_an_old_token_of_a_long_chain_is_recognised(app: FastAPI, client: httpx.AsyncClient) -> None:
    token = first = (await signed_in(app, client))["refresh_token"]
    for _ in range(5):
        token = (await renew(client, token)).json()["data"]["refresh_token"]
    assert (await renew(client, first)).status_code == 401
    assert (await renew(client, token)).status_code == 401


async def test_twelve_at_once_with_one_token(app: FastAPI, client: httpx.AsyncClient) -> None:
    """At most one gets a grant, and what it got renews nothing any more."""
    grant = await signed_in(app, client)
    answers = await asyncio.gather(*(renew(client, grant["refresh_token"]) for _ in range(12)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert {answer.status_code for answer in answers} == {200, 401}
    assert (await renew(client, won[0].json()["data"]["refresh_token"])).status_code == 401


async def test_the_second_of_two_connections_waits_and_loses(app: FastAPI, client: httpx.AsyncClient) -> None:
    token = (await signed_in(app, client))["refresh_token"]
    nobody = Actor("anonymous", "", "anonymous")

    def issuing() -> Issuing:
        return Issuing(app.state.identity.key, system_now(), 60, new_uuid(), tokens.new_secret())

    async def second() -> Any:
        async with database_of(app).write() as session:
            return await sessions.renew(session, nobody, token, issuing())

    async with database_of(app).write() as session:
        first = await sessions.renew(session, nobody, token, issuing())
        waiting = asyncio.create_task(second())
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done, "it must wait for the row"
    assert first is not None
    assert await waiting is None
    assert (await renew(client, first.refresh_token)).status_code == 401


async def test_a_lost_answer_asked_for_again_ends_nothing(app: FastAPI, client: httpx.AsyncClient) -> None:
    token = (await signed_in(app, client))["refresh_token"]
    first = await renew(client, token, **{"Idempotency-Key": "one"})
    again = await renew(client, token, **{"Idempotency-Key": "one"})
    assert (first.status_code, again.status_code, again.json()["code"]) == (200, 409, "already_issued")
    assert (await renew(client, first.json()["data"]["refresh_token"])).status_code == 200
    reused = await renew(client, token, **{"Idempotency-Key": "two"})
    assert reused.status_code == 401
    assert (await renew(client, token, **{"Idempotency-Key": "two"})).status_code == 401, "a 401 is not kept"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET expires_at = now() - interval '1 second'",
        "UPDATE sessions SET used_at = now() - interval '15 days'",
        "UPDATE sessions SET revoked_at = now(), revoked_for = 'logout'",
        "UPDATE users SET status = 'disabled'",
    ],
)
async def test_what_is_over_is_not_renewed(app: FastAPI, client: httpx.AsyncClient, change: str) -> None:
    token = (await signed_in(app, client))["refresh_token"]
    await execute(app, change)
    assert (await renew(client, token)).status_code == 401


@pytest.mark.parametrize("wrong", ["", "x", "A" * 43, "é", "\x00", "x" * 5000, None, 7, ["a"]])
async def test_what_is_no_refresh_token(app: FastAPI, client: httpx.AsyncClient, wrong: Any) -> None:
    answer = await renew(client, wrong)
    assert answer.status_code in (400, 401, 422), answer.text
    assert answer.status_code != 422 or "refresh_token" in answer.json()["details"]


async def test_an_access_token_renews_nothing(app: FastAPI, client: httpx.AsyncClient) -> None:
    access = (await signed_in(app, client))["access_token"]
    assert (await renew(client, access)).status_code in (401, 422)


async def test_an_expired_access_token_beside_it_does_not_hinder(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    token = (await signed_in(app, client))["refresh_token"]
    assert (await renew(client, token, Authorization="Bearer a.b.c")).status_code == 200


async def test_logout_ends_this_session(app: FastAPI, client: httpx.AsyncClient) -> None:
    mine, other = await signed_in(app, client), await signed_in(app, client)
    assert (await me(client, mine)).status_code == 200
    answer = await client.post("/v1/auth/logout", headers=header(mine))
    assert (answer.status_code, answer.json()["data"]) == (200, {"sessions_ended": 1})
    assert (await me(client, mine)).json()["code"] == "invalid_token", "at once, where it was ended"
    assert (await renew(client, mine["refresh_token"])).status_code == 401
    assert (await me(client, other)).status_code == 200
    assert (await renew(client, other["refresh_token"])).status_code == 200
    assert (await client.post("/v1/auth/logout", headers=header(mine))).status_code == 401


async def test_logout_everywhere(app: FastAPI, client: httpx.AsyncClient) -> None:
    mine, other = await signed_in(app, client), await signed_in(app, client)
    async with database_of(app).read() as session:
        standing = await queries.standing(session, mine["user_id"])
    assert standing is not None
    loose = bearer(app, standing)
    assert (await client.get("/v1/auth/me", headers=loose)).status_code == 200
    answer = await client.post("/v1/auth/logout", json={"all": True}, headers=header(mine))
    assert answer.json()["data"] == {"sessions_ended": 2}
    for grant in (mine, other):
        assert (await me(client, grant)).status_code == 401
        assert (await renew(client, grant["refresh_token"])).status_code == 401
    assert (await client.get("/v1/auth/me", headers=loose)).status_code == 401, (
        "a token without a session, too"
    )
    assert (await me(client, await signed_in(app, client))).status_code == 200


async def test_logout_by_refresh_token_reaches_only_ones_own(app: FastAPI, client: httpx.AsyncClient) -> None:
    mine = await signed_in(app, client)
    stranger = bearer(app, await make_user(app, "support"))
    path = "/v1/auth/logout"
    other = await client.post(path, json={"refresh_token": mine["refresh_token"]}, headers=stranger)
    unknown = await client.post(path, json={"refresh_token": "x" * 43}, headers=stranger)
    assert (
        (other.status_code, other.json()["data"])
        == (unknown.status_code, unknown.json()["data"])
        == (200, {"sessions_ended": 0})
    )
    assert (await renew(client, mine["refresh_token"])).status_code == 200
    nothing = await client.post(path, headers=stranger)
    assert (nothing.status_code, nothing.json()["code"]) == (409, "no_session")
    assert (await client.post(path, json={"everything": True}, headers=stranger)).status_code == 422


async def test_no_sign_in_slips_through_behind_a_new_password(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    """The password was looked at, then changed by another, then the session is to be opened."""
    grant = await signed_in(app, client)
    async with database_of(app).read() as session:
        user = await queries.user(session, grant["user_id"])
    issuing = Issuing(app.state.identity.key, system_now(), 60, new_uuid(), tokens.new_secret())

    async def late() -> Any:
        async with database_of(app).write() as session:
            return await service.sign_in(session, user, issuing)

    async with database_of(app).write() as session:
        await repository.set_password(session, user.id, "$2b$04$x")
        waiting = asyncio.create_task(late())
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done, "it must wait for the change"
        await repository.end_sessions(session, user.id, "password")
    with pytest.raises(BadCredentials):
        await waiting
    async with database_of(app).read() as session:
        assert await session.fetchval("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == 0


async def test_a_session_of_another_user_gives_no_life(app: FastAPI, client: httpx.AsyncClient) -> None:
    grant = await signed_in(app, client)
    async with database_of(app).read() as session:
        session_id = await queries.session_of(session, tokens.secret_hash(grant["refresh_token"]))
    user = await make_user(app, "admin")
    made = tokens.issue(
        app.state.identity.key, user, session_id, now=system_now(), seconds=60, jti=uuid4().hex
    )
    answer = await client.get("/v1/auth/me", headers={"Authorization": f"Bearer {made}"})
    assert answer.json()["code"] == "invalid_token"


async def test_expired_sessions_go_with_their_spent_tokens(app: FastAPI, client: httpx.AsyncClient) -> None:
    token = (await signed_in(app, client))["refresh_token"]
    await renew(client, token)
    await execute(app, "UPDATE sessions SET expires_at = now() - interval '1 second'")
    async with database_of(app).write() as session:
        assert await service.forget_expired_sessions(session) == 1
        assert await session.fetchval("SELECT count(*) FROM spent_refresh_tokens") == 0
