"""docs/schema.md says what the declared tables and the views say."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import schema_doc

from tallystick.migrations.models import metadata


async def test_the_page_is_what_the_generator_makes(database_url: str) -> None:
    assert schema_doc.PAGE.read_text() == await schema_doc.page(database_url), "run scripts/schema_doc.py"


def test_every_table_stands_in_one_diagram_and_says_what_it_is() -> None:
    text = schema_doc.tables()
    drawn = re.findall(r"^    (\w+) \{$", text, re.MULTILINE)
    assert sorted(drawn) == sorted(metadata.tables)
    told = dict(re.findall(r"^- `(\w+)`: (.*)$", text, re.MULTILINE))
    assert sorted(told) == sorted(metadata.tables)
    assert all(len(sentence) > 10 for sentence in told.values())


def test_diagrams_are_drawable() -> None:
    """Each line of a diagram is one that mermaid's grammar of entity diagrams knows."""
    entity = re.compile(r"    \w+ \{|    \}")
    attribute = re.compile(r'        [a-z][\w\[\]]* \w+( (PK|FK)(, FK)?)?( "[^"]+")?')
    relation = re.compile(r'    \w+ (\|\||\|o)--(o\{|o\|) \w+ : "[^"]+"')
    diagrams = re.findall(r"```mermaid\nerDiagram\n(.*?)```", schema_doc.tables(), re.DOTALL)
    assert len(diagrams) > 8
    for diagram in diagrams:
        for line in diagram.splitlines():
            assert entity.fullmatch(line) or attribute.fullmatch(line) or relation.fullmatch(line), line
