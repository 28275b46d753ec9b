"""Logs: one JSON object a line, with what one needs to follow a request, without what nobody may read there."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tallystick.platform import logging as ours

PASSWORD = "SecurePassword123!canary"
CARDS = [
    "4242424242424242",
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "5555555555554444",
    "378282246310005",
    "6011111111111117",
]


Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def plain_again() -> Iterator[None]:
    """Leaves the loggers of other tests as they were."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = handlers, level


def start(capsys: Captured) -> Callable[[], list[dict[str, Any]]]:
    """Sets logging up and gives what was written since, one object a line."""
    ours.configure("tests", "debug")
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_record_is_one_line_of_json(capsys: Captured) -> None:
    lines = start(capsys)
    structlog.get_logger("a").info('several\nlines\r\n{"not": 1}', amount=5, request_id="r-1")
    (line,) = lines()
    assert line["event"] == 'several\nlines\r\n{"not": 1}'
    assert (line["level"], line["service"], line["amount"], line["request_id"]) == ("info", "tests", 5, "r-1")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "name",
    ["password", "new_password", "passwd", "secret", "access_token", "refresh_token", "Authorization", "cookie", "Set-Cookie",
     "x-api-key", "api_key", "apikey", "signature", "card_number", "pan", "cvv", "cvc", "iban", "private_key"],
)  # fmt: skip
def test_secrets_by_name(capsys: Captured, name: str) -> None:
    lines = start(capsys)
    structlog.get_logger().warning(
        "x", **{name: PASSWORD, "inner": {name: [PASSWORD], "deep": [{name: PASSWORD}]}}
    )
    (line,) = lines()
    assert "canary" not in json.dumps(line)
    assert line[name] == ours.REDACTED


@pytest.mark.parametrize("name", ["company", "status", "keyboard", "expands", "author"])
def test_names_that_only_look_like_it(capsys: Captured, name: str) -> None:
    lines = start(capsys)
    structlog.get_logger().info("x", **{name: "open"})
    assert lines()[0][name] == "open"


@pytest.mark.parametrize("card", CARDS)
def test_card_numbers_anywhere(capsys: Captured, card: str) -> None:
    lines = start(capsys)
    structlog.get_logger().error(f"charge of {card} failed", note=f"<{card}>", rows=[{"text": card}])
    text = json.dumps(lines()[0])
    assert card not in text
    assert text.count(ours.REDACTED) == 3


@pytest.mark.parametrize(
    "number", ["4242424242424241", "1234567890123456", "20240101000000", "12.3456789012345678", "4242"]
)
def test_other_numbers_stay(capsys: Captured, number: str) -> None:
    lines = start(capsys)
    structlog.get_logger().info("x", text=f"of {number} units")
    assert lines()[0]["text"] == f"of {number} units"


def test_mail_addresses_and_tokens(capsys: Captured) -> None:
    lines = start(capsys)
    structlog.get_logger().info(
        "ada.lovelace+x@example.com signed in", header="Bearer abc.def-ghi_jkl", who=["ada@example.com"]
    )
    text = json.dumps(lines()[0])
    assert "lovelace" not in text
    assert "ada@" not in text
    assert "a***@example.com" in text
    assert "abc.def" not in text


def test_traces_are_cleaned_too(capsys: Captured) -> None:
    lines = start(capsys)
    try:
        raise ValueError(f"bad card {CARDS[0]} of ada@example.com, Bearer canary.token")
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)
    text = json.dumps(lines()[0])
    assert "ValueError" in text
    for secret in (CARDS[0], "ada@", "canary"):
        assert secret not in text


def test_libraries_speak_the_same(capsys: Captured) -> None:
    lines = start(capsys)
    logging.getLogger("some.library").warning("password reset for %s", "ada@example.com")
    logging.getLogger("some.library").info("chatter")
    (line,) = lines()
    assert line["event"] == "password reset for a***@example.com"
    assert line["level"] == "warning"


def test_the_level_is_kept(capsys: Captured) -> None:
    ours.configure("tests", "error")
    structlog.get_logger().warning("quiet")
    structlog.get_logger().error("loud")
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["loud"]


def test_things_json_does_not_know(capsys: Captured) -> None:
    lines = start(capsys)
    structlog.get_logger().info("x", thing=object(), number=1.5, nothing=None)
    assert lines()[0]["thing"].startswith("<object")


def test_the_access_log(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    ours.configure("tests")
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/v1/accounts/ada@example.com", "query_string": b"email=ada@example.com",
        "headers": [(b"authorization", b"Bearer canary")],
    }  # fmt: skip
    ours.access(scope, 404, 0.01234, "r-1")
    written = capfdbinary.readouterr().out
    line = json.loads(written)
    assert written.endswith(b"}\n")
    assert b"ada" not in written
    assert b"canary" not in written
    assert {name: line[name] for name in ("event", "method", "status", "milliseconds", "request_id", "route")} == {
        "event": "request", "method": "GET", "status": 404, "milliseconds": 12.34, "request_id": "r-1", "route": "-",
    }  # fmt: skip


def luhn(digits: str) -> bool:
    total = sum(map(int, digits[-1::-2])) + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return total % 10 == 0


@given(st.text("0123456789", min_size=13, max_size=19), st.sampled_from(["", " ", "-"]))
def test_no_card_number_gets_by(digits: str, gap: str) -> None:
    written = gap.join(digits[i : i + 4] for i in range(0, len(digits), 4))
    told = ours.redact(f"x {written} y")
    assert (written not in told) == luhn(digits)
