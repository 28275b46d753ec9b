"""Lists of subscribers: plans from services and monthly charge, bad rows refused alone, nothing personal read."""

import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tallystick.billing.importers.discover import discover
from tallystick.billing.importers.subscribers import SubscriberList, read_subscribers
from tallystick.billing.service.simulating import Year, clock_id
from tallystick.kernel.errors import Invalid

FIXTURE = Path(__file__).parent / "fixtures" / "subscribers_small.csv"


def listed() -> SubscriberList:
    return read_subscribers(io.BytesIO(FIXTURE.read_bytes()))


def test_good_rows_are_subscribers() -> None:
    assert [(each.id, each.plan_code, each.plan_name, each.left) for each in listed().subscribers] == [
        ("0001-AAAAA", "telco.dsl.back.at-29.85", "DSL, backup", False),
        (
            "0002-BBBBB",
            "telco.tele.fibr.more.secu.devi.tv.film.at-104.80",
            "telephone, fibre, more lines, security, device protection, TV, films",
            True,
        ),
        ("0003-CCCCC", "telco.tele.at-19.70", "telephone", False),
    ]
    assert listed().monthly() == Decimal("154.35")
    assert "Female" not in repr(listed())


def test_bad_rows_are_refused_each_with_its_line() -> None:
    assert [(row.line_no, row.field) for row in listed().bad_rows] == [
        (5, "customerID"),
        (6, "InternetService"),
        (7, "MonthlyCharges"),
        (8, "OnlineBackup"),
        (9, "MonthlyCharges"),
    ]


def test_a_file_that_is_no_list_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(Invalid) as refused:
        read_subscribers(io.BytesIO(b"customerID,Churn\n1,No\n"))
    assert "MonthlyCharges" in refused.value.details["header"]
    with pytest.raises(Invalid):
        read_subscribers(io.BytesIO(FIXTURE.read_bytes().split(b"\n")[0] + b"\n"))


def test_a_list_is_found_beside_reports(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(FIXTURE.read_bytes())
    found = discover(tmp_path)
    assert ([path.name for path in found.subscribers], found.reports, found.others) == (["list.csv"], (), 0)


def test_a_year_is_the_zones_own() -> None:
    year = Year(2025, "America/Los_Angeles")
    assert year.start == datetime(2025, 1, 1, 8, tzinfo=UTC)
    assert year.end == datetime(2026, 1, 1, 7, 59, 59, tzinfo=UTC)
    assert year.begins(30) == datetime(2025, 1, 31, 8, tzinfo=UTC)
    assert year.begins(31) == year.begins(0) == year.start
    assert year.leaves(30) == datetime(2026, 1, 31, 8, tzinfo=UTC)


def test_the_same_list_finds_its_clock_again() -> None:
    people = listed().subscribers
    one = clock_id(Year(2025, "UTC"), people)
    assert one == clock_id(Year(2025, "UTC"), people)
    assert len({one, clock_id(Year(2026, "UTC"), people), clock_id(Year(2025, "UTC"), people[:2])}) == 3
