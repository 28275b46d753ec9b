"""The API's description reads well and is true: sections, operation ids, refusals, examples that were really asked and answered."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import support
from fastapi import FastAPI

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import refusals

from tallystick.apps.subscription_service import TEXTS, create_app

DESCRIPTION = json.loads(
    json.dumps(create_app(support.make_settings("postgresql://nowhere", Path("nowhere"))).openapi())
)
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, item in DESCRIPTION["paths"].items()
    for method, operation in item.items()
]
EACH = pytest.mark.parametrize(("label", "operation"), OPERATIONS, ids=[label for label, _ in OPERATIONS])


def test_operation_ids_are_unique_names() -> None:
    names = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []


def test_sections_stand_in_order_and_say_what_they_are() -> None:
    told = [tag["name"] for tag in DESCRIPTION["tags"]]
    assert told == list(TEXTS.order)
    assert all(tag["description"].endswith((".", "?")) for tag in DESCRIPTION["tags"])
    assert {tag for _, operation in OPERATIONS for tag in operation["tags"]} == set(told)


def test_the_introduction_tells_the_conventions() -> None:
    text = DESCRIPTION["info"]["description"]
    for heading in ("Credentials", "Answers", "Never twice", "Money", "Time", "Lists"):
        assert f"## {heading}" in text
    assert DESCRIPTION["servers"]


@EACH
def test_every_operation_says_what_it_does(label: str, operation: dict[str, Any]) -> None:
    assert 3 <= len(operation["summary"]) <= 72, operation["summary"]
    assert not operation["summary"].endswith(".")
    assert len(operation.get("description", "")) > 10


def codes_of(response: dict[str, Any]) -> set[str]:
    """The codes that the schema of a refusal allows."""
    schema = response["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = DESCRIPTION["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return {code for part in schema.get("allOf", []) for code in part.get("properties", {}).get("code", {}).get("enum", [])}  # fmt: skip


@EACH
def test_every_refusal_names_its_codes(label: str, operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        if int(status) >= 400 and label != "POST /v1/auth/token" and label != "GET /v1/health":
            codes = codes_of(response)
            assert codes, status
            assert all(f"`{code}`" in response["description"] for code in codes)


def test_the_codes_are_those_of_the_sources() -> None:
    assert refusals.FILE.read_text() == refusals.content(), "run scripts/refusals.py"


def test_well_known_refusals_are_where_they_belong() -> None:
    """The reading of the sources finds what a person would."""
    known = {operation["operationId"]: operation["responses"] for _, operation in OPERATIONS}
    assert {"email_taken", "external_id_taken"} <= codes_of(known["create_account"]["409"])
    assert "email_taken" not in codes_of(known["create_plan"]["409"])
    assert "event_conflict" in codes_of(known["record_event"]["409"])
    assert codes_of(known["get_invoice"]["404"]) == {"not_found"}
    assert "stale" in codes_of(known["update_account"]["412"])
    assert "idempotency_key_reused" in codes_of(known["create_plan"]["422"])
    assert "idempotency_key_reused" not in codes_of(known["list_plans"]["422"])


async def test_the_page_of_the_description(app: FastAPI, client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).json() == json.loads(json.dumps(app.openapi()))
    for page in ("/docs", "/redoc"):
        assert (await client.get(page)).status_code == 200
