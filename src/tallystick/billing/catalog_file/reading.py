"""YAML, read strictly: a tree of plain values in which every one knows its place.

A subset of YAML 1.2's core schema, because YAML is where prices get lost: numbers are read from their digits (`0.1` is a Decimal, never
a binary float), what other readers take for something else (`010`, `1_000`, `1:30`, `.5`) is refused, and so are tags, anchors and
aliases, which could run or multiply things. Source: yaml.org/spec/1.2.2 §10.3.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import yaml

from tallystick.kernel.errors import Invalid, TooLarge

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 32
MAX_SHOWN = 100
"""Mistakes that are told at once; a file with more is told that there are more."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,39})", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,39})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_DOUBTFUL = re.compile(r"[+-]?(\.?[0-9][0-9_,.:eExXob+a-fA-F-]*|\.(inf|Inf|INF|nan|NaN|NAN))", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.+Z-]+)?", re.ASCII)
_WORDS = {"": None, "~": None} | {
    spelling: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelling in (word, word.capitalize(), word.upper())
}
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:\[\]-]", re.ASCII)
_INDENT_TAB = re.compile(r"^ *\t[ \t]*(?=[^\s#])", re.MULTILINE)


class CatalogFileInvalid(Invalid):
    code = "catalog_file_invalid"
    sentence = "The catalog file has mistakes; details names each at its line and column. Nothing was changed"


class CatalogFileTooLarge(TooLarge):
    code = "catalog_file_too_large"
    sentence = "A catalog file may have 16 MiB at most"


class Mistake(NamedTuple):
    """What is wrong, and where: line and column count from 1, `path` is empty for the file as a whole."""

    line: int
    column: int
    path: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands: a mapping's entry at its key, a list's entry at its first character."""

    value: Any
    line: int
    column: int


class _Stop(Exception):
    """The file cannot be read any further."""


def read(text: str) -> tuple[Node | None, list[Mistake]]:
    """The file's one document, None where it cannot be read or holds nothing; and what is wrong with it as YAML."""
    mistakes = list(_unreadable(text))
    if mistakes:
        return None, mistakes
    composer = _Composer(mistakes)
    try:
        events = yaml.parse(text, Loader=_LOADER)
        return composer.document(events), mistakes
    except _Stop:
        return None, mistakes
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = ": ".join(part for part in (error.context, error.problem) if part)
        mistakes.append(Mistake(line, column, "", f"is not YAML: {said}"))
    except yaml.YAMLError:
        mistakes.append(Mistake(1, 1, "", "is not YAML"))
    return None, mistakes


def decoded(data: bytes) -> str:
    """The text of a file. Raises `CatalogFileTooLarge`, and `CatalogFileInvalid` where it is not UTF-8."""
    if len(data) > MAX_BYTES:
        raise CatalogFileTooLarge
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise refusal([Mistake(line, column, "", "is not UTF-8")]) from None


def refusal(mistakes: list[Mistake], name: str | None = "catalog.yaml") -> CatalogFileInvalid:
    """The refusal that tells the mistakes in order of their places: details maps `catalog.yaml:17:5: plans.pro.price` to a sentence.

    Without a file's name, as over HTTP, `file[17:5].plans.pro.price`.
    """
    details: dict[str, str] = {}
    told = sorted(set(mistakes))
    for mistake in told[:MAX_SHOWN]:
        key = _place(mistake, name)
        details[key] = f"{details[key]}; {mistake.sentence}" if key in details else mistake.sentence
    if len(told) > MAX_SHOWN:
        details[name or "file"] = f"has {len(told)} mistakes; the first {MAX_SHOWN} are told"
    return CatalogFileInvalid(details=details)


def _place(mistake: Mistake, name: str | None) -> str:
    path = _UNSAFE.sub("?", mistake.path)[:200]  # names that are no plain words are not repeated
    if name is None:
        place = f"file[{mistake.line}:{mistake.column}]"
        return f"{place}.{path}"[:100] if path and "?" not in path else place
    place = f"{name}:{mistake.line}:{mistake.column}"
    return f"{place}: {path}" if path else place


def plain(node: Node) -> Any:
    """The node's value without places."""
    if isinstance(node.value, dict):
        return {key: plain(each) for key, each in node.value.items()}
    if isinstance(node.value, list):
        return [plain(each) for each in node.value]
    return node.value


