"""One route: bytes → request → answer → bytes, or a problem in its dialect's shape."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from gemlet.server.body import Bodies
from gemlet.server.patience import Patience
from gemlet.server.problems import STATUS, Kind, Problem
from gemlet.server.service import Found, Service
from gemlet.vectors import FloatArray

Headers = dict[str, str]

MANY = 64  # vectors: more of them are encoded in another thread
REST = "{model}"  # at the end of a route's path: anything may stand there
_PIECE = 256 * 1024  # bytes
_LARGE = 1_000_000  # in the measure of Service.work(): surely in another thread


@dataclass
class Call:
    """What a handler gets: the service, what stands in the path for REST; and what the log is to say of the request."""

    service: Service
    rest: str = ""
    facts: dict[str, int] = field(default_factory=dict)
    headers: Headers = field(default_factory=dict)

    def note(self, found: Found) -> None:
        """Let the log say what was done."""
        self.facts |= {"texts": len(found.tokens), "tokens": found.seen, "cached": found.hits}

    async def written(self, write: Callable[[Any], Any], rows: Any) -> list[Any]:
        """Each row as JSON, written at once so that no lists of Python's floats pile up; many in another thread."""
        return await self.service.work(_LARGE if len(rows) > MANY else 0, lambda: [write(row) for row in rows])


@dataclass(frozen=True)
class Answer:
    """Bytes that are no JSON."""

    body: bytes
    media: str = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Events:
    """Server-sent events: a name and one line of JSON each. When the client leaves, the source is closed."""

    source: AsyncGenerator[tuple[str, bytes]]

    async def send(self, send: Send, headers: Headers, seconds: float) -> None:
        """Send each as it comes. Raises ClientDisconnect for a client that does not take one in these seconds."""
        await send(_start(200, [(b"content-type", b"text/event-stream; charset=utf-8")], headers))
        async with aclosing(self.source) as source:
            async for name, data in source:
                part = b"event: %s\ndata: %s\n\n" % (name.encode(), data)
                await self._taken(send({"type": "http.response.body", "body": part, "more_body": True}), seconds)
        await self._taken(send({"type": "http.response.body", "body": b""}), seconds)

    @staticmethod
    async def _taken(sending: Awaitable[None], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await sending
        except TimeoutError:
            raise ClientDisconnect from None


Handler = Callable[[Call, Any], Awaitable[Any]]


@dataclass(frozen=True)
class Route:
    """What the application serves and the OpenAPI document tells.

    takes    the struct of the body; None: there is none
    gives    the type of the answer; None: an Answer
    refuses  the problems that this route may have of its own
    """

    method: str
    path: str
    handler: Handler
    takes: Any
    gives: Any
    told: str
    refuses: tuple[Kind, ...] = ()
    open: bool = False  # without a key
    streams: bool = False  # it may answer with server-sent events, too
    unlisted: bool = False


@dataclass(frozen=True)
class Dialect:
    """A family of routes whose clients expect problems in one shape.

    prefix   of their paths; the longest that fits has the path
    problem  a Problem → the body of the answer, a struct, or None for an empty one; its type is `shape`
    statuses what this dialect answers otherwise than problems.STATUS
    """

    name: str
    prefix: str
    routes: Sequence[Route]
    shape: Any
    problem: Callable[[Problem], Any]
    statuses: dict[Kind, int] = field(default_factory=dict)

    def status(self, kind: Kind) -> int:
        """The HTTP status of a kind of problem."""
        return self.statuses.get(kind, STATUS[kind])


class Endpoint:
    """A Route as an ASGI application."""

    def __init__(self, route: Route, dialect: Dialect, service: Service, bodies: Bodies) -> None:
        self._route, self._dialect, self._service, self._bodies = route, dialect, service, bodies
        self._decoder = msgspec.json.Decoder(route.takes) if route.takes is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A Problem goes up to the guard, which says it."""
        state = scope["state"]
        call = Call(self._service, state.get("rest", ""))
        state["route"], state["facts"] = self._route.path, call.facts
        async with Patience(receive, self._service.settings) as patience:
            body = await self._bodies.read(scope, receive, wanted=self._decoder is not None)
            patience.begin("work")
            try:
                answer = await self._route.handler(call, self._decode(body))
            finally:
                self._bodies.release(body)
            if isinstance(answer, Events):
                await answer.send(send, call.headers, self._service.settings.send_s)
                return
            encoded, media = await self._encoded(call, answer)
            patience.begin("send")
            await respond(send, 200, encoded, media, call.headers)

    async def _encoded(self, call: Call, answer: Any) -> tuple[bytes, str]:
        if isinstance(answer, Answer):
            return answer.body, answer.media
        large = call.facts.get("texts", 0) > MANY
        encoded = await call.service.work(_LARGE if large else 0, msgspec.json.encode, answer)
        return encoded, "application/json"

    def _decode(self, body: bytes) -> Any:
        if self._decoder is None:
            return None
        if not body.strip():
            raise Problem("malformed", "missing request body")
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise Problem("invalid", str(error), param=_field_of(str(error))) from None
        except (ValueError, RecursionError) as error:
            reason = "it is no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise Problem("malformed", f"the body cannot be read as JSON: {reason}") from None


async def respond(send: Send, status: int, body: bytes, media: str | None, headers: Headers) -> None:
    """Send an answer, a piece when the one before is on its way: what nobody takes does not pile up."""
    pairs = [(b"content-length", b"%d" % len(body))]
    if media is not None:
        pairs.append((b"content-type", media.encode()))
    await send(_start(status, pairs, headers))
    for begin in range(0, max(len(body), 1), _PIECE):
        more = begin + _PIECE < len(body)
        await send({"type": "http.response.body", "body": body[begin : begin + _PIECE], "more_body": more})


def _start(status: int, pairs: list[tuple[bytes, bytes]], headers: Headers) -> Message:
    pairs = pairs + [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def floats(row: FloatArray) -> Any:
    """A vector as JSON: each float32 exactly, as the float64 that it is."""
    return msgspec.Raw(msgspec.json.encode(row.tolist()))


def _field_of(message: str) -> str | None:
    """The field that msgspec's message is about: "... - at `$.input[0]`" → input."""
    _, found, place = message.rpartition("at `$.")
    return place.rstrip("`").split("[")[0].split(".")[0] if found else None
