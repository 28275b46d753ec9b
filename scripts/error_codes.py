"""Writes docs/errors.md: every `code` a refusal may carry, with its status and sentence, read from the sources.

    .venv/bin/python scripts/error_codes.py

A test compares the file with the sources, so that a code is documented before it is shown.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tallystick"
PAGE = ROOT / "docs" / "errors.md"
HEAD = """# Error codes

Every refusal carries a `code` that programs may rely on: stable, never reused for something else. `details` names the fields; the sentence
is for people and may change. Made by `scripts/error_codes.py` from the sources.

| code | status | means |
| --- | --- | --- |
"""


def classes() -> dict[str, tuple[str, int, str, str]]:
    """Refusals by class name: base, status, code, sentence; own values or those of the base."""
    found: dict[str, tuple[str, int | None, str | None, str | None]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.bases and isinstance(node.bases[0], ast.Name):
                own = dict(_assigned(node))
                if "code" in own or "sentence" in own or node.bases[0].id == "Refusal":
                    key = (
                        node.name if node.name not in found else f"{node.name} of {path.relative_to(SOURCE)}"
                    )
                    found[key] = (
                        node.bases[0].id, own.get("status"), own.get("code"), own.get("sentence"),  # type: ignore[arg-type]
                    )  # fmt: skip
    return {name: _resolved(name, found) for name in found if _is_refusal(name, found)}


def _assigned(node: ast.ClassDef) -> Iterator[tuple[str, object]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = statement.value.elts if isinstance(statement.value, ast.Tuple) else [statement.value]
            for name, value in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and name.id in ("status", "code", "sentence"):
                    yield name.id, ast.literal_eval(value)


def _is_refusal(name: str, found: dict[str, tuple[str, int | None, str | None, str | None]]) -> bool:
    while name in found:
        name = found[name][0]
    return name == "Refusal"


def _resolved(
    name: str, found: dict[str, tuple[str, int | None, str | None, str | None]]
) -> tuple[str, int, str, str]:
    base, status, code, sentence = found[name]
    above = _resolved(base, found) if base in found else (base, 400, "refused", "The request was refused")
    return base, status or above[1], code or above[2], sentence or above[3]


def rows() -> dict[str, tuple[int, str]]:
    """Status and sentence per code, those given in a call included."""
    known = classes()
    found = {code: (status, sentence) for _, status, code, sentence in known.values()}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = _called(node.func)
                reason = verdict_reason(node)
                if reason:
                    found.setdefault(reason, (422, "see details"))
                for keyword in node.keywords:
                    if name in known and keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        found.setdefault(keyword.value.value, (known[name][1], _sentence(node)))
    return dict(sorted(found.items()))


def verdict_reason(node: ast.Call) -> str | None:
    """The reason in `invalid("reason", …)` or `Verdict("invalid", "reason", …)`: what an event's verdict says, and a single event's refusal."""
    texts = [
        part.value for part in node.args[:2] if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    if not isinstance(node.func, ast.Name) or not texts:
        return None
    if node.func.id == "invalid":
        return texts[0]
    return texts[1] if node.func.id == "Verdict" and texts[0] == "invalid" and len(texts) == 2 else None


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return _called(function.value)
    return function.id if isinstance(function, ast.Name) else ""


def _sentence(node: ast.Call) -> str:
    parts = [
        part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    if isinstance(node.func, ast.Attribute):
        return ": ".join(parts) if len(parts) == 2 else "see details"
    return parts[0] if parts else "see details"


def page() -> str:
    """The whole document."""
    return HEAD + "".join(
        f"| `{code}` | {status} | {sentence} |\n" for code, (status, sentence) in rows().items()
    )


if __name__ == "__main__":
    PAGE.write_text(page())
