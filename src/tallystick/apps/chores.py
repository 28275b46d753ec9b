"""What the background process does, step by step."""

from tallystick.apps.background import Step
from tallystick.audit import places
from tallystick.audit import service as audit
from tallystick.audit.service import Mark
from tallystick.billing.corrections.sweep import sweep
from tallystick.billing.service import clocks, runs
from tallystick.identity import recovery
from tallystick.identity import service as identity
from tallystick.identity.startup import letter_sender
from tallystick.ledger import service as ledger
from tallystick.metering import service as metering
from tallystick.platform import repository as platform
from tallystick.platform.db import Database
from tallystick.platform.edge import new_uuid, system_now
from tallystick.platform.settings import Settings
from tallystick.wallets import service as wallets


def all_chores(database: Database, settings: Settings) -> list[tuple[str, Step, float]]:
    """Name, step, and pause in seconds while there is nothing to do."""

    sender = letter_sender(settings)

    async def seal_batches() -> bool:
        await metering.seal(database)
        return await sweep(database)

    async def billing_runs() -> bool:
        return await runs.claim_and_execute(database, now=system_now, new_id=new_uuid)

    async def test_clocks() -> bool:
        return await clocks.walk_one(database, new_uuid)

    async def forget_keys() -> bool:
        async with database.write() as session:
            await platform.purge_idempotency(session, settings.idempotency_days)
        async with database.write() as session:
            await recovery.forget_old(session)
        async with database.write() as session:
            return await identity.forget_expired_sessions(session) > 0

    async def letters() -> bool:
        return await recovery.send_one(database, sender)

    async def wallet_ends() -> bool:
        return await wallets.end_some(database, system_now())

    async def close_books() -> bool:
        await ledger.close(database)
        return False

    return [
        ("seal-batches", seal_batches, 0.2),
        ("seal-audit", _audit_sealer(database, settings), 0.25),
        ("billing-runs", billing_runs, 0.25),
        ("test-clocks", test_clocks, 0.25),
        ("letters", letters, 0.5),
        ("wallet-ends", wallet_ends, 5.0),
        ("close-books", close_books, 3600.0),
        ("forget-keys-and-sessions", forget_keys, 3600.0),
    ]


def _audit_sealer(database: Database, settings: Settings) -> Step:
    key, folder = places.signing_key(settings), places.folder(settings)
    before: Mark | None = None

    async def step() -> bool:
        nonlocal before
        before, _ = await audit.advance(database, before, key, folder, system_now())
        return False

    return step
