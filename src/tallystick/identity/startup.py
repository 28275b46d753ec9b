"""What identity needs while a service runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from tallystick.identity.authentication import Identity
from tallystick.identity.passwords import Hasher
from tallystick.identity.recovery import Sender
from tallystick.platform.keys import SigningKey, accepted_keys, load_key
from tallystick.platform.mailer import mailer
from tallystick.platform.settings import Settings

ACCESS_KEY = "access-tokens"


def access_key(settings: Settings) -> SigningKey:
    """The key that signs access tokens: made on the first start of a development installation, required elsewhere."""
    return load_key(settings.data_dir / "keys", ACCESS_KEY, make=settings.environment == "development")


def identity_of(settings: Settings) -> Identity:
    """The signing key and the password threads of one process."""
    key = access_key(settings)
    accepted = accepted_keys(settings.data_dir / "keys", ACCESS_KEY, key)
    return Identity(key, accepted, Hasher(settings.bcrypt_cost), settings.access_token_seconds)


def letter_sender(settings: Settings) -> Sender:
    """How this installation sends reset letters. Without a page of its own, development names one on this machine."""
    page = settings.password_reset_url
    if page is None and settings.environment == "development":
        page = f"http://localhost:{settings.subscription_port}/reset-password"
    key = access_key(settings).derived("password resets")
    return Sender(mailer(settings), key, settings.password_reset_seconds, page)


@asynccontextmanager
async def identity(app: FastAPI) -> AsyncIterator[None]:
    """A start-up step: sets `app.state.identity`, and the key of fingerprints of bodies that may hold a password."""
    app.state.identity = identity_of(app.state.settings)
    app.state.fingerprint_key = app.state.identity.key.derived("idempotency fingerprints")
    try:
        yield
    finally:
        app.state.identity.hasher.close()
