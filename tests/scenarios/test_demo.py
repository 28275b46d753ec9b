"""The main job as a stranger meets it: the program itself, a folder of its own, its own servers."""

import csv
import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

DATA = os.environ.get("TALLYSTICK_REAL_DATA", "")
FIXTURES = Path(__file__).parents[1] / "unit" / "fixtures"
PROGRAM = Path(sys.executable).with_name("tallystick")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    for name in ("DATABASE_URL", "REDIS_URL"):
        given.pop(name, None)
    return subprocess.run(
        [PROGRAM, *arguments],
        env=given | {"TALLYSTICK_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def succeed(folder: Path, *arguments: str) -> str:
    done = run(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def parsed(text: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return report


def lasting(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what differs between two runs: seconds, and whether events are new."""
    sources = [
        {name: value for name, value in each.items() if name != "verdicts"} for each in report["sources"]
    ]
    return report | {"steps": [], "sources": sources}


def proven(folder: Path, invoices: int) -> None:
    """Every invoice comes out again and no invariant is broken."""
    assert re.search(
        rf"^{invoices} invoices?, .*: 0 differ$", succeed(folder, "invoice", "verify"), re.MULTILINE
    )
    assert "0 broken" in succeed(folder, "doctor")


def test_the_sample_twice(tmp_path: Path) -> None:
    first, second = (parsed(succeed(tmp_path, "demo", "--json")) for _ in range(2))
    assert {each["currency"]: each["total"] for each in first["totals"]} == {
        "EUR": Decimal("243.43"),
        "JPY": 29469,
        "USD": Decimal("353.13"),
    }
    assert lasting(first) == lasting(second)
    assert [each["sources"][0]["verdicts"]["sentence"] for each in (first, second)] == [
        "2,093 events: 2,093 accepted",
        "2,093 events: 2,093 there already",
    ]
    proven(tmp_path, 6)
    assert succeed(tmp_path, "demo", "--if-empty") == ""
    told = first["explanation"]
    invoice = succeed(tmp_path, "invoice", "explain", told["invoice"])
    assert all(sentence in invoice for sentence in told["sentences"])


def test_what_is_printed(tmp_path: Path) -> None:
    text = succeed(tmp_path, "demo", "--if-empty")
    assert max(len(line) for line in text.splitlines()) <= 100
    for words in (
        "Atelier Lumière SARL",
        "29,469",
        "How long it took",
        "billing run",
        "invoice explain INV-",
    ):
        assert words in text
    assert not any(line.startswith("ready") for line in text.splitlines())


def test_beside_accounts_of_others_it_loads_nothing(tmp_path: Path) -> None:
    loaded = run(tmp_path, "usage", "import", str(FIXTURES / "oci_small.csv"))
    assert "accepted" in loaded.stdout
    refused = run(tmp_path, "demo")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "[not_a_demo_database]" in refused.stderr
    assert succeed(tmp_path, "demo", "--if-empty") == ""
    assert "accounts, 1 invoices, 0 parked" in succeed(tmp_path, "bill")
    proven(tmp_path, 1)


def test_import_loads_good_rows_and_names_bad_ones(tmp_path: Path) -> None:
    file = tmp_path / "report.csv"
    header, first, *others = (FIXTURES / "focus_small.csv").read_text().splitlines()
    file.write_text(
        "\n".join([header, first, first.replace(",2.00000000000,", ",NaN,"), "cut", *others]) + "\n"
    )
    folder = tmp_path / "data"
    done = run(folder, "usage", "import", str(file))
    assert done.returncode == 1
    assert "line 3 was refused: PricingQuantity is not a finite number" in done.stdout
    assert "line 4 was refused: row has 1 cells" in done.stdout
    assert "NaN" not in done.stdout
    shown = parsed(run(folder, "usage", "import", str(file), "--format", "focus", "--json").stdout)
    assert [row["line_no"] for row in shown["refused"]] == [3, 4]
    assert (shown["events"]["accepted"], shown["events"]["duplicate"]) == (0, 6)
    other = run(folder, "usage", "import", str(file), "--format", "oci")
    assert (other.returncode, other.stdout) == (1, "")
    assert "header" in other.stderr
    assert run(folder, "usage", "import", str(tmp_path / "absent.csv")).returncode == 2


def test_data_that_is_not_there(tmp_path: Path) -> None:
    for folder in (tmp_path / "absent", tmp_path):
        done = run(tmp_path / "data", "demo", "--data", str(folder))
        assert (done.returncode, done.stdout) == (1, "")
        assert "[not_found]" in done.stderr


@pytest.mark.skipif(
    not DATA, reason="TALLYSTICK_REAL_DATA does not name a folder with the published reports and traces"
)
def test_the_published_files_twice(tmp_path: Path) -> None:
    text = " ".join(succeed(tmp_path, "demo", "--data", DATA).split())
    for words in (
        "858 of 860 FOCUS rows agree to the last digit",
        "line 858 cannot agree: Microsoft, Tiered Block Blob",
        "line 861 cannot agree: Microsoft, Tables",
        "priced per block of 10,000 units",
        "317 of 317 OCI rows agree to the last digit",
        "665 of 712 AWS CUR rows agree to the last digit at the charged price",
        "712 of 712 AWS CUR rows agree to the last digit at the list price",
        "47 rows (lines 43 to 49, 188 to 189,",
        "cannot agree for one reason the report's cost is a sum of parts",
        "405 of 405 FOCUS invoice lines are the exact sum of their rows",
        "13 of 13 OCI invoice lines are the exact sum of their rows",
        "195 of 195 AWS CUR invoice lines are the exact sum of their rows",
        "12 rows (lines 2 to 13) are not billed: a tax is not usage",
        "860 events: 860 accepted",
        "317 events: 317 accepted",
        "712 events: 712 accepted",
        "17,638 events: 17,638 accepted",
        "19,508 events: 19,508 accepted",
    ):
        assert words in text
    assert text.count("16 of 16 token invoice lines are exactly what their tokens come to") == 2
    again = parsed(succeed(tmp_path, "demo", "--data", DATA, "--json"))
    agreeing = [each["comparison"]["agreeing"] for each in again["sources"] if each["comparison"]]
    assert agreeing == [665, 858, 317]
    assert [each["verdicts"]["duplicate"] for each in again["sources"]] == [712, 860, 17638, 19508, 317]
    ((_, usd),) = [(each["currency"], each) for each in again["totals"]]
    assert (usd["invoices"], usd["lines"]) == (79, 645)
    proven(tmp_path, 79)


def year(folder: Path, *arguments: str) -> dict[str, Any]:
    return parsed(succeed(folder, "subscribers", *arguments, "--json"))


def test_a_list_of_subscribers_for_a_year_on_a_clock(tmp_path: Path) -> None:
    done = run(tmp_path, "subscribers", str(FIXTURES / "subscribers_small.csv"), "--zone", "America/New_York")
    assert done.returncode == 1, done.stderr  # rows were refused; the others are billed
    told = " ".join(done.stdout.split())
    for words in (
        "36 invoices, together 1,852.20",
        "the list itself: 12 × the sum of its monthly charges = 1,852.20",
        "3 of 3 subscribers were billed 12 times their monthly charge, to the cent",
        "1 have left",
        "trial balance of the test entity: 0.00",
        "0 broken",
        "line 6 was refused: InternetService",
    ):
        assert words in told
    again = run(
        tmp_path, "subscribers", str(FIXTURES / "subscribers_small.csv"), "--zone", "America/New_York"
    )
    assert "36 invoices, together 1,852.20" in again.stdout
    proven(tmp_path, 36)
    other = run(tmp_path, "subscribers", str(FIXTURES / "subscribers_small.csv"), "--year", "2026")
    assert "[subscribers_elsewhere]" in other.stderr
    assert run(tmp_path, "subscribers", str(FIXTURES / "focus_small.csv")).returncode == 1
    assert run(tmp_path, "subscribers", str(tmp_path / "absent.csv")).returncode == 2


@pytest.mark.skipif(not DATA, reason="TALLYSTICK_REAL_DATA does not name a folder with the published list")
@pytest.mark.parametrize("only", [250, pytest.param(None, marks=pytest.mark.long, id="all")])
def test_the_published_subscribers_for_a_year(tmp_path: Path, only: int | None) -> None:
    """Twelve times the monthly charges of the list, added up here from the file itself."""
    (path,) = Path(DATA).rglob("Telco-Customer-Churn.csv")
    with path.open() as stream:
        rows = list(csv.DictReader(stream))[:only]
    expected = 12 * sum(Decimal(row["MonthlyCharges"]) for row in rows)
    told = year(tmp_path, str(path), *([] if only is None else ["--only", str(only)]))
    assert (told["subscribers"], told["agreeing"]) == (len(rows), len(rows))
    assert (told["invoices"], told["total"], told["expected"]) == (12 * len(rows), expected, expected)
    assert [each["invoices"] for each in told["months"]] == [len(rows)] * 12
    assert {each["total"] for each in told["months"]} == {expected / 12}
    assert (told["trial_balance"], told["broken"], told["well"]) == (0, [], True)
    assert told["left"] == sum(row["Churn"] == "Yes" for row in rows)
