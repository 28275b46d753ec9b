"""Users, keys and sessions in the database: uniqueness under races, erasure, invariants."""

import asyncio

import pytest

from tallystick.audit import service as audit
from tallystick.identity import queries, service
from tallystick.identity.domain import EmailTaken, KeyNotFound, User
from tallystick.identity.invariants import INVARIANTS
from tallystick.kernel.actor import Actor, system_actor
from tallystick.kernel.errors import NotFound
from tallystick.platform.db import Database

CLI = system_actor("tests")
HASH = "$2b$04$" + "a" * 53


async def register(database: Database, email: str, account_no: int | None = None) -> User:
    async with database.write() as session:
        return await service.register_user(
            session, CLI, email=email, password_hash=HASH, first_name="Ada", last_name="Lovelace",
            role="finance" if account_no is None else "customer", account_no=account_no,
            account_id=None if account_no is None else f"acc_{account_no}",
        )  # fmt: skip


async def test_twenty_at_once_for_one_address(database: Database) -> None:
    """The index on lower(email) decides, whatever the case they type."""
    spellings = ["user@example.com", "USER@example.com", "User@Example.com", "uSER@example.com"] * 5
    answers = await asyncio.gather(
        *(register(database, email) for email in spellings), return_exceptions=True
    )
    assert sum(isinstance(answer, User) for answer in answers) == 1
    refused = [answer for answer in answers if isinstance(answer, EmailTaken)]
    assert len(refused) == 19
    assert (refused[0].status, refused[0].code) == (409, "email_taken")
    assert "user@" not in f"{refused[0].sentence}{refused[0].details}".lower()
    async with database.read() as session:
        assert await session.fetchval("SELECT count(*) FROM users") == 1
        assert await session.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_the_log_of_a_registration_names_nobody(database: Database) -> None:
    user = await register(database, "grace@example.com")
    async with database.read() as session:
        row = await session.fetchrow("SELECT object_id, after::text AS after FROM audit_log")
    assert row is not None
    assert row["object_id"] == str(user.id)
    assert not any(word in row["after"].lower() for word in ("grace", "lovelace", "example.com"))


async def test_erasure_takes_everything_personal(database: Database) -> None:
    user = await register(database, "ada@example.com", account_no=9)
    other = await register(database, "bob@example.com", account_no=10)
    async with database.write() as session:
        await service.erase_users_of(session, CLI, 9)
    async with database.read() as session:
        with pytest.raises(NotFound):
            await queries.user(session, user.id)
        assert (await queries.user(session, other.id)).email == "bob@example.com"
        standing = await queries.standing(session, user.id)
        keys = await session.fetch("SELECT object_id FROM audit_subject_keys WHERE object_type = 'user'")
    assert standing is not None
    assert (standing.status, standing.token_version) == ("erased", 2)
    assert [row["object_id"] for row in keys] == [str(other.id)]
    await register(database, "ADA@example.com")


async def test_an_admin_is_never_made_of_a_customer(database: Database) -> None:
    await register(database, "ada@example.com", account_no=9)
    async with database.write() as session:
        with pytest.raises(EmailTaken, match="belongs to a customer"):
            await service.ensure_admin(session, CLI, email="Ada@example.com", password_hash=HASH)


async def test_keys_belong_to_their_entity(database: Database) -> None:
    ours, theirs = Actor("user", "1", "admin", entity_id=1), Actor("user", "2", "admin", entity_id=2)
    async with database.write() as session:
        key_id, _ = await service.make_api_key(
            session, ours, key="tsk_" + "x" * 43, name="k", scopes=["usage:write"], expires_at=None
        )
        assert [row.id for row in (await queries.api_keys(session, 1, 10, None)).rows] == [key_id]
        assert (await queries.api_keys(session, 2, 10, None)).rows == []
        with pytest.raises(KeyNotFound):
            await service.revoke_api_key(session, theirs, key_id)
        await service.revoke_api_key(session, ours, key_id)
        with pytest.raises(KeyNotFound):
            await service.revoke_api_key(session, ours, key_id)


async def test_invariants_hold_and_can_break(database: Database) -> None:
    user = await register(database, "ada@example.com")

    async def broken() -> set[str]:
        async with database.read() as session:
            return {name for name, statement in INVARIANTS.items() if await session.fetch(statement)}

    assert await broken() == set()
    async with database.write() as session:
        await session.execute("DELETE FROM credentials WHERE user_id = $1", user.id)
    assert await broken() == {"a living user has a profile and a password"}
    async with database.write() as session:
        await session.execute("UPDATE users SET status = 'erased'")
        await session.execute("DROP INDEX ix_user_profiles_email")
        await session.execute("INSERT INTO users (role) VALUES ('finance')")
        await session.execute(
            "INSERT INTO user_profiles SELECT max(id), 'ADA@example.com', 'A', 'L' FROM users"
        )
        await session.execute(
            "INSERT INTO sessions (id, user_id, refresh_hash, expires_at) VALUES (gen_random_uuid(), $1, 'x', now())",
            user.id,
        )
        await session.execute(
            "INSERT INTO spent_refresh_tokens (token_hash, session_id) SELECT refresh_hash, id FROM sessions"
        )
    assert await broken() == set(INVARIANTS)


async def test_expired_sign_ins_are_swept(database: Database) -> None:
    user = await register(database, "ada@example.com")
    async with database.write() as session:
        await session.execute(
            """
            INSERT INTO sessions (id, user_id, refresh_hash, expires_at)
            SELECT gen_random_uuid(), $1, decode(md5(n::text), 'hex'), now() + make_interval(days => n)
            FROM generate_series(-3, 3) AS n WHERE n <> 0
            """,
            user.id,
        )
        assert await service.forget_expired_sessions(session) == 3
        assert await service.forget_expired_sessions(session) == 0
        assert await session.fetchval("SELECT count(*) FROM sessions") == 3


async def test_what_forgetting_leaves(database: Database) -> None:
    """Erasure changes no row of the log."""
    await register(database, "ada@example.com", account_no=9)
    async with database.write() as session:
        before = await session.fetch("SELECT * FROM audit_log")
        await audit.forget(session, "user", "1")
        assert await session.fetch("SELECT * FROM audit_log") == before
