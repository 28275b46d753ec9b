"""Logs: one JSON object a line on stdout, with request ids, without secrets (CONTRACT §14)."""

import logging
import re
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from starlette.types import Scope

_SECRET = re.compile(
    r"pass(word|wd)?|secret|token|authorization|cookie|signature|api[_-]?key|card|cvv|cvc|iban|private|(^|[_-])pan([_-]|$)",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"([A-Za-z0-9._%+-])[A-Za-z0-9._%+-]*@([A-Za-z0-9.-]+)")
_DIGITS = re.compile(r"(?<![\d.])(?:\d[ -]?){12,18}\d(?![\d.])")
_BEARER = re.compile(r"(?i)bearer\s+[A-Za-z0-9._~+/=-]+")
REDACTED = "[redacted]"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_service = "tallystick"


def redact(value: Any, name: str = "") -> Any:
    """`value` fit for a log: secrets by name, tokens, card-like numbers (Luhn) and the local part of e-mails are gone."""
    if name and _SECRET.search(name) and not isinstance(value, bool | int):
        return REDACTED
    if isinstance(value, str):
        text = _BEARER.sub("Bearer " + REDACTED, value)
        text = _EMAIL.sub(r"\1***@\2", text)
        return _DIGITS.sub(lambda match: REDACTED if _luhn(match[0]) else match[0], text)
    if isinstance(value, dict):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _luhn(text: str) -> bool:
    digits = [int(char) for char in text if char.isdigit()]
    total = sum(digits[-1::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return total % 10 == 0


def _redaction(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: redact(value, key) for key, value in event.items()}


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(dict(event), enc_hook=str).decode()


def _stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    event["service"] = _service
    return event


def configure(service: str, level: str = "info") -> None:
    """Sets up logging of this process. Library loggers pass through the same renderer at warning and above."""
    global _service
    _service = service
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _stamp,
            _redaction,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


class _Bridge(logging.Handler):
    """Standard-library records as our JSON lines."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name)
        extra = {"exc_info": record.exc_info} if record.exc_info else {}
        logger.log(record.levelno, record.getMessage(), **extra)


def access(scope: Scope, status: int, seconds: float, request_id: str) -> None:
    """One line a request. Paths are logged, queries are not: they may carry what people typed."""
    route = scope.get("route")
    line = {
        "event": "request",
        "level": "info",
        "service": _service,
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "method": scope["method"],
        "route": getattr(route, "path", "-"),
        "status": status,
        "milliseconds": round(seconds * 1000, 2),
        "request_id": request_id,
    }
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()
