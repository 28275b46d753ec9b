"""The outermost layer of a service, plain ASGI: request ids, slashes, body limits, security headers, the access log, the last resort.

It wraps every request, so it allocates little and awaits nothing of its own.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tallystick.kernel.errors import Malformed, Refusal, TooLarge
from tallystick.platform.http.envelope import refusal
from tallystick.platform.http.errors import from_exception
from tallystick.platform.logging import access

log = structlog.get_logger("edge")
_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._:/+=@-]{1,128}\Z")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
_DOCS = ("/docs", "/redoc", "/openapi.json")
_DOCS_POLICY = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    b"img-src 'self' data:; connect-src 'self'; worker-src blob:; frame-ancestors 'none'"
)


class Edge:
    """ASGI middleware. `batch_paths`, and all below those that end in `/`, may carry larger bodies, up to `max_batch`; `lanes` are hot routes, called without routing."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body: int,
        max_batch: int,
        batch_paths: frozenset[str] = frozenset(),
        log_access: bool = True,
        lanes: Mapping[tuple[str, str], Callable[[Request], Awaitable[Response]]] = MappingProxyType({}),
    ) -> None:
        self.app = app
        self.max_body = max_body
        self.max_batch = max_batch
        self.batch_paths = batch_paths
        self.batch_folders = tuple(path for path in batch_paths if path.endswith("/"))
        self.log_access = log_access
        self.lanes = lanes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        given = _header(scope, b"x-request-id")
        own = given is not None and _REQUEST_ID.match(given) is not None
        request_id = given.decode() if own and given else uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["request_id_is_callers"] = own
        _normalise(scope)
        status = 500
        sent = False

        async def answer(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status, sent = message["status"], True
                own_headers = list(message.get("headers", ()))
                message["headers"] = [*own_headers, *self._extra(scope, request_id, own_headers)]
            await send(message)

        try:
            await self._guarded(scope, receive, answer)
        except Exception as error:
            outcome = from_exception(error)
            if outcome.status >= 500:
                log.error("request failed", request_id=request_id, exc_info=error)
            if sent:
                raise
            await refusal(outcome, request_id)(scope, receive, answer)
        finally:
            if self.log_access:
                access(scope, status, time.perf_counter() - started, request_id)

    def _takes_batches(self, path: str) -> bool:
        return path in self.batch_paths or path.startswith(self.batch_folders)

    async def _guarded(self, scope: Scope, receive: Receive, answer: Send) -> None:
        limit = self.max_batch if self._takes_batches(scope["path"]) else self.max_body
        length = _header(scope, b"content-length")
        problem: Refusal | None = None
        if length is not None and (not length.isdigit() or int(length) > limit):
            problem = TooLarge(f"The body is over {limit} bytes")
        elif (
            b"\x00" in scope.get("query_string", b"")
            or b"%00" in scope.get("raw_path", b"") + scope["query_string"]
        ):
            problem = Malformed("The address holds a NUL character", code="nul_character")
        if problem is not None:
            raise problem
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise TooLarge(f"The body is over {limit} bytes")
            return message

        body = receive if length is not None else counted
        lane = self.lanes.get((scope["method"], scope["path"]))
        if lane is None:
            await self.app(scope, body, answer)
        else:
            response = await lane(Request(scope, body))
            await response(scope, body, answer)

    def _extra(
        self, scope: Scope, request_id: str, own: list[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-request-id", request_id.encode()), *_HEADERS]
        if scope["path"].startswith(_DOCS):
            headers[-1] = (b"content-security-policy", _DOCS_POLICY)
        elif not any(name.lower() == b"cache-control" for name, _ in own):
            headers.append((b"cache-control", b"no-store"))
        limit: dict[bytes, bytes] = scope["state"].get("rate_limit_headers", {})
        return [*headers, *limit.items()]


def _header(scope: Scope, name: bytes) -> bytes | None:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def _normalise(scope: Scope) -> None:
    """Paths answer with and without a trailing slash, without a redirect."""
    path: str = scope["path"]
    if len(path) > 1 and path.endswith("/"):
        scope["path"] = path.rstrip("/") or "/"


__all__: list[Any] = ["Edge"]
