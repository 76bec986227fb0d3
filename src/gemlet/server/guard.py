"""What stands before every route: who may ask, from where; what every answer carries; what is counted and logged."""

import contextlib
import hashlib
import hmac
import ipaddress
import os
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gemlet.errors import InputError
from gemlet.server.endpoint import Dialect, respond
from gemlet.server.metrics import Metrics, log
from gemlet.server.origins import Origins, Pairs, preflight
from gemlet.server.problems import Problem
from gemlet.server.settings import Settings

SHORTEST_KEY = 16
_HOSTS = 64  # that have been looked at, and are remembered
_GONE = 499  # what the log says of a client that left

_CLOSED = "the handler is closed"  # uvloop's, for a connection that ended between uvicorn's look at it and its write

_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


class Keys:
    """Bearer keys, compared in a time that says nothing of them."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Raise InputError for a key that is short or not of visible ASCII characters."""
        self._digests = []
        for key in keys:
            if len(key) < SHORTEST_KEY or not all("!" <= character <= "~" for character in key):
                raise InputError(
                    f"a key has at least {SHORTEST_KEY} visible ASCII characters: try `openssl rand -hex 24`"
                )
            self._digests.append(hashlib.sha256(key.encode()).digest())

    def allow(self, authorization: bytes) -> bool:
        """Say whether an Authorization header lets in; without keys anything does."""
        if not self._digests:
            return True
        scheme, _, token = authorization.partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return scheme.lower() == b"bearer" and any(matches)


class Guard:
    """ASGI middleware around all routes, for HTTP alone.

    Against DNS rebinding, Host must be this machine's own name, an IP address, or one that was allowed: a page that has
    its own name resolve to this machine sends that name. And what a web page of another origin sends is refused, unless
    that origin was named.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        metrics: Metrics,
        dialect_of: Callable[[str], Dialect],
        unlocked: Iterable[tuple[str, str]],
    ) -> None:
        self._app, self._metrics, self._dialect_of = app, metrics, dialect_of
        self._keys = Keys(settings.keys)
        self._hosts = {"localhost", *(host.lower() for host in settings.hosts)}
        self._knows = lru_cache(_HOSTS)(self._is_own)
        self._origins = Origins(settings.origins)
        self._unlocked = frozenset(unlocked)  # methods and paths that need no key
        self._limit = settings.requests
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or say why not."""
        began = time.perf_counter()
        state = scope["state"] = {"route": "other", "facts": {}}
        answer = _Answering(send, os.urandom(8).hex())
        reason = ""
        self._working += 1
        try:
            await self._answer(scope, receive, answer)
        except ClientDisconnect:
            reason, answer.status = "gone", _GONE
        except Problem as problem:
            reason = problem.kind
            await self._refuse(scope["path"], problem, answer)
        except Exception as error:  # a bug: the client hears that there is one, the log where
            reason = "internal"
            self._metrics.broken(error)
            await self._refuse(scope["path"], Problem("internal", "a bug: the server's log says where"), answer)
        finally:
            self._working -= 1
            self._report(scope, state, answer, reason, time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answering") -> None:
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._knows(host):
            raise Problem("forbidden", f"Host {host[:80]!r} is none of this server's names: see --allow-host")
        answer.told = self._origins.told(headers, f"{scope['scheme']}://{host}")
        if (said := preflight(scope["method"], headers)) is not None:
            scope["state"]["route"] = "preflight"
            answer.told += said
            await respond(answer.send, 200, b"", None, {})
            return
        self._check(scope, headers)
        await self._app(scope, receive, answer.send)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        unlocked = (method, scope["path"]) in self._unlocked
        if not unlocked and not self._keys.allow(headers.get(b"authorization", b"")):
            raise Problem("unauthorized", "a key of this server is needed: Authorization: Bearer KEY")
        if self._working > self._limit and not unlocked:
            raise Problem("overloaded", f"{self._limit} requests are being worked on: ask again in 1 s", retry_after=1)

    def _is_own(self, host: str) -> bool:
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        if name in self._hosts or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def _refuse(self, path: str, problem: Problem, answer: "_Answering") -> None:
        if answer.status:  # the answer had begun: there is nothing more to say
            return
        dialect = self._dialect_of(path)
        headers = {}
        if problem.retry_after is not None:
            headers["retry-after"] = str(problem.retry_after)
        if problem.kind == "unauthorized":
            headers["www-authenticate"] = "Bearer"
        if problem.kind in ("too_large", "slow_body"):
            headers["connection"] = "close"  # what is still to come of the body is not read
        if problem.kind == "method":
            headers["allow"] = str(problem.param)
        shape = dialect.problem(problem)
        body, media = (b"", None) if shape is None else (msgspec.json.encode(shape), "application/json")
        with contextlib.suppress(ClientDisconnect):
            await respond(answer.send, dialect.status(problem.kind), body, media, headers)

    def _report(self, scope: Scope, state: dict[str, Any], answer: "_Answering", reason: str, seconds: float) -> None:
        self._metrics.answered(state["route"], answer.status or 500, reason, seconds)
        facts = {"id": answer.id, "method": scope["method"], "route": state["route"], "status": answer.status}
        if reason:
            facts["reason"] = reason
        log("request", **facts, ms=round(1000 * seconds, 2), **state["facts"])


class _Answering:
    """An answer on its way: its status, and the headers that all answers have unless they have their own.

    told  what this one says to a browser besides
    """

    def __init__(self, send: Send, identity: str) -> None:
        self._send, self.id, self.status = send, identity, 0
        self.told: Pairs = []

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {name for name, _ in message["headers"]}
            added = [(name, value) for name, value in _HEADERS if name not in given]
            message["headers"] = [*message["headers"], *added, *self.told, (b"x-request-id", self.id.encode())]
        try:
            await self._send(message)
        except RuntimeError as error:
            if _CLOSED not in str(error):
                raise
            raise ClientDisconnect from None
