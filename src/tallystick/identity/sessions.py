"""Commands of a sign-in that is there: renewing it, ending it, changing the password behind it.

A session has one refresh token at a time. Renewing exchanges it; the old one is remembered, and whoever shows it again ends the
session, for then two hold what was given to one (RFC 9700 §4.14.2). There is no grace: a client that lost an answer signs in again,
or asks with the same `Idempotency-Key`, which neither renews twice nor ends anything.
"""

from uuid import UUID

from tallystick.audit import service as audit
from tallystick.identity import queries, repository, tokens
from tallystick.identity.domain import IDLE_DAYS, InvalidToken, NoSession, WrongPassword
from tallystick.identity.service import Grant, Issuing, grant
from tallystick.kernel.actor import Actor
from tallystick.platform.db import Session


async def renew(session: Session, actor: Actor, refresh_token: str, issuing: Issuing) -> Grant | None:
    """A new access token and a new refresh token for this one; None where it counts no more.

    A token that was used before ends its session, which the caller must commit: that is why nothing is raised. Of two who come at
    once with the same token one gets a grant and the other ends the session.
    """
    presented = tokens.secret_hash(refresh_token)
    turned = await repository.turn_session(
        session, presented, tokens.secret_hash(issuing.refresh_token), IDLE_DAYS
    )
    if turned is not None:
        return grant(await queries.user(session, turned["user_id"]), turned["id"], issuing)
    ended = await repository.end_session_of_spent(session, presented)
    if ended is not None:
        after = {"session_id": str(ended["id"])}
        await audit.record(
            session, actor, "session.refresh_token_reused", "user", str(ended["user_id"]), None, after
        )
    return None


async def log_out(
    session: Session, actor: Actor, *, current: UUID | None, refresh_token: str | None, everywhere: bool
) -> int:
    """Ends the session of this request, that of `refresh_token` where it is the actor's own, or all; how many ended.

    Raises `NoSession` where there is nothing that this request could mean. A repeat ends nothing more.
    """
    assert actor.user_id is not None, "only users have sessions"
    if everywhere:
        await repository.raise_version(session, actor.user_id)
        ended = await repository.end_sessions(session, actor.user_id, "logout")
    else:
        named = (
            await queries.session_of(session, tokens.secret_hash(refresh_token)) if refresh_token else None
        )
        only = [each for each in (current, named) if each is not None]
        if not only and refresh_token is None:
            raise NoSession
        ended = await repository.end_sessions(session, actor.user_id, "logout", only=only)
    after = {"sessions": len(ended), "everywhere": everywhere}
    await audit.record(session, actor, "user.logged_out", "user", actor.id, None, after)
    return len(ended)


async def change_password(
    session: Session, actor: Actor, *, current: UUID | None, old_hash: str, new_hash: str
) -> int:
    """Replaces the password whose hash was `old_hash`; every other session ends, and letters with reset links die. How many ended.

    Raises `WrongPassword` where another change came first. A repeat is refused: the old password is no longer the current one.
    """
    assert actor.user_id is not None, "only users have passwords"
    if not await repository.set_password(session, actor.user_id, new_hash, old_hash):
        raise WrongPassword(details={"current_password": WrongPassword.problem})
    ended = await repository.end_sessions(session, actor.user_id, "password", but=current)
    await repository.close_resets(session, actor.user_id)
    await audit.record(
        session, actor, "user.password_changed", "user", actor.id, None, {"sessions_ended": len(ended)}
    )
    return len(ended)


def granted(grant_: Grant | None) -> Grant:
    """The grant of a committed renewal. Raises `InvalidToken`, the same for unknown, used, expired and ended."""
    if grant_ is None:
        raise InvalidToken
    return grant_
