"""Writes apps/refusals.json: which codes each operation of the API may be refused with, read from the sources.

    .venv/bin/python scripts/refusals.py

Follows every name that an endpoint's code refers to, through imports, to the refusals that are raised there. It finds rather too many than too few:
a branch that one caller never takes counts for all. A test compares the file with the sources; answers are held against it by schema.
"""

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import error_codes

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
FILE = SOURCE / "tallystick" / "apps" / "refusals.json"
Node = tuple[str, str]  # module, name
METHODS = {"get", "post", "put", "delete", "patch"}
EVERYWHERE: tuple[Node, ...] = (
    ("tallystick.platform.http.routes", "StrictRequest"),
    ("tallystick.platform.http.routes", "_admit"),
    ("tallystick.platform.http.errors", "from_exception"),
    ("tallystick.platform.http.errors", "from_validation"),
    ("tallystick.platform.http.edge", "Edge"),
    ("tallystick.platform.rate_limit", "rate_limits"),
    ("tallystick.identity.authentication", "authenticate"),
)
"""What stands around every endpoint."""
WRITES: tuple[Node, ...] = (
    ("tallystick.platform.http.routes", "_write"),
    ("tallystick.platform.http.routes", "sent_key"),
)
"""And around every one that keeps idempotency keys."""  # fmt: skip

OF_WRITES = {"duplicate", "reference"}
"""What the database says to writers only."""


@dataclass
class Module:
    """A source file: what it defines, and what its other names stand for."""

    name: str
    defined: dict[str, ast.AST] = field(default_factory=dict)
    imported: dict[str, tuple[str, str | None]] = field(default_factory=dict)


@cache
def modules() -> dict[str, Module]:
    """Every module by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = _module(name, ast.parse(path.read_text()))
    return found


def _module(name: str, tree: ast.Module) -> Module:
    module = Module(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module.imported[alias.asname or alias.name] = (node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                module.imported[alias.asname or alias.name] = (alias.name, None)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.defined[node.name] = node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    module.defined[target.id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            module.defined[node.target.id] = node.value
    return module


def resolve(module: str, name: str) -> Node | str | None:
    """What a name of a module stands for: something defined (node), a module (its name), or nothing of ours."""
    here = modules()[module]
    if name in here.defined:
        return module, name
    if name not in here.imported:
        return None
    source, attribute = here.imported[name]
    if attribute is None:
        return source if source in modules() else None
    if f"{source}.{attribute}" in modules():
        return f"{source}.{attribute}"
    return resolve(source, attribute) if source in modules() else None


def refers(module: str, tree: ast.AST) -> Iterator[tuple[Node, str | None]]:
    """What the code of `tree` refers to, with the `code` given to it where it is called with one."""
    caught: set[ast.AST] = set()
    codes: dict[ast.AST, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            caught.update(ast.walk(node.type))
        elif isinstance(node, ast.ClassDef):
            caught.update(part for base in node.bases for part in ast.walk(base) if is_refusal(module, base))
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    codes[node.func] = str(keyword.value.value)
                    if isinstance(node.func, ast.Attribute):
                        codes[node.func.value] = str(keyword.value.value)
    for node in ast.walk(tree):
        if node in caught:
            continue
        found = target(module, node)
        if isinstance(found, tuple):
            yield found, codes.get(node)


def target(module: str, node: ast.AST) -> Node | str | None:
    """What an expression stands for, through modules."""
    if isinstance(node, ast.Name):
        return resolve(module, node.id)
    if isinstance(node, ast.Attribute):
        owner = target(module, node.value)
        return resolve(owner, node.attr) if isinstance(owner, str) else None
    return None


def is_refusal(module: str, node: ast.AST) -> bool:
    """Whether an expression is one of the classes of refusals."""
    found = target(module, node)
    return isinstance(found, tuple) and (
        found[1] in refusals() or found == ("tallystick.kernel.errors", "Refusal")
    )


@cache
def direct(node: Node) -> tuple[frozenset[str], frozenset[Node]]:
    """The codes that a definition raises itself, and what else it refers to."""
    tree = modules()[node[0]].defined[node[1]]
    reasons = (error_codes.verdict_reason(part) for part in ast.walk(tree) if isinstance(part, ast.Call))
    codes, others = {reason for reason in reasons if reason}, set()
    for found, code in refers(node[0], tree):
        if found[1] in refusals():
            codes.add(code or own_code(found))
        elif found != node:
            others.add(found)
    return frozenset(codes), frozenset(others)


def own_code(node: Node) -> str:
    """The code of a class of refusals: two contexts may use one name for a class."""
    tree = modules()[node[0]].defined[node[1]]
    for statement in getattr(tree, "body", []):
        if (
            isinstance(statement, ast.Assign)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.targets[0], ast.Name)
            and statement.targets[0].id == "code"
        ):
            return str(statement.value.value)
    return refusals()[node[1]]


@cache
def refusals() -> dict[str, str]:
    """The code of each class of refusals."""
    return {name: code for name, (_, _, code, _) in error_codes.classes().items() if code != "refused"}


def reachable(*starts: Node) -> set[str]:
    """The codes of everything that the starting points lead to."""
    seen, open_ = set(starts), list(starts)
    codes: set[str] = set()
    while open_:
        own, others = direct(open_.pop())
        codes |= own
        open_ += others - seen
        seen |= others
    return codes


def endpoints() -> Iterator[tuple[str, str, ast.AsyncFunctionDef]]:
    """Module, method and definition of every endpoint."""
    for module in modules().values():
        for node in module.defined.values():
            for part in ast.walk(node):
                if isinstance(part, ast.AsyncFunctionDef):
                    for decorator in part.decorator_list:
                        called = decorator.func if isinstance(decorator, ast.Call) else None
                        if isinstance(called, ast.Attribute) and called.attr in METHODS:
                            yield module.name, called.attr, part


def table() -> dict[str, dict[str, list[str]]]:
    """By operation and status the codes, sorted."""
    statuses = {code: status for code, (status, _) in error_codes.rows().items()}
    around = reachable(*EVERYWHERE)
    kept = reachable(*WRITES)
    found: dict[str, dict[str, list[str]]] = {}
    for module, method, node in endpoints():
        marks = {part.id for part in node.decorator_list if isinstance(part, ast.Name)}
        codes = set(around)
        for reference, code in refers(module, node):
            codes |= {code or own_code(reference)} if reference[1] in refusals() else reachable(reference)
        codes -= kept - around
        if method != "get" and not marks & {"own_transaction", "direct"}:
            codes |= kept
        if "secret_answer" not in marks:
            codes.discard("already_issued")
        if method == "get":
            codes -= OF_WRITES
        by_status = defaultdict(set)
        for code in codes:
            by_status[str(statuses[code])].add(code)
        found[node.name] = {status: sorted(names) for status, names in sorted(by_status.items())}
    return dict(sorted(found.items()))


def content() -> str:
    """The file: the sentence of each code that is used, then the codes by operation."""
    operations = table()
    used = {code for by_status in operations.values() for codes in by_status.values() for code in codes}
    sentences = {code: sentence for code, (_, sentence) in error_codes.rows().items() if code in used}
    return json.dumps({"sentences": sentences, "operations": operations}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(content())
