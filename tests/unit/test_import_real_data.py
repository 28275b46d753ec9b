"""The published reports that `make demo DATA=…` bills; they are not part of this repository."""

import os
from pathlib import Path

import pytest

from tallystick.billing.importers.compare import compare, exact_lines
from tallystick.billing.importers.discover import discover, load
from tallystick.billing.importers.plan import ImportPlan

DATA = os.environ.get("TALLYSTICK_REAL_DATA", "")

pytestmark = pytest.mark.skipif(
    not DATA, reason="TALLYSTICK_REAL_DATA does not name a folder with the published FOCUS and OCI reports"
)


def plan(code: str) -> ImportPlan:
    (report,) = [each for each in discover(Path(DATA)).reports if each.mapping.code == code]
    return load(report)


def test_focus_858_of_860_rows_agree_and_the_two_others_are_priced_per_block() -> None:
    report = plan("focus")
    result = compare(report.mapping, report.expectations)
    assert result.sentence() == "858 of 860 FOCUS rows agree to the last digit"
    assert [(each.line_no, each.provider) for each in result.differences] == [
        (858, "Microsoft"),
        (861, "Microsoft"),
    ]
    assert all("priced per block of 10,000 units" in each.reason for each in result.differences)
    assert [(each.line_no, each.category) for each in report.not_billed] == [(408, "Credit")]
    assert report.bad_rows == ()


def test_focus_catalog() -> None:
    dataset = plan("focus").dataset
    assert [each.code for each in dataset.plans] == ["focus-2024-09-list-usd"]
    assert (len(dataset.customers), len(dataset.meters), len(dataset.events)) == (61, 228, 860)
    assert len({(each.source, each.id) for each in dataset.events}) == 860
    assert len(exact_lines(plan("focus").expectations)) == 405


def test_oci_317_of_317_rows_agree() -> None:
    report = plan("oci")
    assert (
        compare(report.mapping, report.expectations).sentence()
        == "317 of 317 OCI rows agree to the last digit"
    )
    assert (report.not_billed, report.bad_rows) == ((), ())
    assert (len(report.dataset.customers), len(report.dataset.meters)) == (1, 13)
