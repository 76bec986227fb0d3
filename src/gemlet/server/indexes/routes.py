"""The routes below /gemlet/: over the indexes that the server was given, and over texts that come with a request."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from gemlet.embedder import Embedder
from gemlet.errors import GemletError
from gemlet.server.endpoint import Call, Dialect, Events, Route
from gemlet.server.indexes.every import Indexes
from gemlet.server.indexes.finding import FindWriter, answered, answering, searched, status_of
from gemlet.server.indexes.machine import status_of_server
from gemlet.server.indexes.maps import Maps
from gemlet.server.indexes.rooms import Room
from gemlet.server.indexes.served import problem_of
from gemlet.server.indexes.shapes import (
    AskAnswer,
    AskRequest,
    IndexRequest,
    MapAnswer,
    SearchAnswer,
    SearchRequest,
    ServerStatus,
)
from gemlet.server.indexes.shared import SharedEmbedder
from gemlet.server.indexes.texts import classified, clustered, compared
from gemlet.server.indexes.textshapes import (
    ClassifyAnswer,
    ClassifyRequest,
    ClusterAnswer,
    ClusterRequest,
    CompareAnswer,
    CompareRequest,
)
from gemlet.server.problems import Problem

R = TypeVar("R")

PREFIX = "/gemlet/"

_OWN = ("invalid", "not_found", "overloaded", "unavailable")
_TEXTS = ("invalid", "too_many", "overloaded", "unavailable")


class Refusal(msgspec.Struct, kw_only=True):
    """Why there is no answer: the kind of problem, one line, and the field that it is about."""

    kind: str
    message: str
    field: str | None


class Refused(msgspec.Struct, kw_only=True):
    """The body of every answer that is none."""

    error: Refusal


class OwnRoutes:
    """What the routes need: the indexes, threads, and the model that writes.

    close() is to be called when the server ends.
    """

    def __init__(
        self,
        embedder: Embedder,
        indexes: Sequence[str | os.PathLike[str]] = (),
        writer: FindWriter | None = None,
        stores: Sequence[str] = (),
    ) -> None:
        """Open indexes and stores once, to see that they can be. Raises InputError, StoreError and its kin.

        stores  URLs, as stores.open() takes them
        writer  names the model that writes the answers of /gemlet/ask; None: sentences are quoted
        """
        self._indexes, self._writer = Indexes(indexes, embedder, stores), writer
        self._maps = Maps()
        self._finding = Room("finding", threads=4, waiting=64)
        self._asking = Room("asking", threads=2, waiting=8)
        self._grouping = Room("grouping", threads=1, waiting=4)

    def close(self) -> None:
        """Take no more work, and close the indexes."""
        self._maps.close()
        for room in (self._finding, self._asking, self._grouping):
            room.close()
        self._indexes.close()

    def dialect(self) -> Dialect:
        """The routes, for app()."""
        return Dialect("gemlet", PREFIX, self._routes(), Refused, _refused)

    def _routes(self) -> list[Route]:
        def post(name: str, handler: Any, takes: Any, gives: Any, told: str, **more: Any) -> Route:
            return Route("POST", PREFIX + name, handler, takes, gives, told, **{"refuses": _OWN, **more})

        return [
            Route("GET", PREFIX + "status", self._status, None, ServerStatus, "How the server does, and its indexes."),
            post("search", self._search, SearchRequest, SearchAnswer, "Passages of an index that match a query."),
            post("ask", self._ask, AskRequest, AskAnswer, "An answer from an index, with its sources.", streams=True),
            post("map", self._map, IndexRequest, MapAnswer, "The map of an index, made in the background."),
            post(
                "classify",
                self._classify,
                ClassifyRequest,
                ClassifyAnswer,
                "Labels for texts, by the labels' names.",
                refuses=_TEXTS,
            ),
            post(
                "cluster",
                self._cluster,
                ClusterRequest,
                ClusterAnswer,
                "Groups of texts that mean alike.",
                refuses=_TEXTS,
            ),
            post(
                "compare",
                self._compare,
                CompareRequest,
                CompareAnswer,
                "How alike two texts are, by every task.",
                refuses=_TEXTS,
            ),
        ]

    async def _status(self, call: Call, _: None) -> ServerStatus:
        def every() -> Any:
            return [status_of(one, self._maps.progress_of(one), self._writer) for one in self._indexes]

        return status_of_server(call.service, await self._finding.run(every))

    async def _search(self, call: Call, request: SearchRequest) -> SearchAnswer:
        served = self._indexes.named(request.index)
        return await self._finding.run(searched, served, request, _shared(call))

    async def _ask(self, call: Call, request: AskRequest) -> AskAnswer | Events:
        served = self._indexes.named(request.index)
        if not request.stream:
            return await self._asking.run(answered, served, request, _shared(call), self._writer)
        pieces = answering(served, request, _shared(call), self._writer)
        first = await self._asking.run(next, pieces)  # what goes wrong by then is told by the status
        return Events(self._streamed(first, pieces))

    async def _streamed(self, sources: Any, pieces: Any) -> AsyncGenerator[tuple[str, bytes]]:
        """The events of an answer; a thread is taken for each piece, and given back."""
        yield "sources", msgspec.json.encode(sources)
        try:
            while True:
                piece = await self._asking.run(_next, pieces)
                if isinstance(piece, AskAnswer):
                    yield "done", msgspec.json.encode(piece)
                    return
                yield "text", msgspec.json.encode(piece)
        except Problem as problem:
            yield "error", msgspec.json.encode(_refused(problem))
        finally:
            _close(pieces)

    async def _map(self, call: Call, request: IndexRequest) -> MapAnswer:
        return await self._finding.run(self._maps.map_of, self._indexes.named(request.index))

    async def _classify(self, call: Call, request: ClassifyRequest) -> ClassifyAnswer:
        return await self._grouping.run(_told, classified, request, _shared(call))

    async def _cluster(self, call: Call, request: ClusterRequest) -> ClusterAnswer:
        return await self._grouping.run(_told, clustered, request, _shared(call))

    async def _compare(self, call: Call, request: CompareRequest) -> CompareAnswer:
        return await self._finding.run(_told, compared, request, _shared(call))


def _shared(call: Call) -> SharedEmbedder:
    return SharedEmbedder(call.service, asyncio.get_running_loop())


def _told(work: Callable[..., R], *arguments: Any) -> R:
    """The work, its mistakes as a client may see them."""
    try:
        return work(*arguments)
    except GemletError as error:
        raise problem_of(error, "texts") from error


def _next(pieces: Any) -> Any:
    """The next piece, or the whole answer that the generator returns: StopIteration cannot leave a thread."""
    try:
        return next(pieces)
    except StopIteration as end:
        return end.value


def _close(pieces: Any) -> None:
    """Stop the model that writes; if it is at work in a thread, then as soon as its piece has come."""
    try:
        pieces.close()
    except ValueError:  # "generator already executing"
        return


def _refused(problem: Problem) -> Refused:
    return Refused(error=Refusal(kind=problem.kind, message=problem.message, field=problem.param))
