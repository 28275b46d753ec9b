"""The one envelope of all answers (CONTRACT §2), exact numbers, entity tags."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from tallystick.kernel.clock import rfc3339
from tallystick.kernel.errors import Refusal
from tallystick.kernel.pagination import Page
from tallystick.platform import wire
from tallystick.platform.edge import system_now

_REVISION = re.compile(r"[0-9]{1,18}\Z", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_.:\[\]-]{0,100}")
Data = TypeVar("Data")
Row = TypeVar("Row")


class Envelope(BaseModel, Generic[Data]):
    """What every success wears."""

    success: Literal[True] = True
    data: Data
    message: str
    timestamp: str = Field(examples=["2024-01-01T00:00:00Z"])


class Meta(BaseModel):
    """Where the list goes on."""

    next_cursor: str | None
    has_more: bool


class Listing(BaseModel, Generic[Row]):
    """What every list wears."""

    success: Literal[True] = True
    data: list[Row]
    message: str
    timestamp: str
    meta: Meta


class Refused(BaseModel):
    """What every refusal wears. `code` is stable; `details` names each field that is wrong."""

    success: Literal[False] = False
    error: str
    code: str
    details: dict[str, Any]
    request_id: str
    timestamp: str


ETag = Annotated[int | str | None, "revision of the data"]


class ExactResponse(Response):
    """JSON whose Decimals keep their digits."""

    media_type = "application/json"

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        strings: bool = False,
    ) -> None:
        encode = wire.dumps_decimal_strings if strings else wire.dumps
        super().__init__(encode(content), status_code, headers)


def wants_strings(request: Request) -> bool:
    """`Prefer: decimals=string` (RFC 7240)."""
    return "decimals=string" in request.headers.get("prefer", "").replace(" ", "").lower()


def ok(
    request: Request,
    data: Any,
    message: str = "OK",
    *,
    status: int = 200,
    etag: ETag = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A success. With `etag` the answer carries `ETag`, and a GET whose `If-None-Match` names it gets 304."""
    out = dict(headers or {})
    if etag is not None:
        out["ETag"] = f'"{etag}"'
        if request.method == "GET" and matches(request.headers.get("if-none-match"), out["ETag"]):
            return Response(status_code=304, headers=out)
    body = {"success": True, "data": data, "message": message, "timestamp": rfc3339(system_now())}
    return ExactResponse(body, status, out, strings=wants_strings(request))


def created(
    request: Request, data: Any, message: str, *, etag: ETag = None, headers: Mapping[str, str] | None = None
) -> Response:
    """201 with the new thing."""
    return ok(request, data, message, status=201, etag=etag, headers=headers)


def listing(request: Request, page: Page[Any], message: str = "OK") -> Response:
    """A page of a list with the cursor of the next."""
    rows: Sequence[Any] = page.rows
    body = {
        "success": True,
        "data": rows,
        "message": message,
        "timestamp": rfc3339(system_now()),
        "meta": {"next_cursor": page.next_cursor, "has_more": page.next_cursor is not None},
    }
    return ExactResponse(body, 200, strings=wants_strings(request))


def bare(request: Request, data: Any, status: int = 200) -> Response:
    """A success without envelope (CONTRACT §5)."""
    return ExactResponse(data, status, strings=wants_strings(request))


def _field(path: str) -> str:
    """A field's path as far as it looks like one: a stranger's text that stands where a name should is not repeated."""
    return path if _PATH.fullmatch(path) else _PATH.match(path)[0].rpartition(".")[0] or "(unnamed)"  # type: ignore[index]


def refusal(refused: Refusal, request_id: str) -> Response:
    """The refusal body for `refused`."""
    body = {
        "success": False,
        "error": refused.sentence,
        "code": refused.code,
        "details": {_field(name): problem for name, problem in refused.details.items()},
        "request_id": request_id,
        "timestamp": rfc3339(system_now()),
    }
    headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after is not None else {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return ExactResponse(body, refused.status, headers)


def matches(header: str | None, etag: str) -> bool:
    """Whether `If-Match` or `If-None-Match` names `etag` (RFC 9110 §13; weak tags compare by value)."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


def expected_revisions(request: Request) -> frozenset[int] | None:
    """The revisions that `If-Match` accepts, None where it accepts any; tags that are none of ours match nothing."""
    header = request.headers.get("if-match")
    if header is None:
        return None
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return None if "*" in tags else frozenset(int(tag) for tag in tags if _REVISION.match(tag))
