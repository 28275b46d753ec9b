"""Every failure as one body (CONTRACT §2). A client's fault is never a 500, and no input is repeated."""

from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tallystick.kernel.errors import (
    Conflict,
    Invalid,
    Malformed,
    NotFound,
    RateLimited,
    Refusal,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from tallystick.platform.http.envelope import Refused, refusal

log = structlog.get_logger("http")


class MethodNotAllowed(Refusal):
    status, code, sentence = 405, "method_not_allowed", "This path does not take that method"


class InternalError(Refusal):
    status, code, sentence = 500, "internal_error", "Internal server error"


class Duplicate(Conflict):
    code = "duplicate"
    sentence = "Something with the same identity exists already"


class NotAcceptedByStore(Invalid):
    code = "not_storable"
    sentence = "A value is outside what can be stored"


def from_sqlstate(error: asyncpg.PostgresError) -> Refusal | None:
    """What a PostgreSQL error means to a client, or None where it is our fault (SQLSTATE classes of PostgreSQL appendix A)."""
    state = error.sqlstate or ""
    if state == "23505":
        return Duplicate()
    if state in ("23503", "23001"):
        return Conflict("Something this refers to does not exist or is still in use", code="reference")
    if state in ("23514", "22003", "22021", "22P02", "22P05", "22007", "22008"):
        return NotAcceptedByStore()
    if state in ("40001", "40P01", "55P03", "57014") or state[:2] in ("08", "53", "57"):
        return Unavailable(retry_after=1)
    return None


def from_exception(error: Exception) -> Refusal:
    """The refusal that stands for `error`; unknown ones are ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return from_sqlstate(error) or InternalError()
    if isinstance(error, asyncpg.InterfaceError | ConnectionError | TimeoutError | OSError):
        return Unavailable(retry_after=1)
    if isinstance(error, UnicodeEncodeError | UnicodeDecodeError):
        return Malformed("The request holds text that is not valid UTF-8", code="malformed_utf8")
    return InternalError()


def from_validation(error: RequestValidationError) -> Refusal:
    """Names each field with a sentence. The framework's own message is kept only where it repeats nothing of the input."""
    details: dict[str, Any] = {}
    for item in error.errors():
        place = [str(part) for part in item["loc"] if part not in ("body", "query", "path", "header")]
        if item["loc"][:1] == ("path",):
            return NotFound()
        if item["type"] == "json_invalid":
            return Malformed("The body is not valid JSON", code="malformed_json")
        details[".".join(place) or "body"] = _sentence(item)
    return Invalid(details=details, code="validation_failed")


def _sentence(item: dict[str, Any]) -> str:
    kind = item["type"]
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return "is not a field of this request"
    message = str(item["msg"]).removeprefix("Value error, ")
    return message if len(message) <= 200 else "is not valid"


def from_http(error: HTTPException) -> Refusal:
    """Framework errors in our words."""
    classes: dict[int, type[Refusal]] = {
        400: Malformed, 401: Unauthenticated, 404: NotFound, 405: MethodNotAllowed, 413: TooLarge,
    }  # fmt: skip
    return classes.get(error.status_code, InternalError if error.status_code >= 500 else Malformed)()


def install(app: FastAPI) -> None:
    """Registers the handlers."""

    async def refused(request: Request, error: Exception) -> Response:
        outcome = from_exception(error)
        if outcome.status >= 500:
            log.error(
                "request failed",
                request_id=request_id(request),
                error_type=type(error).__name__,
                exc_info=error,
            )
        shape = getattr(request.scope.get("endpoint"), "refuses_as", None)
        if shape is not None:
            shaped: Response = shape(outcome)
            return shaped
        return refusal(outcome, request_id(request))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return refusal(from_validation(error), request_id(request))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = refusal(await _counted(request) or from_http(error), request_id(request))
        response.headers.update(error.headers or {})
        return response

    for kind in (Refusal, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, UnicodeError):
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


async def _counted(request: Request) -> Refusal | None:
    """A path that no route knows never came past the limits: it counts against its address, so that nobody guesses for free."""
    limit = getattr(request.app.state, "limit", None)
    if limit is not None and "rate_limit_headers" not in request.scope["state"]:
        try:
            await limit(request, None)
        except RateLimited as refused:
            return refused
    return None


def request_id(request: Request) -> str:
    """The id of this request, made or accepted at the edge."""
    return str(getattr(request.state, "request_id", ""))


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of refusals: `responses=responses(404, 409)`; 400, 401, 403, 404, 413, 415, 422, 429, 500 and 503 come with every route."""
    return {status: {"model": Refused, "description": _WORDS[status]} for status in statuses}


_WORDS = {
    400: "Malformed", 401: "Not authenticated", 402: "Payment declined or quota spent", 403: "The role may not",
    404: "Not there, or not yours", 405: "Method not allowed", 409: "Conflict with the state", 412: "Stale If-Match",
    413: "Over the size limit", 415: "Unsupported media type", 422: "Invalid fields", 429: "Rate limited", 500: "Our fault",
    503: "A dependency is down",
}  # fmt: skip
COMMON = responses(400, 401, 403, 404, 413, 415, 422, 429, 500, 503)
