"""The examples of the API's description are what a walk through a fresh house asks and gets."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import support

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import examples

from tallystick.apps.subscription_service import create_app

DESCRIPTION = json.loads(
    json.dumps(create_app(support.make_settings("postgresql://nowhere", Path("nowhere"))).openapi())
)
OPERATIONS = {
    operation["operationId"]: operation
    for item in DESCRIPTION["paths"].values()
    for operation in item.values()
}
EACH = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
BODILESS = {
    "finalize_invoice", "pay_invoice", "void_invoice", "release_wallet_hold", "diff_backfill", "revert_backfill", "cancel_backfill",
}  # fmt: skip
"""What takes no body, or an empty one."""


def contents(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Every body of the operation, its request's first."""
    request = operation.get("requestBody", {}).get("content", {})
    answers = [
        kind for response in operation["responses"].values() for kind in response.get("content", {}).values()
    ]
    return [*request.values(), *answers]


@EACH
def test_every_operation_shows_a_request_and_an_answer(operation: dict[str, Any]) -> None:
    name = operation["operationId"]
    if "requestBody" in operation and name not in BODILESS:
        assert all("example" in kind for kind in operation["requestBody"]["content"].values())
    answers = [
        kind
        for status, response in operation["responses"].items()
        if status < "4"
        for kind in response.get("content", {}).values()
    ]
    assert not answers or any("example" in kind for kind in answers)


@EACH
def test_examples_are_as_their_schemas_say(operation: dict[str, Any]) -> None:
    for kind in contents(operation):
        if "example" in kind and not isinstance(kind["example"], str):
            schema = {**kind["schema"], "components": DESCRIPTION["components"]}
            jsonschema_rs.Draft202012Validator(schema).validate(kind["example"])


def test_no_secret_and_no_machine_is_shown() -> None:
    text = examples.FILE.read_text()
    assert not re.search(r"eyJ[\w-]{30,}\.[\w-]{30,}", text)
    assert not re.search(r"ts[kr]_[\w-]{20,}", text)
    assert "/tmp" not in text
    assert len(text) < 300_000


def shape(value: Any) -> Any:
    """The names and kinds of a body, without its values; a list has the shape of its first member."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


async def test_the_walk_can_still_be_walked(database_url: str, tmp_path: Path) -> None:
    """Each request is accepted today, and each answer has the fields that are shown."""
    shown = json.loads(examples.FILE.read_text())
    walked = await examples.record(database_url, tmp_path)
    assert sorted(walked) == sorted(shown) == sorted(OPERATIONS), "run scripts/examples.py"
    for name, found in walked.items():
        assert shape(found) == shape(shown[name]), f"{name}: run scripts/examples.py"
        assert found["status"] == shown[name]["status"]
