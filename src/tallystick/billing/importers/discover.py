"""The reports in a folder: every CSV file whose header is one of the formats we read."""

from dataclasses import dataclass
from pathlib import Path

from tallystick.billing.importers.mapping import Mapping
from tallystick.billing.importers.plan import ImportPlan, plan_import
from tallystick.billing.importers.reader import open_csv
from tallystick.billing.importers.rows import mapping_for, read_usage
from tallystick.kernel.errors import Invalid, NotFound, Refusal


@dataclass(frozen=True, slots=True)
class FoundReport:
    """A file that can be imported, and the format it is written in."""

    path: Path
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class Discovery:
    """`reports` in path order, and how many other CSV files were passed over because no importer reads them."""

    reports: tuple[FoundReport, ...]
    others: int


def discover(root: Path) -> Discovery:
    """Look at `root` (a file, or a folder and everything below it). Raises `NotFound` where it does not exist."""
    if not root.exists():
        raise NotFound("The data folder does not exist; give the path of a folder that holds cost reports")
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*.csv") if path.is_file())
    found = [(path, _format(path)) for path in files]
    reports = tuple(FoundReport(path, mapping) for path, mapping in found if mapping is not None)
    return Discovery(reports, len(files) - len(reports))


def recognise(path: Path) -> FoundReport:
    """The one file at `path`. Raises `Invalid` where its header is not one of the formats we read."""
    with path.open("rb") as stream:
        mapping = mapping_for(open_csv(stream).columns)
    if mapping is None:
        raise Invalid.field(
            "header", "is not that of a FOCUS 1.0 or an Oracle Cloud cost report", code="unknown_format"
        )
    return FoundReport(path, mapping)


def load(report: FoundReport) -> ImportPlan:
    """Read the whole report. Raises as `read_usage` and `plan_import` do; bad rows are in the plan, not raised."""
    with report.path.open("rb") as stream:
        return plan_import(report.mapping, read_usage(stream, report.mapping))


def _format(path: Path) -> Mapping | None:
    try:
        with path.open("rb") as stream:
            return mapping_for(open_csv(stream).columns)
    except Refusal:
        return None
