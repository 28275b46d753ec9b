"""The subscription service: every context's routes behind one ASGI application."""

from pathlib import Path

from fastapi import APIRouter, FastAPI

from tallystick.accounts import api as accounts
from tallystick.apps.api_description import INTRODUCTION, ORDER, SECTIONS
from tallystick.billing import api as billing
from tallystick.billing.catalog_file import api as catalog_file
from tallystick.catalog import api as catalog
from tallystick.entities import api as entities
from tallystick.identity import api as identity_routes
from tallystick.identity.authentication import authenticate
from tallystick.identity.startup import identity
from tallystick.invoicing import api as invoicing
from tallystick.ledger import api as ledger
from tallystick.metering import api as metering
from tallystick.platform import logging
from tallystick.platform.http import openapi
from tallystick.platform.http.app import build
from tallystick.platform.http.openapi import Texts
from tallystick.platform.rate_limit import rate_limits
from tallystick.platform.settings import Settings, load_settings
from tallystick.rating import api as rating
from tallystick.subscriptions import api as subscriptions
from tallystick.taxes import api as taxes
from tallystick.taxes import queries as tax_rules
from tallystick.wallets import api as wallets

SERVICE = "subscription-service"
BATCH_PATHS = frozenset({"/v1/events/batch", "/v1/backfills/"})
_HERE = Path(__file__).parent
TEXTS = Texts(INTRODUCTION, SECTIONS, ORDER, _HERE / "refusals.json", _HERE / "examples.json")
# Metering first: routes are tried in order, and single events are what comes in most.
CONTEXTS = (
    metering, identity_routes, entities, accounts, catalog, catalog_file, taxes, subscriptions, rating, wallets, invoicing, ledger, billing,
)  # fmt: skip


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; settings come from the environment unless given. Raises `SettingsError`."""
    chosen = settings or load_settings()
    logging.configure(SERVICE, chosen.log_level)
    app = build(
        title="Tallystick",
        service=SERVICE,
        description="A billing engine",
        settings=chosen,
        routers=_routers(),
        authenticate=authenticate,
        startup=(identity, rate_limits),
        batch_paths=BATCH_PATHS,
    )
    app.state.tax_is_shifted = tax_rules.is_shifted  # accounts ask, and know nothing of taxes
    openapi.complete(app, TEXTS)
    return app


def _routers() -> list[tuple[APIRouter, list[str]]]:
    return [mounted for context in CONTEXTS for mounted in context.routers]
