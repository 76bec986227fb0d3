"""Search, ask and status of an index.   (request → answer)"""

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from gemlet.generate import Writer
from gemlet.search import Filter, Hit, Results, search
from gemlet.server.indexes.opened import OpenIndex, OpenStore
from gemlet.server.indexes.served import Served
from gemlet.server.indexes.shapes import (
    AskAnswer,
    AskRequest,
    FoundPassage,
    IndexStatus,
    MapProgress,
    SearchAnswer,
    SearchRequest,
    Source,
    Which,
)
from gemlet.server.indexes.shared import SharedEmbedder
from gemlet.server.problems import Problem
from gemlet.store.names import Names

if TYPE_CHECKING:
    from gemlet.ask import Answer

FindWriter = Callable[[], Writer | None]
"""Names the model that writes, or finds that there is none; called when there is something to write."""


def searched(served: Served, request: SearchRequest, shared: SharedEmbedder) -> SearchAnswer:
    """Search. Raises Problem."""
    begin = time.perf_counter()
    with served.opened(shared) as opened:
        results = search(
            opened,
            request.query,
            k=request.k,
            mode=request.mode,
            exact=request.exact,
            task=request.task,
            wanted=filter_of(request, opened),
            like=_like(opened, request.like),
            min_probability=request.min_probability,
            per_document=request.per_file,
        )
        return SearchAnswer(
            index=served.name,
            query=request.query,
            mode=results.mode,
            task=results.task,
            hits=[_found(hit, opened.names) for hit in results.hits],
            nearest=[_found(hit, opened.names) for hit in results.nearest],
            message=_message(results),
            passages=results.passages,
            seconds=round(time.perf_counter() - begin, 6),
        )


def answered(served: Served, request: AskRequest, shared: SharedEmbedder, writer: FindWriter | None) -> AskAnswer:
    """Ask, and wait for the whole answer. Raises Problem."""
    pieces = answering(served, request, shared, writer)
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            whole: AskAnswer = end.value
            return whole


def answering(
    served: Served, request: AskRequest, shared: SharedEmbedder, writer: FindWriter | None
) -> Generator[list[Source] | str, None, AskAnswer]:
    """Yield the sources, then the answer in pieces; return the whole. To close it stops the model. Raises Problem."""
    from gemlet.ask import ask  # what a search does not need

    with served.opened(shared) as opened:
        answer = ask(
            opened,
            request.question,
            writer=None if request.quote else writer,
            k=request.sources,
            wanted=filter_of(request, opened),
            min_probability=request.min_probability,
            max_tokens=request.max_tokens,
        )
        sources = _sources(answer, opened.names)
        yield sources
        yield from answer
    return AskAnswer(
        index=served.name,
        question=request.question,
        answer=answer.text,
        sources=sources,
        cited=answer.cited,
        refused=answer.refused,
        written_by=answer.writer,
    )


def status_of(served: Served, progress: MapProgress | None, writer: FindWriter | None) -> IndexStatus:
    """What is in an index, or why it cannot be used."""
    try:
        with served.opened() as opened:
            return IndexStatus(
                name=served.name,
                ready=True,
                dim=opened.dim,
                **opened.held()._asdict(),
                changed=served.changed(),
                asks=writer is not None,
                map=progress,
            )
    except Problem as problem:
        return IndexStatus(name=served.name, ready=False, problem=problem.message)


def filter_of(which: Which, opened: OpenIndex | OpenStore) -> Filter:
    """The Filter: its pattern is held against the names that answers give, and tells nothing of the disk.

    Raises Problem for a pattern over a database that means a place on the disk.
    """
    if opened.filtered is None and which.path is not None and which.path.startswith((".", "~")):
        raise Problem("invalid", "write a pattern of names as answers give them", param="path")
    return Filter(which.path, tuple(which.kinds), tuple(which.languages), which.after, which.before, opened.filtered)


def _like(opened: OpenIndex | OpenStore, name: str | None) -> str | None:
    """The path of a file of the index; no other file is ever opened."""
    if name is None:
        return None
    path = opened.names.path_of(name)
    if path is None or not opened.store.passages_of(path):
        raise Problem(
            "not_found", f"the index has no file {name[:200]!r}: take a path that a search gave", param="like"
        )
    return path


def _message(results: Results) -> str | None:
    if results.hits:
        return None
    if not results.passages:
        return "the index is empty: fill it with `gemlet index FOLDER`"
    return f"nothing matches well among {results.passages:,} passages"


def _found(hit: Hit, names: Names) -> FoundPassage:
    paths = [names.of(path) for path in hit.paths]
    return FoundPassage(
        path=paths[0],
        also=paths[1:],
        line=hit.line,
        first_line=hit.first_line,
        last_line=hit.last_line,
        page=hit.page,
        title=hit.title,
        kind=hit.kind,
        language=hit.language,
        snippet=hit.snippet,
        marked=hit.marked,
        text=hit.text,
        score=round(hit.score, 4),
        probability=_rounded(hit.probability),
        cosine=_rounded(hit.cosine),
        words=list(hit.words),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _sources(answer: "Answer", names: Names) -> list[Source]:
    return [
        Source(
            number=source.number,
            path=names.of(source.hit.path),
            first_line=source.hit.first_line,
            last_line=source.hit.last_line,
            page=source.hit.page,
            title=source.hit.title,
            text=source.text,
        )
        for source in answer.sources
    ]
