"""What identity needs while a service runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from tallystick.identity.authentication import Identity
from tallystick.identity.passwords import Hasher
from tallystick.platform.keys import SigningKey, load_key
from tallystick.platform.settings import Settings

ACCESS_KEY = "access-tokens"


def access_key(settings: Settings) -> SigningKey:
    """The key that signs access tokens: made on the first start of a development installation, required elsewhere."""
    return load_key(settings.data_dir / "keys", ACCESS_KEY, make=settings.environment == "development")


def identity_of(settings: Settings) -> Identity:
    """The signing key and the password threads of one process."""
    return Identity(access_key(settings), Hasher(settings.bcrypt_cost), settings.access_token_seconds)


@asynccontextmanager
async def identity(app: FastAPI) -> AsyncIterator[None]:
    """A start-up step: sets `app.state.identity`, and the key of fingerprints of bodies that may hold a password."""
    app.state.identity = identity_of(app.state.settings)
    app.state.fingerprint_key = app.state.identity.key.derived("idempotency fingerprints")
    try:
        yield
    finally:
        app.state.identity.hasher.close()
