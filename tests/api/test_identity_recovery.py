"""Changing a password, forgetting it, and the letter that helps."""

import asyncio
import re
from email import message_from_bytes, policy
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from support import PASSWORD, bearer, database_of, make_settings, make_user, serving

from tallystick.apps import chores
from tallystick.apps.subscription_service import create_app
from tallystick.identity import recovery
from tallystick.identity.recovery import Sender
from tallystick.identity.startup import letter_sender
from tallystick.kernel.actor import system_actor
from tallystick.platform.mailer import FileMailer, Mail

EMAIL = "user@example.com"
NEW = "another long password"


async def member(app: FastAPI, email: str = EMAIL) -> int:
    hashed = await app.state.identity.hasher.hash(PASSWORD)
    return (await make_user(app, "finance", email=email, password_hash=hashed)).id


async def log_in(client: httpx.AsyncClient, password: str = PASSWORD, email: str = EMAIL) -> httpx.Response:
    return await client.post("/v1/auth/login", json={"email": email, "password": password})


async def grant(client: httpx.AsyncClient) -> dict[str, Any]:
    data: dict[str, Any] = (await log_in(client)).json()["data"]
    return data


def header(granted: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {granted['access_token']}"}


async def change(
    client: httpx.AsyncClient, headers: dict[str, str], current: Any = PASSWORD, new: Any = NEW
) -> httpx.Response:
    body = {"current_password": current, "new_password": new}
    return await client.put("/v1/auth/password", json=body, headers=headers)


async def forgot(client: httpx.AsyncClient, email: Any = EMAIL) -> httpx.Response:
    return await client.post("/v1/auth/password/forgot", json={"email": email})


async def reset(client: httpx.AsyncClient, token: Any, new: Any = NEW, **headers: str) -> httpx.Response:
    body = {"token": token, "new_password": new}
    return await client.post("/v1/auth/password/reset", json=body, headers=headers)


async def sent(app: FastAPI, sender: Sender | None = None) -> list[str]:
    """Sends all that is due; the texts of all letters there are, oldest first."""
    chosen = sender or letter_sender(app.state.settings)
    while await recovery.send_one(database_of(app), chosen):
        pass
    return letters(app.state.settings.data_dir / "mail")


def letters(folder: Path) -> list[str]:
    return [
        letter_text(path) for path in sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    ]


def letter_text(path: Path) -> str:
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert message["To"] == EMAIL
    body = message.get_body()
    assert body is not None
    text: str = body.get_content()
    return text


def token_in(text: str) -> str:
    found = re.search(r"#token=([A-Za-z0-9_-]{43})\n", text)
    assert found is not None, text
    assert text.count(found[1]) == 2, "in the link, and by itself"
    return found[1]


async def test_a_new_password_ends_the_other_sessions(app: FastAPI, client: httpx.AsyncClient) -> None:
    user_id = await member(app)
    mine, other = await grant(client), await grant(client)
    for each in (mine, other):
        assert (await client.get("/v1/auth/me", headers=header(each))).status_code == 200
    answer = await change(client, header(mine))
    assert (answer.status_code, answer.json()["data"]) == (200, {"sessions_ended": 1})
    assert (await client.get("/v1/auth/me", headers=header(mine))).status_code == 200
    assert (await client.get("/v1/auth/me", headers=header(other))).json()["code"] == "invalid_token"
    for each, status in ((mine, 200), (other, 401)):
        renewed = await client.post("/v1/auth/refresh", json={"refresh_token": each["refresh_token"]})
        assert renewed.status_code == status
    assert (await log_in(client)).status_code == 401
    assert (await log_in(client, NEW)).status_code == 200
    async with database_of(app).read() as session:
        row = await session.fetchrow(
            "SELECT object_id, after::text AS after FROM audit_log WHERE action = 'user.password_changed'"
        )
    assert row is not None
    assert row["object_id"] == str(user_id)
    assert NEW not in row["after"]


@pytest.mark.parametrize(
    ("current", "new", "code", "field"),
    [
        ("wrong password", NEW, "wrong_password", "current_password"),
        ("", NEW, "wrong_password", "current_password"),
        ("x" * 5000, NEW, "wrong_password", "current_password"),
        (None, NEW, "validation_failed", "current_password"),
        (PASSWORD, "short", "validation_failed", "new_password"),
        (PASSWORD, "x" * 1025, "validation_failed", "new_password"),
        (PASSWORD, "passwordpassword", "weak_password", "password"),
        (PASSWORD, EMAIL, "weak_password", "password"),
        (PASSWORD, 123456789012, "validation_failed", "new_password"),
    ],
)
async def test_changes_that_are_refused(
    app: FastAPI, client: httpx.AsyncClient, current: Any, new: Any, code: str, field: str
) -> None:
    await member(app)
    mine = await grant(client)
    answer = await change(client, header(mine), current, new)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert not answer.json()["details"][field].startswith(field)
    assert PASSWORD not in answer.text
    assert (await log_in(client)).status_code == 200


async def test_a_stolen_token_is_no_licence_to_try_passwords(database_url: str, tmp_path: Path) -> None:
    app = create_app(make_settings(database_url, tmp_path, rate_limit_login=3))
    async with serving(app) as client:
        await member(app)
        mine = await grant(client)
        statuses = [(await change(client, header(mine), f"guess {n}")).status_code for n in range(4)]
        assert statuses == [422, 422, 422, 429]


async def test_two_changes_at_once(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Both knew the current password; the second's is not the current one any more."""
    await member(app)
    mine = await grant(client)
    answers = await asyncio.gather(*(change(client, header(mine), new=f"{NEW} {n}") for n in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]


async def test_a_key_has_no_password(app: FastAPI, client: httpx.AsyncClient, service_key: Any) -> None:
    answer = await change(client, await service_key(["usage:write"]))
    assert answer.status_code == 403


async def test_a_letter_and_a_new_password(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    before = await grant(client)
    answer = await forgot(client, "USER@example.com")
    assert answer.status_code == 202
    (text,) = await sent(app)
    assert "http://localhost:8001/reset-password#token=" in text
    assert "30 minutes" in text
    token = token_in(text)
    done = await reset(client, token)
    assert (done.status_code, done.json()["data"]) == (200, None)
    assert (await log_in(client)).status_code == 401
    assert (await log_in(client, NEW)).status_code == 200
    assert (await client.get("/v1/auth/me", headers=header(before))).status_code == 401, "all sessions end"
    again = await reset(client, token, "yet another password")
    assert (again.status_code, again.json()["code"]) == (422, "reset_token_invalid")
    assert (await log_in(client, NEW)).status_code == 200
    async with database_of(app).read() as session:
        row = await session.fetchrow("SELECT token_hash, email FROM password_resets")
        actions = await session.fetch(
            "SELECT action FROM audit_log WHERE action LIKE 'user.password%' ORDER BY id"
        )
    assert row is not None
    assert row["email"] is None
    assert token.encode() not in row["token_hash"]
    assert [each["action"] for each in actions] == ["user.password_reset_sent", "user.password_reset"]


async def test_the_answer_never_says_whether_an_address_exists(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    await member(app)
    closed = await make_user(app, "support", email="closed@example.com")
    async with database_of(app).write() as session:
        await session.execute("UPDATE users SET status = 'disabled' WHERE id = $1", closed.id)
    bodies, headers = set(), set()
    for email in (EMAIL, "nobody@example.com", "closed@example.com"):
        answer = await forgot(client, email)
        assert answer.status_code == 202
        bodies.add((answer.json()["message"], str(answer.json()["data"])))
        headers.add(tuple(sorted(name for name in answer.headers)))
    assert (len(bodies), len(headers)) == (1, 1)
    assert len(await sent(app)) == 1
    async with database_of(app).read() as session:
        left = await session.fetch("SELECT email, user_id FROM password_resets")
    assert [(row["email"], row["user_id"] is None) for row in left] == [(None, False)], (
        "strangers' addresses are forgotten"
    )


async def test_asking_does_the_same_work_for_every_address(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    spent: dict[str, list[float]] = {EMAIL: [], "nobody@example.com": []}
    for _ in range(40):
        for email, times in spent.items():
            started = perf_counter()
            assert (await forgot(client, email)).status_code == 202
            times.append(perf_counter() - started)
    known, unknown = (median(times) for times in spent.values())
    assert 0.5 < known / unknown < 2
    async with database_of(app).read() as session:
        rows = await session.fetch(
            "SELECT email, count(*) AS n FROM password_resets WHERE user_id IS NULL GROUP BY 1"
        )
    assert {row["email"]: row["n"] for row in rows} == {EMAIL: 40, "nobody@example.com": 40}


async def test_five_letters_an_hour(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    for _ in range(8):
        assert (await forgot(client)).status_code == 202
    assert len(await sent(app)) == 5


async def test_one_used_letter_ends_the_others(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    for _ in range(2):
        await forgot(client)
    first, second = (token_in(text) for text in await sent(app))
    assert first != second
    assert (await reset(client, second)).status_code == 200
    assert (await reset(client, first, "yet another password")).status_code == 422


async def test_a_change_of_password_ends_letters(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    await forgot(client)
    (text,) = await sent(app)
    assert (await change(client, header(await grant(client)))).status_code == 200
    assert (await reset(client, token_in(text), "yet another password")).status_code == 422


async def test_a_letter_grows_old(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    await forgot(client)
    (text,) = await sent(app)
    async with database_of(app).write() as session:
        await session.execute("UPDATE password_resets SET expires_at = now() - interval '1 second'")
    assert (await reset(client, token_in(text))).json()["code"] == "reset_token_invalid"
    async with database_of(app).write() as session:
        assert await recovery.forget_old(session) == 0
        await session.execute("UPDATE password_resets SET expires_at = now() - interval '25 hours'")
        assert await recovery.forget_old(session) == 1


async def test_a_weak_password_does_not_use_the_letter_up(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    await forgot(client)
    token = token_in((await sent(app))[0])
    for weak in ("passwordpassword", EMAIL, "short"):
        answer = await reset(client, token, weak)
        assert answer.status_code == 422
        assert answer.json()["code"] in ("weak_password", "validation_failed")
    assert (await reset(client, token)).status_code == 200


@pytest.mark.parametrize("wrong", ["", "x", "A" * 43, "é" * 43, "x" * 5000, None, 7])
async def test_what_is_no_reset_token(app: FastAPI, client: httpx.AsyncClient, wrong: Any) -> None:
    await member(app)
    answer = await reset(client, wrong)
    assert answer.status_code == 422
    told = answer.json()["details"]["token"]
    assert not told.startswith("token")


async def test_ten_resets_at_once_with_one_token(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    await forgot(client)
    token = token_in((await sent(app))[0])
    answers = await asyncio.gather(*(reset(client, token, f"{NEW} {n}") for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 9
    (winner,) = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert (await log_in(client, f"{NEW} {winner}")).status_code == 200


async def test_an_erased_user_gets_no_letter_and_uses_none(app: FastAPI, client: httpx.AsyncClient) -> None:
    from tallystick.identity import service

    hashed = await app.state.identity.hasher.hash(PASSWORD)
    await make_user(app, "customer", email=EMAIL, account_no=5, account_id="acc_5", password_hash=hashed)
    await forgot(client)
    token = token_in((await sent(app))[0])
    await forgot(client)
    async with database_of(app).write() as session:
        await service.erase_users_of(session, system_actor("tests"), 5)
    assert (await reset(client, token)).status_code == 422
    assert len(await sent(app)) == 1
    async with database_of(app).read() as session:
        assert await session.fetchval("SELECT count(*) FROM password_resets") == 0


class Dying:
    """A mailer whose process dies at a certain moment."""

    def __init__(self, folder: Path, *, written: bool) -> None:
        self.inner, self.written = FileMailer(folder), written

    def send(self, mail: Mail) -> None:
        if self.written:
            self.inner.send(mail)
        raise KeyboardInterrupt


@pytest.mark.parametrize("written", [True, False])
async def test_a_crash_loses_no_letter_and_sends_none_twice(
    app: FastAPI, client: httpx.AsyncClient, written: bool
) -> None:
    """The process dies with the letter written, or not yet; the next round sends the same letter, and its token counts."""
    await member(app)
    await forgot(client)
    plain = letter_sender(app.state.settings)
    dying = Sender(
        Dying(app.state.settings.data_dir / "mail", written=written), plain.key, plain.seconds, plain.page
    )
    with pytest.raises(KeyboardInterrupt):
        await recovery.send_one(database_of(app), dying)
    assert len(list((app.state.settings.data_dir / "mail").glob("*"))) == written
    (text,) = await sent(app)
    assert (await reset(client, token_in(text))).status_code == 200


async def test_a_folder_that_cannot_be_written_delays_one_letter_not_the_others(
    app: FastAPI, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    await member(app)
    await forgot(client)
    plain = letter_sender(app.state.settings)
    (tmp_path / "file").write_text("no folder")
    broken = Sender(FileMailer(tmp_path / "file"), plain.key, plain.seconds, plain.page)
    assert await recovery.send_one(database_of(app), broken)
    assert not await recovery.send_one(database_of(app), broken), "not before its time"
    await forgot(client)
    assert len(await sent(app)) == 1, "the second letter does not wait for the first"
    async with database_of(app).write() as session:
        row = await session.fetchrow(
            "SELECT attempts, next_try_at - now() AS wait FROM password_resets WHERE sent_at IS NULL"
        )
        await session.execute("UPDATE password_resets SET next_try_at = now() WHERE sent_at IS NULL")
    assert row is not None
    assert row["attempts"] == 1
    assert 3 < row["wait"].total_seconds() <= 10
    assert len(await sent(app)) == 2


async def test_two_senders_send_each_letter_once(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    for _ in range(4):
        await forgot(client)
    count: list[str] = []

    class Counting:
        def send(self, mail: Mail) -> None:
            count.append(mail.key)

    plain = letter_sender(app.state.settings)
    sender = Sender(Counting(), plain.key, plain.seconds, None)

    async def one() -> None:
        while await recovery.send_one(database_of(app), sender):
            pass

    await asyncio.gather(one(), one(), one())
    assert (len(count), len(set(count))) == (4, 4)


async def test_the_background_process_sends(app: FastAPI, client: httpx.AsyncClient) -> None:
    await member(app)
    await forgot(client)
    (step,) = [
        step for name, step, _ in chores.all_chores(database_of(app), app.state.settings) if name == "letters"
    ]
    assert await step()
    assert not await step()
    (path,) = (app.state.settings.data_dir / "mail").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600, "a letter is for its reader"
    assert "#token=" in path.read_text(), "a link stays one line"


@pytest.mark.parametrize(
    ("environment", "page", "link"),
    [
        ("production", "https://bill.example.com/new?x=1", "https://bill.example.com/new?x=1#token="),
        ("staging", None, None),
    ],
)
async def test_the_link_is_built_from_a_setting(
    app: FastAPI, client: httpx.AsyncClient, environment: str, page: str | None, link: str | None
) -> None:
    await member(app)
    await forgot(client)
    settings = make_settings(
        app.state.settings.database_url,
        app.state.settings.data_dir,
        environment=environment,
        password_reset_url=page,
    )
    (text,) = await sent(app, letter_sender(settings))
    assert (link in text) if link else ("http" not in text and "/v1/auth/password/reset" in text)


async def test_resets_are_limited_by_address(database_url: str, tmp_path: Path) -> None:
    app = create_app(make_settings(database_url, tmp_path, rate_limit_reset=3))
    async with serving(app) as client:
        statuses = [(await forgot(client, f"u{n}@example.com")).status_code for n in range(4)]
        assert statuses == [202, 202, 202, 429]
        assert (await reset(client, "x" * 43)).status_code == 429
        headers = bearer(app, await make_user(app, "admin"))
        body = {"email": EMAIL}
        signed_in = await client.post("/v1/auth/password/forgot", json=body, headers=headers)
        assert signed_in.status_code == 429, "who is signed in is no exception"


async def test_without_redis_the_limits_are_stricter(database_url: str, tmp_path: Path) -> None:
    """Login, token form, registration, reset: a bucket of this process, half as large (CONTRACT §2)."""
    app = create_app(
        make_settings(
            database_url, tmp_path, redis_url="redis://127.0.0.1:1", rate_limit_login=6, rate_limit_register=6, rate_limit_reset=6,
        )
    )  # fmt: skip
    form = {"grant_type": "password", "username": "a@example.com", "password": "x"}
    async with serving(app) as client:
        doors: dict[str, Any] = {
            "login": lambda: log_in(client, "x"),
            "token": lambda: client.post("/v1/auth/token", data=form),
            "register": lambda: client.post("/v1/auth/register", json={"email": "x"}),
            "forgot": lambda: forgot(client),
        }
        for name, door in doors.items():
            statuses = [(await door()).status_code for _ in range(4)]
            assert 429 not in statuses[:3], name
            assert statuses[3] == 429, name
        assert app.state.limiter.failures >= 1


async def test_odd_addresses(client: httpx.AsyncClient) -> None:
    for email in (
        "",
        "x",
        "a@b",
        "x" * 300 + "@example.com",
        None,
        7,
        "a\x00@example.com",
        "a@example.com\r\nBcc: b@example.com",
    ):
        answer = await forgot(client, email)
        assert answer.status_code in (400, 422), email
        assert answer.status_code == 400 or "email" in answer.json()["details"]
