"""How a request becomes a transaction and an answer.

`Route` is the route class of every router. Before the endpoint runs it reads the JSON strictly, learns who asks and opens a session:
a `ReadSession` for GET, one write transaction for all else. The endpoint returns a ready response; the transaction commits before
that response leaves, so a 2xx means "on disk". A PostgreSQL serialization failure or deadlock repeats the whole endpoint.

`Idempotency-Key` on a write is honoured here, once, for all routes (CONTRACT §2): the key is claimed by an advisory lock in the
working transaction, the answer is stored in that same transaction, a replay is answered from the store.
"""

import asyncio
import hashlib
import hmac
import inspect
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

from tallystick.kernel.actor import Actor
from tallystick.kernel.errors import (
    Conflict,
    Invalid,
    Malformed,
    PaymentRequired,
    Refusal,
    Unauthenticated,
    UnsupportedMedia,
)
from tallystick.platform import repository, wire
from tallystick.platform.db import RETRIED, Database, ReadSession, Session
from tallystick.platform.http.envelope import refusal

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_TRIES = 5
_MOST_NAMED = 20


class KeyReused(Invalid):
    code = "idempotency_key_reused"
    sentence = "This key (Idempotency-Key, or the request's id) belongs to another request; use a new one for a new request"


class InFlight(Conflict):
    code = "idempotency_in_flight"
    sentence = "A request with this Idempotency-Key is still running; try again shortly"


class AlreadyIssued(Conflict):
    code = "already_issued"
    sentence = "This was done before, and its answer held a secret that is shown only once"


class BadKey(Invalid):
    code = "idempotency_key_invalid"
    sentence = "Idempotency-Key must be 1 to 255 visible ASCII characters"


class StrictRequest(Request):
    """A request whose JSON is read by `wire.loads`, once."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            kind = self.headers.get("content-type", "application/json").split(";")
            if kind[0].strip().lower() not in ("application/json", "application/merge-patch+json"):
                raise UnsupportedMedia
            self._json = wire.loads(await self.body())
        return self._json


def public(endpoint: Endpoint) -> Endpoint:
    """Marks a route that needs no credentials. A route is either public or has `allow(...)`: a test sees to it."""
    endpoint.__dict__["public"] = True
    return endpoint


def own_transaction(endpoint: Endpoint) -> Endpoint:
    """Marks a route whose service opens its own sessions (ingest, long work) and whose body carries its own identity."""
    endpoint.__dict__["own_transaction"] = True
    return endpoint


def own_sessions(endpoint: Endpoint) -> Endpoint:
    """Marks a route whose long work opens its own sessions, but whose `Idempotency-Key` is kept like that of any other.

    Where a key is sent, a transaction of this layer stands open beside the work, to hold the key and then its answer. A crash in
    between forgets the key, not the work: such work must refuse or bear a repeat by itself.
    """
    endpoint.__dict__["kept_beside"] = True
    return own_transaction(endpoint)


def secret_answer(endpoint: Endpoint) -> Endpoint:
    """Marks a route whose answer holds a secret: its effect is remembered, its answer is not."""
    endpoint.__dict__["secret_answer"] = True
    return endpoint


def refuses_as(shape: Callable[[Refusal], Response]) -> Callable[[Endpoint], Endpoint]:
    """Marks a route whose refusals have the shape of another standard, whatever refuses."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.__dict__["refuses_as"] = shape
        return endpoint

    return mark


def any_query(endpoint: Endpoint) -> Endpoint:
    """Marks a route that passes over query parameters it does not know: its callers follow other standards, or none."""
    endpoint.__dict__["any_query"] = True
    return endpoint


