"""The plans that a development database is born with, so that the documentation's examples run as written (CONTRACT §6)."""

from decimal import Decimal

from tallystick.catalog import repository, service
from tallystick.catalog.domain import Terms
from tallystick.kernel.actor import system_actor
from tallystick.platform.db import Session


async def development(session: Session) -> bool:
    """Plan 1 `Basic Trial` and plan 2 at 29.99 USD a month, where there is no plan yet; True where it made them.

    Two that start at the same time take turns. A repeat does nothing.
    """
    if not await repository.begin_seed(session):
        return False
    await repository.restart_plan_ids(session)
    actor = system_actor("seed")
    features = {"api_calls": {"limit": 1000}, "storage": {"limit": "1GB"}}
    trial = Terms(Decimal("0.00"), "USD", trial_period_days=30, features=features)
    paid = Terms(
        Decimal("29.99"), "USD", features={"api_calls": {"limit": 100_000}, "storage": {"limit": "100GB"}}
    )
    for code, name, terms in (("basic-trial", "Basic Trial", trial), ("standard-monthly", "Standard", paid)):
        await service.make_plan(
            session, actor, code=code, name=name, is_public=True, is_active=True, terms=terms
        )
    return True
