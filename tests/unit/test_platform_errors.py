"""Every failure as one body: which, how it is told, what PostgreSQL's own errors mean to a client."""

import json

import asyncpg
import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tallystick.kernel import errors as kernel
from tallystick.platform.http.envelope import matches, refusal
from tallystick.platform.http.errors import (
    from_exception,
    from_http,
    from_sqlstate,
    from_validation,
    responses,
)


def sql_error(state: str) -> asyncpg.PostgresError:
    made: asyncpg.PostgresError = asyncpg.PostgresError.new({"C": state, "M": "secret inside", "S": "ERROR"})
    return made


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("23505", 409), ("23503", 409), ("23001", 409),
        ("23514", 422), ("22003", 422), ("22021", 422), ("22P02", 422), ("22P05", 422), ("22007", 422), ("22008", 422),
        ("40001", 503), ("40P01", 503), ("55P03", 503), ("57014", 503), ("57P01", 503), ("57P03", 503), ("53300", 503),
        ("53100", 503), ("08006", 503), ("08000", 503),
        ("42P01", 500), ("42703", 500), ("42601", 500), ("42501", 500), ("XX000", 500), ("25006", 500), ("23502", 500),
    ],
)  # fmt: skip
def test_sqlstates(state: str, status: int) -> None:
    told = from_exception(sql_error(state))
    assert told.status == status
    assert "secret" not in told.sentence
    assert (told.retry_after is not None) == (status == 503)
    assert (from_sqlstate(sql_error(state)) is None) == (status == 500)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectionRefusedError("secret"), 503),
        (TimeoutError(), 503),
        (asyncpg.InterfaceError("secret"), 503),
        (ValueError("secret"), 500),
        (KeyError("secret"), 500),
        (ZeroDivisionError("secret"), 500),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "secret"), 400),
        (kernel.NotFound("gone"), 404),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions(error: Exception, status: int) -> None:
    told = from_exception(error)
    assert told.status == status
    assert "secret" not in told.sentence


@pytest.mark.parametrize(
    ("given", "told"), [(404, 404), (405, 405), (401, 401), (413, 413), (400, 400), (418, 400), (503, 500)]
)
def test_errors_of_the_framework(given: int, told: int) -> None:
    assert from_http(HTTPException(given, "secret")).status == told


def test_the_literal_sentences() -> None:
    """CONTRACT §2, word for word."""
    assert (kernel.Unauthenticated.sentence, kernel.Unauthenticated.code) == ("Unauthorized", "unauthorized")
    assert (kernel.RateLimited.sentence, kernel.RateLimited.code) == ("Rate limit exceeded", "rate_limited")
    inside = from_exception(RuntimeError())
    assert (inside.sentence, inside.code) == ("Internal server error", "internal_error")


def test_each_refusal_has_a_status_of_its_own() -> None:
    classes = kernel.Refusal.__subclasses__()
    own = [each for each in classes if each.__module__ == kernel.__name__]
    assert {each.status for each in own} == {400, 401, 402, 403, 404, 409, 412, 413, 415, 422, 429, 503}
    assert len({each.code for each in own}) == len(own)


def test_a_refusal_says_when_to_come_back() -> None:
    answer = refusal(kernel.Unavailable(retry_after=3), "r")
    assert answer.headers["retry-after"] == "3"
    assert json.loads(bytes(answer.body))["request_id"] == "r"
    assert refusal(kernel.Unauthenticated(), "r").headers["www-authenticate"] == "Bearer"
    assert "retry-after" not in refusal(kernel.NotFound(), "r").headers


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("amount", "amount"),
        ("charges[0].properties.unit_amount", "charges[0].properties.unit_amount"),
        ("metadata.<script>", "metadata"),
        ("<script>alert(1)", "(unnamed)"),
        ("a" * 101, "(unnamed)"),
        ("properties." + "a" * 200, "properties"),
        ("", ""),
    ],
)
def test_a_name_that_is_none_is_not_repeated(name: str, told: str) -> None:
    answer = json.loads(bytes(refusal(kernel.Invalid(details={name: "is wrong"}), "r").body))
    assert answer["details"] == {told: "is wrong"}


def test_each_wrong_field_is_named_once() -> None:
    problems = [
        {"type": "missing", "loc": ("body", "name"), "msg": "Field required", "input": "secret"},
        {"type": "extra_forbidden", "loc": ("body", "zip"), "msg": "Extra inputs are not permitted", "input": "secret"},
        {"type": "value_error", "loc": ("body", "rows", 3, "at"), "msg": "Value error, needs an offset", "input": "secret"},
        {"type": "x", "loc": ("query", "limit"), "msg": "m" * 300, "input": "secret"},
        {"type": "x", "loc": ("body",), "msg": "must be an object", "input": "secret"},
    ]  # fmt: skip
    told = from_validation(RequestValidationError(problems))
    assert told.status == 422
    assert told.details == {
        "name": "is required", "zip": "is not a field of this request", "rows.3.at": "needs an offset", "limit": "is not valid",
        "body": "must be an object",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, False), ('"1"', True), ('W/"1"', True), ("*", True), ('"2", "1"', True), ('"2"', False), ("1", False), ("", False),
        (' "1" ', True), ('"11"', False),
    ],
)  # fmt: skip
def test_entity_tags(header: str | None, found: bool) -> None:
    assert matches(header, '"1"') is found


def test_documented_refusals_are_known() -> None:
    assert set(responses(404, 409, 412)) == {404, 409, 412}
    with pytest.raises(KeyError):
        responses(418)