def prepared(step: Callable[[Request], Awaitable[None]]) -> Callable[[Endpoint], Endpoint]:
    """Marks a route with slow work (a password hash) to be done before its transaction opens and holds a connection."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.__dict__["prepare"] = step
        return endpoint

    return mark


def direct(endpoint: Endpoint) -> Endpoint:
    """Marks a hot route: it opens its own sessions, and its endpoint takes the request and the actor and nothing else.

    The framework's routing and its solving of dependencies, two thirds of a small request's cost, are passed over (`lanes`); the
    permission declared by `actor = allow(...)` is checked all the same, and the route is documented like any other.
    """
    endpoint.__dict__["direct"] = inspect.signature(endpoint).parameters["actor"].default.dependency
    return own_transaction(endpoint)


class Route(APIRoute):
    """See the module's text."""

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()
        endpoint = self.endpoint
        own = getattr(endpoint, "own_transaction", False)
        beside = getattr(endpoint, "kept_beside", False)
        secret = getattr(endpoint, "secret_answer", False)
        prepare = getattr(endpoint, "prepare", None)
        check = getattr(endpoint, "direct", None)
        anyone = getattr(endpoint, "public", False)
        takes_body = self.body_field is not None
        known = None if getattr(endpoint, "any_query", False) else _query_names(self)
        rights = [part.call for part in self.dependant.dependencies if hasattr(part.call, "permission")]

        async def hand(plain: Request) -> Response:
            assert check is not None
            request = StrictRequest(plain.scope, plain.receive)
            await _admit(request, anyone)
            _check_query(request, known, anyone)
            answer: Response = await endpoint(request, actor=await check(request))
            return answer

        async def handle(plain: Request) -> Response:
            request = StrictRequest(plain.scope, plain.receive)
            await _admit(request, anyone)
            _check_query(request, known, anyone)
            if takes_body and await request.body():
                await request.json()  # the framework would hide the reason of a refusal behind one of its own
            if prepare is not None:
                await prepare(request)
            key = None if request.method in ("GET", "HEAD") or (own and not beside) else sent_key(request)
            if own and key is None:
                return await inner(request)
            if request.method in ("GET", "HEAD"):
                async with database(request).read() as session:
                    request.state.session = session
                    return await inner(request)
            if key is not None:
                for (
                    right
                ) in rights:  # before the look-up: who lost the right does not get the stored answer either
                    await right(request)  # type: ignore[misc]
            return await _write(request, inner, key, secret)

        return handle if check is None else hand


def _query_names(route: APIRoute) -> frozenset[str]:
    """The query parameters that a route declares, in its signature, in its dependencies or in its description."""
    described = (route.openapi_extra or {}).get("parameters", ())
    return frozenset(
        {*_declared(route.dependant), *(each["name"] for each in described if each["in"] == "query")}
    )


def _declared(part: Dependant) -> set[str]:
    return {field.alias for field in part.query_params}.union(*map(_declared, part.dependencies))


def _check_query(request: Request, known: frozenset[str] | None, anyone: bool) -> None:
    """Raises `Invalid` for a parameter that the route does not know: a filter that is misspelled must not give everybody's rows.

    Who sends no credentials where some are needed is told that first, by the route.
    """
    if not request.scope["query_string"] or known is None:
        return
    if actor_of(request).kind == "anonymous" and not anyone:
        return
    unknown = request.query_params.keys() - known
    if unknown:
        details = dict.fromkeys(sorted(unknown)[:_MOST_NAMED], "is not a parameter of this route")
        raise Invalid(details=details, code="validation_failed")


def lanes(part: APIRouter, prefixes: Sequence[str]) -> dict[tuple[str, str], Handler]:
    """The handlers of a router's `direct` routes by method and whole path, for the edge to call without further routing."""
    return {
        (method, prefix + route.path): route.get_route_handler()
        for route in part.routes
        if isinstance(route, Route) and hasattr(route.endpoint, "direct") and "{" not in route.path
        for method in route.methods or ()
        for prefix in prefixes
    }


async def _admit(request: Request, anyone: bool) -> None:
    """Learns who asks and counts the request against a limit; one with bad credentials counts against its address.

    A route for anyone takes a caller whose token has expired as a stranger: he may be about to sign in again.
    """
    limit: Callable[[Request, Actor | None], Awaitable[None]] | None
    limit = getattr(request.app.state, "limit", None)
    try:
        actor = await authenticate(request)
    except Unauthenticated:
        if limit is not None:
            await limit(request, None)
        if not anyone:
            raise
        address = request.client.host if request.client else ""
        request.state.actor = Actor(
            "anonymous", address, "anonymous", request_id=request.state.request_id, address=address
        )
        return
    if limit is not None:
        await limit(request, actor)


def sent_key(request: Request) -> str | None:
    """The request's `Idempotency-Key`, None where it has none. Raises `BadKey`, also where two are sent."""
    sent = request.headers.getlist("idempotency-key")
    if not sent:
        return None
    if len(sent) > 1 or not _KEY.fullmatch(sent[0]):
        raise BadKey(details={"Idempotency-Key": BadKey.sentence})
    return sent[0]


