"""A forgotten password: asked for, told by letter, replaced.

Asking writes down the address as typed and looks nobody up, so that it answers and costs the same for every address. The background
process finds the user, opens a token and writes the letter in one transaction that holds the row. The token is made of the row's id
under a key of the house: it is nowhere stored but hashed, and a letter whose sending was cut short is the same letter when it is
written again. Mailers send a letter once per key, so a crash at any place loses none and sends none twice.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import structlog

from tallystick.audit import service as audit
from tallystick.identity import queries, repository, tokens
from tallystick.identity.domain import RESETS_AN_HOUR, ResetTokenInvalid, User
from tallystick.kernel.actor import Actor, system_actor
from tallystick.platform.db import Database, Record, Session
from tallystick.platform.mailer import Mail, Mailer

log = structlog.get_logger("letters")


@dataclass(frozen=True, slots=True)
class Sender:
    """What letters need: who sends them, the key that tokens are made with, how long these live, the page that takes them (or None)."""

    mailer: Mailer
    key: bytes
    seconds: int
    page: str | None


async def ask(session: Session, reset_id: UUID, email: str, request_id: str) -> None:
    """Notes that someone wants a new password for this address, whoever has it or not. A repeat asks for another letter."""
    await repository.insert_reset(session, reset_id, email, request_id)


async def send_one(database: Database, sender: Sender) -> bool:
    """Sends one letter that is due; False where there is none. A letter that cannot be written is tried again later, ever rarer."""
    asked: Record | None = None
    try:
        async with database.write() as session:
            asked = await repository.claim_reset(session)
            if asked is None:
                return False
            await _answer(session, asked, sender)
    except Exception as error:  # whatever is wrong with this letter must not hold up the next
        if asked is None:
            raise
        async with database.write() as session:
            attempts = await repository.postpone_reset(session, asked["id"])
        log.error("a letter could not be written", letter=str(asked["id"]), attempts=attempts, exc_info=error)
    return True


async def _answer(session: Session, asked: Record, sender: Sender) -> None:
    found = await queries.active(session, asked["email"])
    if found is None or await queries.letters_within_an_hour(session, found.id) >= RESETS_AN_HOUR:
        await repository.drop_reset(session, asked["id"])
        return
    token = tokens.derived_secret(sender.key, f"password reset {asked['id']}")
    await repository.open_reset(session, asked["id"], found.id, tokens.secret_hash(token), sender.seconds)
    await audit.record(
        session, system_actor("letters", request_id=asked["request_id"], entity_id=found.entity_id),
        "user.password_reset_sent", "user", str(found.id), None, {"letter": str(asked["id"])},
    )  # fmt: skip
    await asyncio.to_thread(sender.mailer.send, letter(asked["id"], found, token, sender))


def letter(reset_id: UUID, user: User, token: str, sender: Sender) -> Mail:
    """The letter with the link. The token follows `#`, which browsers keep to themselves: no log and no Referer gets it."""
    link = (
        f"Open this page to choose a new one:\n\n    {sender.page}#token={token}\n\n" if sender.page else ""
    )
    text = (
        f"Hello {user.first_name},\n\n"
        f"someone asked for a new password for this address, {user.email}.\n\n"
        f"{link}"
        "Or send this code, with the new password, to POST /v1/auth/password/reset:\n\n"
        f"    {token}\n\n"
        f"It works once, within {sender.seconds // 60} minutes. If it was not you, do nothing: your password stays as it is.\n"
    )
    return Mail(f"password-reset-{reset_id}", user.email, "Your new password", text)


async def reset(session: Session, actor: Actor, *, token: str, new_hash: str) -> int:
    """Uses the token up and sets the password; all sessions of the user end. His id. Raises `ResetTokenInvalid`, also upon a repeat."""
    user_id = await repository.use_reset(session, tokens.secret_hash(token))
    if user_id is None:
        raise ResetTokenInvalid(details={"token": ResetTokenInvalid.problem})
    await repository.set_password(session, user_id, new_hash)
    await repository.end_sessions(session, user_id, "password")
    await repository.close_resets(session, user_id)
    await audit.record(session, actor, "user.password_reset", "user", str(user_id))
    return user_id


async def forget_old(session: Session) -> int:
    """Housekeeping; how many went."""
    return await repository.delete_old_resets(session)
