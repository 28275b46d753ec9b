"""The reports in a folder: every CSV file whose header is one of the formats we read."""

from dataclasses import dataclass
from pathlib import Path

from tallystick.billing.importers.mapping import Mapping
from tallystick.billing.importers.plan import ImportPlan, plan_import
from tallystick.billing.importers.reader import open_csv
from tallystick.billing.importers.rows import MAPPINGS, mapping_for, read_usage
from tallystick.billing.importers.subscribers import SUBSCRIBERS
from tallystick.billing.importers.tokens import TOKENS, TokenTrace, plan_tokens, read_requests
from tallystick.kernel.errors import Invalid, NotFound, Refusal

FORMATS: tuple[Mapping | TokenTrace, ...] = (*MAPPINGS, TOKENS)
"""Everything that is read as usage."""

NAMES = "a FOCUS 1.0, Oracle Cloud or AWS cost report or a token trace"


@dataclass(frozen=True, slots=True)
class FoundReport:
    """A file that can be imported, and the format it is written in."""

    path: Path
    mapping: Mapping | TokenTrace


@dataclass(frozen=True, slots=True)
class Discovery:
    """`reports` in path order, lists of subscribers, and how many other CSV files were passed over because no importer reads them."""

    reports: tuple[FoundReport, ...]
    others: int
    subscribers: tuple[Path, ...] = ()


def discover(root: Path) -> Discovery:
    """Look at `root` (a file, or a folder and everything below it). Raises `NotFound` where it does not exist."""
    if not root.exists():
        raise NotFound("The data folder does not exist; give the path of a folder that holds usage reports")
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*.csv") if path.is_file())
    reports: list[FoundReport] = []
    lists: list[Path] = []
    for path in files:
        columns = _columns(path)
        found = format_of(columns)
        if found is not None:
            reports.append(FoundReport(path, found))
        elif SUBSCRIBERS.issubset(columns):
            lists.append(path)
    return Discovery(tuple(reports), len(files) - len(reports) - len(lists), tuple(lists))


def format_of(columns: tuple[str, ...]) -> Mapping | TokenTrace | None:
    """The format a header belongs to, None where it is none we know."""
    return mapping_for(columns) or (TOKENS if set(TOKENS.required()).issubset(columns) else None)


def recognise(path: Path) -> FoundReport:
    """The one file at `path`. Raises `Invalid` where its header is not one of the formats we read."""
    with path.open("rb") as stream:
        found = format_of(open_csv(stream).columns)
    if found is None:
        raise Invalid.field("header", f"is not that of {NAMES}", code="unknown_format")
    return FoundReport(path, found)


def load(report: FoundReport) -> ImportPlan:
    """Read the whole report. Raises as `read_usage` and `plan_import` do; bad rows are in the plan, not raised."""
    with report.path.open("rb") as stream:
        if isinstance(report.mapping, TokenTrace):
            return plan_tokens(report.path.stem, read_requests(stream))
        return plan_import(report.mapping, read_usage(stream, report.mapping))


def _columns(path: Path) -> tuple[str, ...]:
    try:
        with path.open("rb") as stream:
            return open_csv(stream).columns
    except Refusal:
        return ()