async def _write(request: StrictRequest, inner: Handler, key: str | None, secret: bool) -> Response:
    work = inner if key is None else _keyed(key, await fingerprint(request, secret), inner, secret)
    for attempt in range(_TRIES):
        try:
            async with database(request).write() as session:
                request.state.session = session
                return await work(request)
        except RETRIED:
            if attempt == _TRIES - 1:
                raise
            await asyncio.sleep(0.01 * 2**attempt)
    raise AssertionError("unreachable")


def _keyed(key: str, print_: bytes, inner: Handler, secret: bool) -> Handler:
    async def work(request: Request) -> Response:
        session: Session = request.state.session
        principal = actor_of(request).principal
        if not await repository.try_lock(session, f"{principal}\n{key}"):
            raise InFlight(retry_after=1)
        stored = await repository.idempotency_record(session, principal, key)
        if stored is not None:
            return _replay(stored["fingerprint"], stored["status"], stored["headers"], stored["body"], print_)
        response = await _storable(request, session, inner)
        kept = {
            name: value
            for name, value in response.headers.items()
            if name in ("etag", "location", "content-type")
        }
        body = None if secret and response.status_code < 300 else bytes(response.body)
        await repository.store_idempotency(session, principal, key, print_, response.status_code, kept, body)
        return response

    return work


async def _storable(request: Request, session: Session, inner: Handler) -> Response:
    """Runs the endpoint; a business refusal undoes its writes but not the claim, so that it too can be replayed."""
    try:
        async with session.savepoint():
            return await inner(request)
    except (PaymentRequired, Conflict, Invalid) as refused:
        return refusal(refused, request.state.request_id)


def _replay(
    stored_print: bytes, status: int, headers: dict[str, str], body: bytes | None, print_: bytes
) -> Response:
    if stored_print != print_:
        raise KeyReused
    if body is None:
        raise AlreadyIssued
    return Response(body, status, headers={**headers, "Idempotency-Replayed": "true"})


async def fingerprint(request: StrictRequest, secret: bool = False) -> bytes:
    """SHA-256 of method, path, query and the body's canonical form: order of keys and white space do not matter.

    With `secret` under the server's key: a body that may hold a password must not be guessable from what is stored.
    """
    body = await request.body()
    try:
        plain = wire.canonical(await request.json()) if body else b""
    except UnsupportedMedia:
        plain = body
    whole = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + plain
    if secret:
        return hmac.digest(request.app.state.fingerprint_key, whole, "sha256")
    return hashlib.sha256(whole).digest()


async def authenticate(request: Request) -> Actor:
    """The actor of this request, learnt once. Bad credentials are refused; no credentials make an anonymous actor."""
    known: Actor | None = getattr(request.state, "actor", None)
    if known is None:
        resolve: Callable[[Request], Awaitable[Actor]] = request.app.state.authenticate
        known = request.state.actor = await resolve(request)
    return known


def actor_of(request: Request) -> Actor:
    """The actor that `authenticate` found."""
    actor: Actor = request.state.actor
    return actor


def database(request: Request) -> Database:
    """The pool of this process."""
    pool: Database = request.app.state.database
    return pool


def allow(permission: str) -> Any:
    """A dependency: 401 without credentials, 403 without `permission`; gives the actor."""

    async def check(request: Request) -> Actor:
        actor = actor_of(request)
        if actor.kind == "anonymous":
            raise Unauthenticated
        actor.require(permission)
        return actor

    check.permission = permission  # type: ignore[attr-defined]
    return Depends(check)


async def _read_session(request: Request) -> ReadSession:
    session: ReadSession = request.state.session
    return session


async def _write_session(request: Request) -> Session:
    session: Session = request.state.session
    return session


Reading = Annotated[ReadSession, Depends(_read_session)]
"""The session of a GET endpoint."""

Writing = Annotated[Session, Depends(_write_session)]
"""The transaction of any other endpoint."""


def router(tag: str, prefix: str = "") -> APIRouter:
    """A router whose routes follow these rules."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=Route, redirect_slashes=False)


__all__ = [
    "AlreadyIssued", "InFlight", "KeyReused", "Malformed", "Reading", "Refusal", "RequestValidationError", "Route", "Writing",
    "actor_of", "allow", "any_query", "authenticate", "database", "direct", "lanes", "own_sessions", "own_transaction", "prepared", "public", "refuses_as", "router", "secret_answer",
    "sent_key",
]  # fmt: skip
