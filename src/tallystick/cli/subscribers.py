"""`tallystick subscribers`: a list of subscribers, billed for a year on a test clock."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console

from tallystick.accounts.domain import Clock
from tallystick.billing import queries
from tallystick.billing.domain.runs import ClockProgress, Invoiced, MonthTotal
from tallystick.billing.importers.discover import discover
from tallystick.billing.importers.reader import BadRow
from tallystick.billing.importers.subscribers import SubscriberList, read_subscribers
from tallystick.billing.service import clocks, simulating
from tallystick.billing.service.simulating import Year
from tallystick.cli import output
from tallystick.cli.bill_report import Step
from tallystick.cli.doctor import examine
from tallystick.cli.importing import loader
from tallystick.cli.progress import Steps
from tallystick.cli.runtime import connected, servers
from tallystick.cli.statement import bill_console, step_table
from tallystick.entities.domain import TEST_ID
from tallystick.kernel.errors import Invalid, NotFound
from tallystick.ledger import queries as ledger
from tallystick.platform.db import Database
from tallystick.platform.settings import load_settings

MONTHS = 12


@dataclass(frozen=True, slots=True)
class Outcome:
    """The year as it came out. `expected` is what the list itself comes to: twelve monthly charges each; `agreeing` accounts were billed it exactly."""

    clock_id: UUID
    frozen_time: datetime
    timezone: str
    subscribers: int
    left: int
    bad_rows: tuple[BadRow, ...]
    months: tuple[MonthTotal, ...]
    invoices: int
    total: Decimal
    expected: Decimal
    agreeing: int
    parked: ClockProgress
    trial_balance: Decimal
    invariants: int
    broken: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def well(self) -> bool:
        """Whether everybody was billed what the list says, the books balance, and no invariant is broken."""
        return (
            self.agreeing == self.subscribers
            and self.total == self.expected
            and not (self.trial_balance or self.broken or self.parked.parked)
        )


def register(app: typer.Typer) -> None:
    """Adds `subscribers`."""
    app.command()(subscribers)


def subscribers(
    data: Annotated[
        Path,
        typer.Argument(exists=True, readable=True, help="A list of subscribers (CSV), or a folder with one."),
    ],
    year: Annotated[
        int, typer.Option(min=1970, max=9000, help="The year that the clock runs through.")
    ] = 2025,
    zone: Annotated[str, typer.Option(help="The subscribers' IANA time zone; the list names none.")] = "UTC",
    only: Annotated[int | None, typer.Option(min=1, help="Take so many of them, from the top.")] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Put a list of subscribers on a test clock, bill them for a year, and compare with twelve times their monthly charge.

    A repeat changes nothing; one that was interrupted goes on. Exit status 1 where a row was refused or anything does not agree.
    """
    steps = Steps(Console(stderr=True), time.monotonic)
    listed = _read(data, only, steps)
    settings = load_settings()
    span = Year(year, zone)
    with ExitStack() as running:
        with steps.step("start the database", 1, "database"):
            reached = running.enter_context(servers(settings))
        outcome = asyncio.run(
            connected(reached.database_url, lambda database: _simulate(database, listed, span, steps))
        )
    if as_json:
        output.print_json(asdict(outcome) | {"well": outcome.well})
    else:
        _say(outcome, bill_console(sys.stdout))
    if outcome.bad_rows or not outcome.well:
        raise typer.Exit(1)


def _read(data: Path, only: int | None, steps: Steps) -> SubscriberList:
    found = [data] if data.is_file() else list(discover(data).subscribers)
    if not found:
        raise NotFound("The folder holds no list of subscribers")
    if len(found) > 1:
        raise Invalid.field("data", "holds several lists of subscribers; name one of the files")
    with steps.step("read the list", 0, "rows") as done, found[0].open("rb") as stream:
        listed = read_subscribers(stream)
        done(len(listed.subscribers) + len(listed.bad_rows))
    return SubscriberList(listed.subscribers[:only], listed.bad_rows) if only else listed


