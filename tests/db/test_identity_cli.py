"""`tallystick user`, `token` and `audit` as a person runs them."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest

from tallystick.audit import places, service
from tallystick.cli.user import ensure_at_start
from tallystick.identity import queries
from tallystick.identity.passwords import Hasher
from tallystick.identity.startup import access_key
from tallystick.platform.db import Database
from tallystick.platform.edge import system_now
from tallystick.platform.settings import Settings

PASSWORD = "SecurePassword123!"


@dataclass(frozen=True)
class Ran:
    status: int | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Program:
    url: str
    folder: Path

    async def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tallystick.cli.main", *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "DATABASE_URL": self.url, "TALLYSTICK_DATA_DIR": str(self.folder),
                 "TALLYSTICK_BCRYPT_COST": "4", **environment},
        )  # fmt: skip
        out, err = await process.communicate(stdin.encode())
        return Ran(process.returncode, out.decode(), err.decode())


@pytest.fixture
def program(database_url: str, tmp_path: Path) -> Program:
    return Program(database_url, tmp_path)


def settings(program: Program, **changes: Any) -> Settings:
    return Settings(**{"database_url": program.url, "data_dir": program.folder, "bcrypt_cost": 4, **changes})


async def fits(database: Database, email: str, password: str) -> bool:
    async with database.read() as session:
        found = await queries.by_email(session, email)
    return found is not None and found[0].role == "admin" and await Hasher(4).check(password, found[1])


async def test_an_admin_is_made_once_with_a_password_shown_once(program: Program, database: Database) -> None:
    made = await program("user", "create-admin", "--email", "Root@Example.com", "--json")
    assert (made.status, made.json["done"], made.json["email"]) == (0, "made", "Root@example.com")
    assert await fits(database, "root@example.com", made.json["password"])
    again = await program(
        "user",
        "create-admin",
        "--email",
        "root@example.com",
        "--password-stdin",
        "--json",
        stdin=PASSWORD + "\n",
    )
    assert again.json == {"user_id": made.json["user_id"], "email": "Root@example.com", "done": "changed"}
    assert await fits(database, "root@example.com", PASSWORD)
    kept = await program(
        "user", "create-admin", "--email", "root@example.com", "--password-stdin", stdin=PASSWORD + "\n"
    )
    assert "kept" in kept.out
    assert PASSWORD not in kept.out + kept.err


async def test_a_bad_admin_is_refused_with_a_sentence(program: Program, database: Database) -> None:
    weak = await program(
        "user", "create-admin", "--email", "a@example.com", "--password-stdin", stdin="short\n"
    )
    assert weak.status == 1
    assert "12 characters" in weak.err
    wrong = await program("user", "create-admin", "--email", "nonsense")
    assert wrong.status == 1
    assert "e-mail address" in wrong.err
    assert (await program("user", "create-admin", "--nonsense")).status == 2
    async with database.read() as session:
        assert not await queries.has_admin(session)


async def test_a_token_is_the_admins_and_is_written_down(program: Program, database: Database) -> None:
    assert (await program("token")).status == 1, "nobody yet"
    made = await program("user", "create-admin", "--json")
    token = await program("token", "--seconds", "60")
    claims = jwt.decode(
        token.out.strip(), access_key(settings(program)).public, algorithms=["EdDSA"], audience="tallystick"
    )
    assert claims["sub"] == str(made.json["user_id"])
    assert claims["exp"] - claims["iat"] == 60
    async with database.read() as session:
        actions = [row["action"] for row in await session.fetch("SELECT action FROM audit_log ORDER BY id")]
    assert actions == ["user.registered", "token.issued"]
    assert (await program("token", "--email", "nobody@example.com")).status == 1


async def test_audit_verify_says_what_it_found(program: Program, database: Database) -> None:
    empty = await program("audit", "verify", "--json")
    assert (empty.status, empty.json["intact"], empty.json["rows"]) == (0, True, 0)
    await program("user", "create-admin")
    tail = await program("audit", "verify")
    assert tail.status == 0
    assert "Not sealed yet: 1 rows from row 1 on" in tail.out
    chosen = settings(program)
    assert await service.seal(database, places.signing_key(chosen), places.folder(chosen), system_now()) == 1
    assert "Intact: 1 rows in 1 blocks." in (await program("audit", "verify")).out
    async with database.write() as session:
        await session.execute("SET LOCAL session_replication_role = 'replica'")
        await session.execute("UPDATE audit_log SET action = 'nothing' WHERE id = 1")
    broken = await program("audit", "verify")
    assert broken.status == 1
    assert "Row 1 of block 1 was changed. First bad row: 1." in broken.out
    as_json = await program("audit", "verify", "--json")
    assert (as_json.status, as_json.json["intact"], as_json.json["problem"]["first_bad_row"]) == (1, False, 1)


async def test_development_is_born_with_an_admin(program: Program, database: Database) -> None:
    line = await ensure_at_start(database, settings(program))
    assert line is not None
    assert line.startswith("admin      admin@example.com, password ")
    assert await fits(database, "admin@example.com", line.split("password ")[1].split(" ")[0])
    assert await ensure_at_start(database, settings(program)) is None


async def test_the_configured_admin_exists_after_a_start_and_stays_signed_in(
    program: Program, database: Database
) -> None:
    chosen = settings(program, admin_email="Boss@Example.com", admin_password=PASSWORD, environment="staging")
    assert await ensure_at_start(database, chosen) == "admin      Boss@example.com (made)"
    assert await ensure_at_start(database, chosen) is None
    async with database.read() as session:
        assert await session.fetchval("SELECT token_version FROM users") == 1
    changed = settings(program, admin_email="boss@example.com", admin_password=PASSWORD + "2")
    assert await ensure_at_start(database, changed) == "admin      Boss@example.com (changed)"
    assert await fits(database, "boss@example.com", PASSWORD + "2")


async def test_elsewhere_nobody_is_made_up(program: Program, database: Database) -> None:
    assert await ensure_at_start(database, settings(program, environment="production")) is None
    async with database.read() as session:
        assert not await queries.has_admin(session)
