"""What identity needs while a service runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from tallystick.identity.authentication import Identity
from tallystick.identity.passwords import Hasher
from tallystick.platform.keys import load_key
from tallystick.platform.settings import Settings

ACCESS_KEY = "access-tokens"


def identity_of(settings: Settings) -> Identity:
    """The signing key (made on the first start of a development installation, required elsewhere) and the password threads."""
    key = load_key(settings.data_dir / "keys", ACCESS_KEY, make=settings.environment == "development")
    return Identity(key, Hasher(settings.bcrypt_cost), settings.access_token_seconds)


@asynccontextmanager
async def identity(app: FastAPI) -> AsyncIterator[None]:
    """A start-up step: sets `app.state.identity`."""
    app.state.identity = identity_of(app.state.settings)
    try:
        yield
    finally:
        app.state.identity.hasher.close()
