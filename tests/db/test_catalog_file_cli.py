"""`tallystick catalog` as a person runs it."""

from pathlib import Path

import pytest

from tallystick.platform.db import Database
from tests.db.test_identity_cli import Program

SAMPLE = Path(__file__).parents[2] / "src" / "tallystick" / "sample" / "catalog.yaml"


@pytest.fixture
def program(database_url: str, tmp_path: Path) -> Program:
    return Program(database_url, tmp_path)


async def test_the_example_applies_and_its_export_changes_nothing(program: Program, tmp_path: Path) -> None:
    seen = await program("catalog", "diff", str(SAMPLE))
    assert (seen.status, seen.err) == (0, "")
    assert "8 to add, 0 to change, 0 to retire" in seen.out
    assert "Nobody has it yet. Each new subscription: 400.00 USD a month." in seen.out
    done = await program("catalog", "apply", str(SAMPLE), "--yes")
    assert (done.status, done.out.splitlines()[-1]) == (0, "Applied: the catalog is at version 1.")
    file = tmp_path / "out.yaml"
    assert (await program("catalog", "export", "-o", str(file))).status == 0
    assert (await program("catalog", "export")).out == file.read_text()
    assert (await program("catalog", "export", "--json")).json["catalog"] == file.read_text()
    again = await program("catalog", "apply", str(file), "--yes", "--prune", "--json")
    assert (again.status, again.json["version"], again.json["changes"]) == (0, None, [])


async def test_it_asks_before_it_applies(program: Program, database: Database) -> None:
    refused = await program("catalog", "apply", str(SAMPLE), stdin="n\n")
    assert refused.status == 1
    assert "8 to add" in refused.out
    assert "Nothing was applied." in refused.err
    assert (await program("catalog", "apply", str(SAMPLE), stdin="")).status == 1
    async with database.read() as session:
        assert await session.fetchval("SELECT count(*) FROM plans") == 0
    assert (await program("catalog", "apply", str(SAMPLE), stdin="y\n")).status == 0


async def test_history_and_rollback(program: Program, tmp_path: Path) -> None:
    nothing = await program("catalog", "rollback", "--yes")
    assert (nothing.status, "catalog_version_not_found" in nothing.err) == (1, True)
    file = tmp_path / "catalog.yaml"
    file.write_text("plans:\n  team: {name: Team, price: 29, currency: USD}\n")
    await program("catalog", "apply", str(file), "-y")
    file.write_text("plans:\n  team: {name: Team, price: 39, currency: USD}\n")
    await program("catalog", "apply", str(file), "-y")
    back = await program("catalog", "rollback", "--yes")
    assert back.status == 0, back.err
    assert "~ plan team (changed, version 2 → 3)" in back.out
    assert "    price: 39.00 → 29.00" in back.out
    listed = await program("catalog", "history", "--json")
    assert [(each["version"], each["what"], each["who"]) for each in listed.json] == [
        (3, "rollback to 1", "system:cli"), (2, "apply", "system:cli"), (1, "apply", "system:cli"),
    ]  # fmt: skip
    assert len(listed.json[2]["digest"]) == 64
    start = await program("catalog", "rollback", "0", "--yes", "--json")
    assert [(each["code"], each["action"]) for each in start.json["changes"]] == [("team", "retire")]


async def test_mistakes_are_told_at_their_lines_and_exit_with_1(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("plans:\n  team:\n    name: Team\n    price: cheap\n    currency: UDS\n")
    for command in ("diff", "apply"):
        bad = await program("catalog", command, str(file))
        assert (bad.status, bad.out) == (1, "")
        assert (
            "  prices.yaml:4:5: plans.team.price: must be a plain decimal number such as 12.50\n" in bad.err
        )
        assert (
            "  prices.yaml:5:5: plans.team.currency: must be an ISO 4217 currency code such as USD\n"
            in bad.err
        )
    assert (await program("catalog", "diff", str(tmp_path / "none.yaml"))).status == 2
    assert (await program("catalog", "diff", "-", stdin="plans: {}\n")).status == 0
