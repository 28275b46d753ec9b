"""DESIGN §2 as tests: where SQL stands, how large things may grow, what must be documented."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tallystick"
CONTEXTS = (
    "audit", "identity", "entities", "accounts", "catalog", "taxes", "ledger", "rating", "metering", "wallets", "invoicing", "subscriptions",
    "billing",
)  # fmt: skip
MAX_FUNCTION = 70
MAX_MODULE = 600
SQL_FILES = {"repository.py", "queries.py", "invariants.py"}
_SQL = re.compile(
    r"^\s*(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|WITH \w+ AS|CREATE TABLE|DROP TABLE|ALTER TABLE)\b"
)
SQL_ELSEWHERE = {"platform/http/app.py": "the health check asks the database for 1"}
"""Other places where a statement may stand, each with its reason."""


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_MODULE
    for function in functions(ast.parse(text)):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= MAX_FUNCTION, f"{function.name} is {length} lines long"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_sql_stands_in_its_layers_only(path: Path) -> None:
    relative = str(path.relative_to(SOURCE))
    if path.name in SQL_FILES or relative.startswith("migrations/") or relative in SQL_ELSEWHERE:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not _SQL.match(node.value), f"line {node.lineno} holds a statement"


def test_exceptions_to_the_sql_rule_are_alive() -> None:
    for relative in SQL_ELSEWHERE:
        assert "SELECT" in (SOURCE / relative).read_text(), f"{relative} needs no exception any more"


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_context_says_what_it_is(context: str) -> None:
    readme = SOURCE / context / "README.md"
    assert readme.exists()
    assert len(readme.read_text().splitlines()) <= 60


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_public_names_say_what_they_are(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if path.name in {"tables.py", "schemas.py", "api.py"} or "migrations/versions" in str(path):
        wanted: list[ast.stmt] = [
            node for node in tree.body if isinstance(node, ast.ClassDef) and path.name == "tables.py"
        ]
    else:
        wanted = [
            node
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
        ]
    for node in wanted:
        assert isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        assert ast.get_docstring(node), f"{node.name} has no docstring"


FLOAT_FREE = (
    "kernel",
    "rating",
    "invoicing",
    "ledger",
    "taxes",
    "metering",
    "billing",
    "catalog",
    "subscriptions",
)


@pytest.mark.parametrize("context", FLOAT_FREE)
def test_no_float_touches_money_or_quantity(context: str) -> None:
    """`float(` never; a float literal only for seconds, which are named so."""
    for path in (SOURCE / context).rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "float", f"{path.name}:{node.lineno}"


EDGES = {"api.py", "doors.py", "authentication.py", "edge.py", "tasks.py"}
"""Where a request or a job comes in. `doors.py` is the second API of metering (CONTRACT §5)."""

CLOCKLESS = re.compile(r"\b(datetime\.now|datetime\.utcnow|date\.today|time\.time)\(")


@pytest.mark.parametrize("context", CONTEXTS)
def test_only_the_edge_asks_for_the_time(context: str) -> None:
    """Nothing in the domain asks the machine for the time: `platform.edge.system_now` is called by api, tasks and cli alone."""
    for path in (SOURCE / context).rglob("*.py"):
        if path.name not in EDGES:
            text = path.read_text()
            assert not CLOCKLESS.search(text), path
            assert "system_now()" not in text, path


BUSINESS = re.compile(
    r"\b(period_start|period_end|issue_date|due_date|frozen_time|billed_to|finalized_at|paid_at)\s*=\s*now\(\)"
)


def test_business_time_never_comes_from_the_database() -> None:
    for path in modules():
        assert not BUSINESS.search(path.read_text()), path
        assert "current_date" not in path.read_text().lower() or path.name == "test_rules.py", path


def test_nothing_names_a_registry_or_a_machine() -> None:
    locks = sorted(ROOT.glob("requirements*.lock"))
    assert locks
    for lock in locks:
        assert "http://" not in lock.read_text()
        assert "https://" not in lock.read_text()
