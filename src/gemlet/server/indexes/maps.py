"""The map of an index: made in the background, kept, and made again when the index has changed.   (index → JSON)"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import msgspec
import numpy as np

from gemlet.errors import InputError
from gemlet.layout import Chart, Grouping, data_of, grouping_of, positions_of
from gemlet.layout.chart import MOST_GROUPS
from gemlet.server.indexes.opened import OpenIndex
from gemlet.server.indexes.rooms import Room
from gemlet.server.indexes.served import Served, ServedIndex, ServedStore
from gemlet.server.indexes.shapes import MapAnswer, MapProgress
from gemlet.server.metrics import Metrics
from gemlet.server.problems import Problem
from gemlet.store import StoredPassage
from gemlet.vectors import FloatArray

MOST = 5_000
"""Points of a map; of a larger index every so many-th passage is shown."""

CHARACTERS = 280
"""Of a passage that the map shows."""

_PART = 500  # passages that are read between two looks at the progress

_NO_MAP = (
    "a store in a database does not give all its vectors; `gemlet map` draws rows of a file, and the server the map "
    "of an index in a file"
)

Step = Callable[[str, float], None]
"""Hears what is done, and which share of all is."""


@dataclass
class _Kept:
    """What there is of a map: the JSON of MapPoints; of an earlier state of the index while the next is made."""

    progress: MapProgress
    points: msgspec.Raw | None = None
    generation: int | None = None


class Maps:
    """The maps of all indexes. One is made at a time."""

    def __init__(self) -> None:
        self._room = Room("maps", threads=1, waiting=100)
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def map_of(self, served: Served) -> MapAnswer:
        """The map, or how far it is; one that is missing or out of date is begun. Of a store there is none.

        Raises Problem, as ServedIndex.opened() does. What could not be drawn is tried again when the index changes.
        """
        if isinstance(served, ServedStore):
            return MapAnswer(progress=MapProgress(state="failed", step="", share=0, error=_NO_MAP), map=None)
        with served.opened() as opened:
            generation = opened.store.generation
        with self._lock:
            kept = self._kept.setdefault(served.name, _Kept(MapProgress(state="failed", step="", share=0)))
            if kept.progress.state != "working" and kept.generation != generation:
                kept.progress = MapProgress(state="working", step="waiting", share=0)
                kept.generation = generation
                self._room.start(lambda: self._make(served, kept))
            return MapAnswer(progress=kept.progress, map=kept.points)  # type: ignore[arg-type] # JSON that is ready

    def progress_of(self, served: Served) -> MapProgress | None:
        """How far the map of an index is; None when nobody has asked for it."""
        kept = self._kept.get(served.name)
        return kept.progress if kept is not None else None

    def close(self) -> None:
        """Begin no other."""
        self._room.close()

    def _make(self, served: ServedIndex, kept: _Kept) -> None:
        def at(step: str, share: float) -> None:
            kept.progress = MapProgress(state="working", step=step, share=round(share, 3))

        try:
            with served.opened() as opened:
                kept.generation = opened.store.generation
                kept.points = _drawn(served.name, opened, at)
            kept.progress = MapProgress(state="done", step="", share=1)
        except Problem as problem:
            kept.points = None
            kept.progress = MapProgress(state="failed", step="", share=0, error=problem.message)
        except Exception as error:  # a bug: the map fails, and the server goes on
            Metrics.broken(error)
            kept.progress = MapProgress(state="failed", step="", share=0, error="the server's log says what went wrong")


def _drawn(name: str, opened: OpenIndex, at: Step) -> msgspec.Raw:
    at("reading", 0)
    ids, passages = opened.store.scan().ids, opened.store.size()
    if len(ids) > MOST:
        ids = ids[np.linspace(0, len(ids) - 1, MOST).astype(np.int64)]
    found, vectors = _read(opened, ids.tolist(), at)
    if len(found) < 2:
        raise InputError(f"a map needs 2 passages or more, and the index has {len(found)}")
    at("placing", 0.4)
    points = positions_of(vectors)
    from gemlet.clustering import cluster  # what a server without a map does not need

    at("grouping", 0.5)
    texts = [passage.text for passage in found]
    names = [opened.names.of(passage.paths[0]) for passage in found]
    groups = cluster(vectors, texts=texts)
    topic = grouping_of("topic", [f"{label + 1}. {groups.names[label]}" for label in groups.labels.tolist()])
    chart = Chart(
        title=name,
        points=points,
        texts=texts,
        places=[_place(name, passage) for name, passage in zip(names, found, strict=True)],
        groupings=[topic, *_told_apart("folder", map(_folder, names)), *_told_apart("kind", (p.kind for p in found))],
    )
    at("writing", 0.95)
    return msgspec.Raw(msgspec.json.encode({"index": name, "passages": passages, **data_of(chart, CHARACTERS)}))


def _read(opened: OpenIndex, ids: list[int], at: Step) -> tuple[list[StoredPassage], FloatArray]:
    """The passages that are still there, and their vectors."""
    found: list[StoredPassage] = []
    rows = [np.zeros((0, opened.dim), np.float32)]
    for begin in range(0, len(ids), _PART):
        at("reading", 0.4 * begin / len(ids))
        part = opened.store.passages(ids[begin : begin + _PART])
        try:
            scales, codes = opened.store.vectors([passage.id for passage in part])
        except KeyError:  # some left the index just now
            continue
        found += part
        rows.append(codes * scales[:, None])
    return found, np.concatenate(rows)


def _told_apart(name: str, values: Iterable[str]) -> list[Grouping]:
    """A grouping by these values, where there are some to tell apart, and not too many."""
    listed = list(values)
    return [grouping_of(name, listed)] if 2 <= len(set(listed)) <= MOST_GROUPS else []


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent).removeprefix(".") or name


def _place(name: str, passage: StoredPassage) -> str:
    return f"{name} page {passage.page}" if passage.page is not None else f"{name}:{passage.first_line}"
