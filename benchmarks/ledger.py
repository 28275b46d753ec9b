"""Ledger postings beside their floor: the same statements by the bare driver, on the same rows and indexes, in the same run.

    python benchmarks/ledger.py [postgresql://server/postgres]

32 callers post singly over a pool of 10 connections, 2 in batches of 500. Every posting debits one of 2 000 customers and credits the one revenue and the one tax account that all of them share. Nothing but
time is measured: each run ends with the invariants of the books. Aims (two cores shared with PostgreSQL, synchronous_commit on):
at least 3 000 postings a second singly, 30 000 batched, and half of the floor.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tallystick.ledger import domain, invariants, repository, service
from tallystick.ledger.domain import Entry, Posting
from tallystick.migrations.run import upgrade_async
from tallystick.platform.db import Database, Session

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CUSTOMERS = 2_000
SINGLE, SINGLE_CALLERS = 8_000, 32
BATCHED, BATCH, BATCH_CALLERS = 60_000, 500, 2
POOL = 10  # the default of a service process
ROUNDS = 3
Work = Callable[[Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Result:
    """Postings a second, ours and the floor's; the best of the rounds, which alternate."""

    name: str
    ours: float
    floor: float
    wanted: float

    @property
    def ratio(self) -> float:
        return self.ours / self.floor

    @property
    def reached(self) -> bool:
        return self.ours >= self.wanted and self.ratio >= 0.5


def sale(round_: str, n: int) -> Posting:
    """Three entries: a customer owes 11.90, of which 1.90 is tax."""
    entries = (
        Entry("receivable", Decimal("11.90"), 1 + n % CUSTOMERS),
        Entry("revenue", Decimal("-10.00"), gl_code="4000"),
        Entry("tax:vat", Decimal("-1.90")),
    )
    return Posting(f"{round_}:{n}", "sale", 1, "EUR", NOW, "benchmark", f"{round_}:{n}", entries)


async def ours(session: Session, postings: Sequence[Posting]) -> None:
    """What a caller of the ledger does."""
    await service.post(session, postings)


async def bare(session: Session, columns: Sequence[Sequence[Any]]) -> None:
    """The statement alone, its arguments made beforehand."""
    await session.connection.fetchrow(repository.POST, *columns)


def columns_of(postings: Sequence[Posting]) -> list[Sequence[Any]]:
    """The arguments of the statement, as the service makes them."""
    return service.columns(postings, [domain.fingerprint(posting) for posting in postings])


async def rate(database: Database, jobs: Sequence[Any], callers: int, postings: int, work: Work) -> float:
    """Postings a second when `callers` at once take the jobs in turns, one transaction each."""
    queue = list(reversed(jobs))

    async def worker() -> None:
        while queue:
            job = queue.pop()
            async with database.write() as session:
                await work(session, job)

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(callers)))
    return postings / (time.perf_counter() - begun)


async def compare(
    database: Database, name: str, total: int, batch: int, callers: int, wanted: float
) -> Result:
    """Ours and the floor in alternating rounds."""
    best = {"ours": 0.0, "floor": 0.0}
    for round_ in range(ROUNDS):
        for side in ("floor", "ours") if round_ % 2 == 0 else ("ours", "floor"):
            postings = [sale(f"{name}:{side}:{round_}", n) for n in range(total)]
            batches: list[Any] = [postings[at : at + batch] for at in range(0, total, batch)]
            if side == "floor":
                batches = [columns_of(each) for each in batches]
            measured = await rate(database, batches, callers, total, bare if side == "floor" else ours)
            best[side] = max(best[side], measured)
    return Result(name, best["ours"], best["floor"], wanted)


async def run(url: str) -> list[Result]:
    """Both comparisons on a migrated, empty database."""
    database = await Database.connect(url, size=POOL, statement_timeout_ms=60_000)
    async with database.write() as session:
        await service.post(session, [sale("warm", n) for n in range(CUSTOMERS)])
    results = [
        await compare(database, "singly", SINGLE, 1, SINGLE_CALLERS, 3_000),
        await compare(database, "batched", BATCHED, BATCH, BATCH_CALLERS, 30_000),
    ]
    async with database.read() as reading:
        for name, sql in invariants.INVARIANTS.items():
            if name != "ledger_customers_stand_in_their_entity":  # nobody has these numbers
                assert not await reading.fetch(sql), f"{name} is broken"
    await database.close()
    return results


async def main(server: str) -> int:
    """Makes a database, measures, drops it. Gives the exit status."""
    name = f"bench_ledger_{os.getpid()}"
    connection = await asyncpg.connect(server)
    await connection.execute(f'CREATE DATABASE "{name}"')
    try:
        durable = await connection.fetchval("SHOW synchronous_commit")
        url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        await upgrade_async(url)
        results = await run(url)
    finally:
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await connection.close()
    print(f"ledger postings a second (3 entries each, synchronous_commit {durable})")
    for result in results:
        verdict = "reached" if result.reached else "MISSED"
        print(
            f"  {result.name:8} ours {result.ours:9,.0f}   floor {result.floor:9,.0f}   ratio {result.ratio:4.2f}"
            f"   to reach {result.wanted:,.0f} and 0.50: {verdict}"
        )
    return 0 if all(result.reached for result in results) else 1


if __name__ == "__main__":
    with ExitStack() as stack:
        address = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TALLYSTICK_TEST_SERVER")
        if address is None:
            from tallystick.platform.embedded import embedded_postgres

            folder = stack.enter_context(TemporaryDirectory())
            address = stack.enter_context(embedded_postgres(Path(folder) / "server"))
        sys.exit(asyncio.run(main(address)))
