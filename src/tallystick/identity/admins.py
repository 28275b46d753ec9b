"""The admin that an installation needs before anyone can sign in."""

from dataclasses import dataclass
from typing import Literal

from tallystick.identity import queries, service
from tallystick.identity.domain import User
from tallystick.identity.passwords import Hasher, check_password
from tallystick.kernel.actor import Actor
from tallystick.platform.db import Database

DEFAULT_EMAIL = "admin@example.com"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: the admin was `made`, got role or password (`changed`), or all was as it should be (`kept`)."""

    user: User
    done: Literal["made", "changed", "kept"]


async def ensure(database: Database, hasher: Hasher, actor: Actor, email: str, password: str) -> Outcome:
    """Sees to it that this admin exists with this password. A repeat changes nothing and ends nobody's session.

    Raises `WeakPassword`, and `EmailTaken` where the address is a customer's.
    """
    check_password(password, email)
    async with database.read() as reading:
        found = await queries.by_email(reading, email)
    if (
        found is not None
        and (found[0].role, found[0].status) == ("admin", "active")
        and await hasher.check(password, found[1])
    ):
        return Outcome(found[0], "kept")
    hashed = await hasher.hash(password)
    async with database.write() as session:
        user, made = await service.ensure_admin(session, actor, email=email, password_hash=hashed)
    return Outcome(user, "made" if made else "changed")


async def ensure_first(database: Database, hasher: Hasher, actor: Actor, password: str) -> Outcome | None:
    """Makes `admin@example.com` where nobody can administer the installation; None where somebody can."""
    async with database.read() as reading:
        if await queries.has_admin(reading):
            return None
    return await ensure(database, hasher, actor, DEFAULT_EMAIL, password)
