"""One run: look at every file, read what changed, forget what is gone.   (roots → store)"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from gemlet.documents import Limits
from gemlet.embedder import Embedder
from gemlet.folders import Stamp, Walk
from gemlet.index.pipeline import Pipeline
from gemlet.index.reading import Reader
from gemlet.index.report import Listener, Meter, Report
from gemlet.store import Root, StoreWriter, is_below

_LOOKED_UP = 1000  # files compared with the store at a time
_DROPPED = 50  # documents removed in one transaction


class Update:
    """One run over some roots."""

    def __init__(
        self,
        store: StoreWriter,
        embedder: Callable[[], Embedder],
        release: Callable[[], None],
        limits: Limits,
        listener: Listener,
    ) -> None:
        """embedder: called when there is a file to read, and not before; release: when all are read."""
        self._store = store
        self._embedder = embedder
        self._release = release
        self._limits = limits
        self._listener = listener
        self._report = Report()
        self._found_again: Counter[int] = Counter()
        self._unlisted: list[tuple[str, str]] = []  # folders, with the reason

    def run(self, roots: list[Root]) -> Report:
        """Bring the store up to date with the roots."""
        self._store.begin_walk()
        changed: list[Stamp] = []
        walked, met = [], 0
        for root in roots:
            found = self._walk(root)
            if found is None:
                continue
            walked.append(root)
            for stamps in found:
                new, suspects = self._store.see(stamps)
                met += new
                changed += suspects
        self._remember(walked)
        self._report.unchanged = met - len(changed)
        if changed:
            self._read(changed)
            self._release()  # the vectors' cache, which is written next, may take as much memory as the model
        self._forget(walked)
        drop_orphans(self._store)
        with self._store.transaction():
            self._store.drop_kept_vectors()
        self._store.write_scan()
        self._report.problems = sorted(self._problems(roots))
        return self._report

    def _walk(self, root: Root) -> Iterator[list[Stamp]] | None:
        """The files of a root, some at a time; None when it is not there and nothing can be said about its files."""
        path = os.fsdecode(root.path)
        if not os.path.exists(path):
            if os.path.isdir(os.path.dirname(path)) and self._store.document_of(root.path) is not None:
                return iter(())  # a file that was deleted; of a folder, its disk may be elsewhere
            cure = "its files stay in the index, take them out with `gemlet index --remove`"
            self._unlisted.append((path, f"is not there: {cure}"))
            return None
        return self._stamps(Walk(path, root.hidden, root.follow))

    def _stamps(self, walk: Walk) -> Iterator[list[Stamp]]:
        some: list[Stamp] = []
        for stamp in walk.stamps():
            if self._is_own(stamp.path):
                continue
            some.append(stamp)
            if len(some) == _LOOKED_UP:
                yield some
                some = []
        yield some
        self._unlisted += walk.unlisted

    def _is_own(self, path: bytes) -> bool:
        """Whether a file is the index itself, or lies beside it as a part of it."""
        own = os.fsencode(self._store.path)
        return path.startswith(own) and path[len(own) :] in (b"", b"-wal", b"-shm", b"-journal", b".lock", b".scan")

    def _remember(self, roots: list[Root]) -> None:
        with self._store.transaction():
            for root in roots:
                if os.path.exists(root.path):
                    if not self._lost(root):
                        root = replace(root, device=_device(root.path))
                    self._store.add_root(root)
                else:
                    self._store.drop_root(root.path)

    def _read(self, changed: list[Stamp]) -> None:
        embedder = self._embedder()
        dim = int(self._store.meta("dim") or 0)
        reader = Reader(self._store, lambda texts: embedder.count_tokens(texts).tolist(), dim, self._limits)
        meter = Meter(self._listener, len(changed), sum(stamp.size for stamp in changed))
        pipeline = Pipeline(self._store, embedder, dim, reader, meter)
        pipeline.report = self._report
        pipeline.run(changed)
        self._found_again = pipeline.found_again
        self._report.tokens = meter.tokens

    def _forget(self, walked: list[Root]) -> None:
        """Take out the files that are gone. One whose document turned up under a new path has moved."""
        unknown = [os.fsencode(folder) for folder, _ in self._unlisted]
        here = {root.path for root in walked}
        apart = [root.path for root in self._store.root_settings() if root.path not in here]
        gone = [
            path
            for root in walked
            if not self._lost(root)
            for path in self._store.unseen(
                root.path, [*unknown, *(other for other in apart if _inside(other, root.path))]
            )
        ]
        gone = list(dict.fromkeys(gone))
        for path in gone:
            document = self._store.document_of(path)
            if document is not None and self._found_again[document] > 0:
                self._found_again[document] -= 1
                self._report.moved += 1
                self._report.added -= 1
                self._report.removed -= 1
        with self._store.transaction():
            self._report.removed += self._store.unlink(gone)

    def _lost(self, root: Root) -> bool:
        """Whether a root is empty where a disk used to be: its files are not gone, they are elsewhere."""
        if self._store.met_below(root.path) or not root.device or not os.path.isdir(root.path):
            return False
        if _device(root.path) == root.device or not self._store.below(root.path):
            return False
        entry = (os.fsdecode(root.path), "is empty, and on another disk than before: its files stay in the index")
        if entry not in self._unlisted:
            self._unlisted.append(entry)
        return True

    def _problems(self, roots: list[Root]) -> Iterator[tuple[str, str]]:
        """Of the roots that were asked for, whenever they were met."""
        yield from self._unlisted
        for path, reason in self._store.problems():
            if any(is_below(os.fsencode(path), root.path) for root in roots):
                yield path, reason


def drop_orphans(store: StoreWriter) -> None:
    """Remove the documents that no file has any more, some at a time: a reader never waits for long."""
    orphans = store.orphans()
    for begin in range(0, len(orphans), _DROPPED):
        with store.transaction():
            for document in orphans[begin : begin + _DROPPED]:
                store.drop_document(document)


def _device(path: bytes) -> int:
    return os.stat(path).st_dev


def _inside(path: bytes, folder: bytes) -> bool:
    return path != folder and is_below(path, folder)