async def _simulate(database: Database, listed: SubscriberList, year: Year, steps: Steps) -> Outcome:
    own = loader("subscribers", {"demo": f"subscribers-{year.number}"})
    people = listed.subscribers
    clock = await simulating.ensure_clock(database, own, simulating.clock_id(year, people), year)
    if clock.frozen_time == year.start and clock.status == "ready":
        with steps.step("plans", len({each.plan_code for each in people}), "plans") as done:
            plans = await simulating.ensure_plans(database, own, people, done)
        with steps.step("accounts and subscriptions", len(people), "accounts") as done:
            await simulating.ensure_subscribers(database, own, clock, year, people, plans, done)
    await _advance(database, clock.id, year, steps)
    with steps.step("compare with the list", len(people), "subscribers"):
        async with database.snapshot() as session:
            months = await queries.clock_months(session, clock.id)
            invoiced = await queries.clock_invoiced(session, clock.id)
            balance = await ledger.trial_balance(session, entity_id=TEST_ID)
            arrived, progress = await clocks.show(session, clock.id)
    with steps.step("doctor", 0, "invariants") as done:
        findings = await examine(database)
        done(len(findings))
    return Outcome(
        clock_id=clock.id,
        frozen_time=arrived.frozen_time,
        timezone=year.timezone,
        subscribers=len(people),
        left=sum(each.left for each in people),
        bad_rows=listed.bad_rows,
        months=tuple(months),
        invoices=sum(each.invoices for each in months),
        total=sum((each.total for each in months), Decimal(0)),
        expected=MONTHS * listed.monthly(),
        agreeing=_agreeing(listed, invoiced),
        parked=progress,
        trial_balance=sum((each.debit - each.credit for each in balance), Decimal(0)),
        invariants=len(findings),
        broken=tuple(each["invariant"] for each in findings if each["violations"]),
        steps=tuple(steps.done),
    )


async def _advance(database: Database, clock_id: UUID, year: Year, steps: Steps) -> None:
    """Sends the clock to the year's end and walks it there; one that is on its way already is only walked."""
    async with database.write() as session:
        clock, _ = await clocks.show(session, clock_id)
        if clock.status != "advancing" and clock.frozen_time < year.end:
            clock = await clocks.request_advance(session, loader("subscribers", {}).actor, clock_id, year.end)
    if clock.status != "advancing":
        return
    begun = clock.frozen_time
    with steps.step("a year on the test clock", (year.end - begun).days + 1, "days") as done:
        walked = 0

        def progress(now: Clock) -> None:
            nonlocal walked
            days = (now.frozen_time - begun).days + (now.status == "ready")
            done(days - walked)
            walked = days

        await clocks.walk(database, clock_id, loader("subscribers", {}).new_uuid, progress=progress)


def _agreeing(listed: SubscriberList, invoiced: Sequence[Invoiced]) -> int:
    """How many were invoiced twelve times, for twelve times their monthly charge; a free subscription has its twelve invoices too."""
    found = {each.external_id: (each.invoices, each.total) for each in invoiced}
    return sum(found.get(each.id) == (MONTHS, MONTHS * each.monthly) for each in listed.subscribers)


def _say(outcome: Outcome, console: Console) -> None:
    def say(text: str) -> None:
        console.print(text, markup=False, width=100)

    say(
        f"{outcome.subscribers:,} subscribers, zone {outcome.timezone} (the list names none); test clock {outcome.clock_id}"
    )
    rows: list[dict[str, Any]] = [
        {
            "month": each.month,
            "invoices": f"{each.invoices:,}",
            "net": f"{each.net:,f}",
            "tax": f"{each.tax:,f}",
            "total": f"{each.total:,f} {each.currency}",
        }
        for each in outcome.months
    ]
    output.rows(rows, as_json=False, title="Invoiced, by month of issue")
    say(f"{outcome.invoices:,} invoices, together {outcome.total:,f}")
    say(f"the list itself: {MONTHS} × the sum of its monthly charges = {outcome.expected:,f}")
    say(
        f"{outcome.agreeing:,} of {outcome.subscribers:,} subscribers were billed {MONTHS} times their monthly charge, to the cent"
    )
    say(f"{outcome.left:,} have left: their subscriptions end after these twelve months")
    for each in outcome.parked.parked_accounts:
        say(f"not billed: {each.account_id}: {each.reason} [{each.code}]")
    say(f"trial balance of the test entity: {outcome.trial_balance:,f}")
    broken = ", ".join(outcome.broken)
    say(f"doctor: {outcome.invariants} invariants checked, {len(outcome.broken)} broken {broken}".rstrip())
    for row in outcome.bad_rows:
        say(f"line {row.line_no} was refused: {row.field} {row.reason}")
    console.print(step_table(outcome.steps), width=100)
