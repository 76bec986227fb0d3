"""All dialects behind one guard, as an ASGI application.   (embedder → app)"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gemlet.embedder import Embedder
from gemlet.server.body import Bodies
from gemlet.server.dialects import DIALECTS
from gemlet.server.endpoint import REST, Answer, Call, Dialect, Endpoint, Route
from gemlet.server.guard import Guard
from gemlet.server.openapi import document
from gemlet.server.problems import Problem
from gemlet.server.service import Service
from gemlet.server.settings import Settings

OPENAPI = "/openapi.json"


class App:
    """The ASGI application; `service` is what its routes work with."""

    def __init__(self, service: Service, front: ASGIApp, life: ASGIApp) -> None:
        self.service, self._front, self._life = service, front, life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the application's life."""
        await (self._front if scope["type"] == "http" else self._life)(scope, receive, send)


def app(
    embedder: Embedder,
    settings: Settings | None = None,
    *,
    dialects: Sequence[Dialect] = DIALECTS,
    pages: Sequence[Route] = (),
    ending: Sequence[Callable[[], None]] = (),
) -> App:
    """Return the server for an embedder, for any ASGI server with one event loop; server.run() has uvicorn's.

    dialects  the families of routes: DIALECTS, and one's own
    pages     routes for people: they come before a dialect's of the same method and path, and are in no document
    ending    what is called when the server has ended

    Raises InputError for settings that make no sense, and UnknownPrompt.
    """
    settings = settings or Settings()
    service = Service(embedder, settings)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.stop()
            for end in ending:
                end()

    table = _Table(service, dialects, pages, Bodies(settings))
    every = [*pages, *(route for dialect in dialects for route in dialect.routes)]
    unlocked = [(route.method, route.path) for route in every if route.open]
    guard = Guard(table, settings, service.metrics, _Chooser(dialects), unlocked)
    return App(service, guard, Router(lifespan=lifespan))


class _Table:
    """Path and method → endpoint; a path is a plain one, or ends in REST."""

    def __init__(self, service: Service, dialects: Sequence[Dialect], pages: Sequence[Route], bodies: Bodies) -> None:
        told = msgspec.json.encode(document(service, dialects))

        async def openapi(_: Call, __: None) -> Answer:
            return Answer(told, "application/json")

        own = Route("GET", OPENAPI, openapi, None, None, "This document.")
        routes = [(route, dialect) for dialect in dialects for route in dialect.routes]
        routes += [(route, dialects[0]) for route in (own, *pages)]
        self._endpoints: dict[str, dict[str, Endpoint]] = {}
        for route, dialect in routes:
            self._endpoints.setdefault(route.path, {})[route.method] = Endpoint(route, dialect, service, bodies)
        self._begins = [path.removesuffix(REST) for path in self._endpoints if path.endswith(REST)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raise Problem for what there is not."""
        path, scope["state"]["rest"] = self._split(scope["path"])
        methods = self._endpoints.get(path)
        if methods is None:
            raise Problem("not_found", f"there is no such path; {OPENAPI} lists those that there are")
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in methods:
            raise Problem("method", f"this path takes {' and '.join(methods)}", param=", ".join(methods))
        await methods[method](scope, receive, send)

    def _split(self, path: str) -> tuple[str, str]:
        """The path as its route has it, and what stands for REST."""
        for begin in self._begins if path not in self._endpoints else ():
            if path.startswith(begin):
                return begin + REST, path.removeprefix(begin)
        return path, ""


class _Chooser:
    """Path → the dialect whose clients ask for such."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self._exact = {route.path: dialect for dialect in dialects for route in dialect.routes}
        self._prefixes = sorted(dialects, key=lambda dialect: -len(dialect.prefix))

    def __call__(self, path: str) -> Dialect:
        found = self._exact.get(path)
        return found or next(dialect for dialect in self._prefixes if path.startswith(dialect.prefix))
