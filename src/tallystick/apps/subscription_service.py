"""The subscription service: every context's routes behind one ASGI application."""

from importlib import import_module
from importlib.util import find_spec

import structlog
from fastapi import APIRouter, FastAPI

from tallystick.identity.authentication import authenticate
from tallystick.identity.startup import identity
from tallystick.platform import logging
from tallystick.platform.http.app import build
from tallystick.platform.rate_limit import rate_limits
from tallystick.platform.settings import Settings, load_settings

SERVICE = "subscription-service"
BATCH_PATHS = frozenset({"/v1/events/batch"})
DESCRIPTION = (
    "Usage, subscriptions and calls in; exact, explained invoices and a double-entry ledger out. Sign in with `POST /v1/auth/login`, "
    "send the token as `Authorization: Bearer …`."
)
CONTEXTS = (
    "identity", "accounts", "catalog", "taxes", "subscriptions", "metering", "rating", "invoicing", "ledger", "billing",
)  # fmt: skip


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; settings come from the environment unless given. Raises `SettingsError`."""
    chosen = settings or load_settings()
    logging.configure(SERVICE, chosen.log_level)
    return build(
        title="Tallystick",
        service=SERVICE,
        description=DESCRIPTION,
        settings=chosen,
        routers=_routers(),
        authenticate=authenticate,
        startup=(identity, rate_limits),
        batch_paths=BATCH_PATHS,
    )


def _routers() -> list[tuple[APIRouter, list[str]]]:
    """The routers of the contexts that have any."""
    found: list[tuple[APIRouter, list[str]]] = []
    for context in CONTEXTS:
        if find_spec(f"tallystick.{context}.api"):
            try:
                found.extend(import_module(f"tallystick.{context}.api").routers)
            except ModuleNotFoundError as missing:
                structlog.get_logger("apps").warning("routes left out", context=context, missing=missing.name)
    return found