def locate(node: Node, path: str) -> Node:
    """The node that a path such as `charges[0].properties.tiers[1].up_to` leads to, or the deepest one on the way that is there.

    Keys may hold points and brackets themselves, so the longest key that fits is taken.
    """
    path = path.removeprefix(".")
    if not path:
        return node
    if isinstance(node.value, list):
        index = re.match(r"\[(\d{1,9})\]", path)
        if index and int(index[1]) < len(node.value):
            return locate(node.value[int(index[1])], path[index.end() :])
    elif isinstance(node.value, dict):
        fits = [key for key in node.value if path == key or path.startswith((f"{key}.", f"{key}["))]
        if fits:
            key = max(fits, key=len)
            return locate(node.value[key], path[len(key) :])
    return node


def _unreadable(text: str) -> Iterator[Mistake]:
    for pattern, sentence in (
        (_FORBIDDEN, "holds a character that YAML does not allow"),
        (_INDENT_TAB, "is indented with a tab; use spaces"),
    ):
        for found in pattern.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            at = found.end() - 1 if pattern is _INDENT_TAB else found.start()
            yield Mistake(line, at - text.rfind("\n", 0, at), "", sentence)
            if line > MAX_SHOWN:
                return


class _Composer:
    """Events → nodes. Recursion is bounded by `MAX_DEPTH`, and the parser's own work by the length of the file."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes

    def document(self, events: Iterator[Any]) -> Node | None:
        found: Node | None = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.note(event, "", "begins a second document; a catalog is one")
                    raise _Stop
            elif isinstance(event, yaml.NodeEvent):
                found = self.node(event, events, (event.start_mark.line, event.start_mark.column), "", 1)
        return None if found is None or found.value is None else found

    def node(self, event: Any, events: Iterator[Any], at: tuple[int, int], path: str, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            self.note(event, path, "is an alias; write the value out")
            return _at(None, at)
        if event.anchor is not None:
            self.note(event, path, "has an anchor; write the value out where it is needed")
        if event.tag is not None:
            self.note(event, path, "has a tag; a catalog needs none")
        if isinstance(event, yaml.ScalarEvent):
            return _at(self.scalar(event, path), at)
        if depth > MAX_DEPTH:
            self.note(event, path, f"is nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        if isinstance(event, yaml.MappingStartEvent):
            return _at(self.mapping(events, path, depth), at)
        return _at(self.sequence(events, path, depth), at)

    def mapping(self, events: Iterator[Any], path: str, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                return found
            key = self.key(event, events, path, depth)
            at = (event.start_mark.line, event.start_mark.column)
            inner = "" if key is None else f"{path}.{key}" if path else key
            value = self.node(next(events), events, at, inner or path, depth + 1)
            if key is None:
                continue
            if key in found:
                self.note(event, inner, f"stands here a second time; the first is on line {found[key].line}")
            else:
                found[key] = value
        raise _Stop

    def key(self, event: Any, events: Iterator[Any], path: str, depth: int) -> str | None:
        """A key as text; None for what cannot be one. Numbers and words are taken as they are spelled: codes may look like them."""
        if isinstance(event, yaml.ScalarEvent) and event.anchor is None and event.tag is None:
            return str(event.value)
        self.note(event, path, "has a key that is not plain text")
        if not isinstance(event, yaml.ScalarEvent):
            self.node(event, events, (event.start_mark.line, event.start_mark.column), path, depth + 1)
        return None

    def sequence(self, events: Iterator[Any], path: str, depth: int) -> list[Node]:
        found: list[Node] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                return found
            at = (event.start_mark.line, event.start_mark.column)
            found.append(self.node(event, events, at, f"{path}[{len(found)}]", depth + 1))
        raise _Stop

    def scalar(self, event: Any, path: str) -> Any:
        text: str = event.value
        if event.style:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return Decimal(text)
        if _DOUBTFUL.fullmatch(text) and not _DATE.fullmatch(text):
            self.note(
                event,
                path,
                "may be read as a number or as text; write a plain decimal number, or put it in quotes",
            )
        return text

    def note(self, event: Any, path: str, sentence: str) -> None:
        mark = event.start_mark
        self.mistakes.append(Mistake(mark.line + 1, mark.column + 1, path, sentence))
        if len(self.mistakes) > 10 * MAX_SHOWN:
            raise _Stop


def _at(value: Any, at: tuple[int, int]) -> Node:
    return Node(value, at[0] + 1, at[1] + 1)
