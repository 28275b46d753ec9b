"""What the commands that load usage share: their sources, and the steps that put one into the database."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.accounts.domain import Account
from tallystick.billing.importers.dataset import Dataset
from tallystick.billing.importers.discover import NAMES, Discovery, FoundReport, discover, load
from tallystick.billing.importers.plan import ImportPlan
from tallystick.billing.importers.reader import BadRow
from tallystick.billing.service import loading
from tallystick.billing.service.loading import Loader
from tallystick.cli.bill_report import Verdicts
from tallystick.cli.progress import Steps
from tallystick.kernel.actor import system_actor
from tallystick.kernel.errors import NotFound
from tallystick.metering.domain.events import Verdict
from tallystick.platform.db import Database
from tallystick.platform.edge import new_id, new_uuid, system_now


@dataclass(frozen=True, slots=True)
class Input:
    """A data set to load, and the report it comes from; None for the sample."""

    dataset: Dataset
    plan: ImportPlan | None = None


@dataclass(slots=True)
class Loaded:
    """An input once it is in the database: its accounts by external id, and what became of its events."""

    source: Input
    accounts: dict[str, Account] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)

    def counts(self) -> Verdicts:
        """How many events ended how."""
        found = Counter(verdict.status for verdict in self.verdicts)
        return Verdicts(found["accepted"], found["duplicate"], found["conflict"], found["invalid"])

    def refused(self) -> tuple[BadRow, ...]:
        """Rows that could not be read, and those whose event was refused or is in conflict; each with its line."""
        plan = self.source.plan
        rows = list(plan.bad_rows) if plan else []
        for position, verdict in enumerate(self.verdicts):
            if verdict.status in ("conflict", "invalid"):
                line_no = plan.event_lines[position] if plan else position + 1
                name, problem = next(iter(verdict.details.items()), ("row", verdict.reason))
                rows.append(BadRow(line_no, name, problem))
        return tuple(sorted(rows, key=lambda row: row.line_no))


def read_folder(root: Path, steps: Steps) -> tuple[list[Input], Discovery]:
    """The reports below `root`, read whole, and what else was found. Raises `NotFound` where there is no report."""
    found = discover(root)
    if not found.reports:
        raise NotFound(f"The data folder holds nothing that is read as usage: {NAMES}")
    return [read_report(report, steps) for report in found.reports], found


def read_report(report: FoundReport, steps: Steps) -> Input:
    """One report, read whole."""
    with steps.step(f"read {report.mapping.label} report", 0, "rows") as done:
        plan = load(report)
        done(len(set(plan.event_lines)) + len(plan.not_billed) + len(plan.bad_rows))
    return Input(plan.dataset, plan)


def loader(name: str, metadata: dict[str, str]) -> Loader:
    """A loader at the command line."""
    actor = system_actor("cli", request_id=name)
    return Loader(actor, system_now, new_uuid, lambda: new_id("acc"), metadata)


async def put(database: Database, own: Loader, sources: Sequence[Input], steps: Steps) -> list[Loaded]:
    """Loads the sources step by step, subscriptions last; a repeat loads nothing twice."""
    loaded = [Loaded(source) for source in sources]
    sets = [source.dataset for source in sources]
    with steps.step("meters", sum(len(data.meters) for data in sets), "meters") as done:
        for data in sets:
            await loading.ensure_meters(database, own, data.meters, done)
    with steps.step("accounts", sum(len(data.customers) for data in sets), "accounts") as done:
        for each in loaded:
            await loading.ensure_taxes(database, own, each.source.dataset.taxes)
            each.accounts = await loading.ensure_accounts(database, own, each.source.dataset.customers, done)
    with steps.step("usage", sum(len(data.events) for data in sets), "events") as done:
        for each in loaded:
            each.verdicts = await loading.ensure_events(database, own, each.source.dataset.events, done)
    with steps.step(
        "price lists", sum(len(p.charges) for data in sets for p in data.plans), "prices"
    ) as done:
        plans = [await loading.ensure_plans(database, own, data.plans, done) for data in sets]
    with steps.step("subscriptions", sum(len(data.subscriptions) for data in sets), "subscriptions") as done:
        for each, found in zip(loaded, plans, strict=True):
            await loading.ensure_subscriptions(database, own, each.source.dataset, each.accounts, found, done)
    return loaded
