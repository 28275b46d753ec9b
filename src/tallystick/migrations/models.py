"""Imports every context's tables, so that the metadata is whole."""

from importlib import import_module
from importlib.util import find_spec

from tallystick.platform.tables import Base

CONTEXTS = (
    "platform", "audit", "identity", "entities", "accounts", "catalog", "taxes", "ledger", "metering", "wallets", "invoicing",
    "subscriptions", "billing",
)  # fmt: skip

for _context in CONTEXTS:
    if find_spec(f"tallystick.{_context}.tables"):
        import_module(f"tallystick.{_context}.tables")

metadata = Base.metadata
