"""The index of somebody's files: brought up to date, and ready to be searched.   (folders → store)"""

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gemlet.documents import Limits
from gemlet.embedder import DEFAULT_MODEL, Embedder, Quantization
from gemlet.errors import InputError, StoreMismatch
from gemlet.folders import shown
from gemlet.index.fingerprint import check, fingerprint, holds_rows, model_digest
from gemlet.index.places import absolute, default_path, delete, lasting, roots_for
from gemlet.index.report import Listener, Report, Silence
from gemlet.index.watching import changes
from gemlet.pretrained import exclusive
from gemlet.store import Root, Store, StoreWriter
from gemlet.vectors import check_dim

_NOTHING = "nothing was indexed before: name a file or folder, `gemlet index PATH`"


class Index:
    """An index of files, by path: what `gemlet index` writes and `gemlet search` reads.

    `store` and `embedder` are opened when they are first asked for, so that a look at the one does not wait for the
    other. One process writes at a time, others wait; any number may read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        model: str | os.PathLike[str] | Embedder | None = None,
        quantization: Quantization | None = None,
        truncate_dim: int | None = None,
        threads: int | None = None,
        offline: bool = False,
        limits: Limits | None = None,
    ) -> None:
        """Name an index; nothing is opened yet.

        path          of the SQLite file; None: default_path()
        model         as Embedder takes it, or an Embedder; None: the one that the index was made with
        truncate_dim  numbers of a vector; None: as the index has it, all 768 for a new one
        limits        of what reading one file may take
        """
        self.path = default_path() if path is None else Path(path).expanduser().absolute()
        self._model = model
        self._options: dict[str, Any] = {"quantization": quantization, "threads": threads, "offline": offline}
        self._asked_dim = truncate_dim
        self._limits = limits or Limits()
        self._store: Store | None = None
        self._embedder = model if isinstance(model, Embedder) else None
        self._checked = 0  # 1: for reading, 2: for writing too
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened; the index may be used again."""
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._store = None

    @property
    def store(self) -> Store:
        """The store, to read. Raises StoreNotFound, StoreError, StoreCorrupt."""
        with self._lock:
            if self._store is None:
                self._store = Store(self.path)
            return self._store

    @property
    def embedder(self) -> Embedder:
        """The model that the index was made with, loaded once. Raises StoreMismatch for another, ModelError."""
        with self._lock:
            return self._embedder_for(self.store)

    @property
    def dim(self) -> int:
        """How many numbers a vector in the index has. Raises StoreNotFound."""
        return int(self.store.meta("dim") or 0)

    def update(
        self,
        paths: Iterable[str | os.PathLike[str]] = (),
        *,
        hidden: bool | None = None,
        follow: bool | None = None,
        listener: Listener | None = None,
    ) -> Report:
        """Bring files and folders into the index, and bring it up to date with them.

        paths     none: everything that was indexed before
        hidden    take hidden files too; follow symbolic links: None: as before, at first no
        listener  hears how it goes on

        What has not changed costs a stat. When this is interrupted, or killed, every document that was complete is in
        the index and the next update goes on from there. Raises InputError for a path that is not there, StoreMismatch
        for another model, dimension or chunker than the index was made with, StoreError, ModelError.
        """
        listener = listener or Silence()
        begin = time.monotonic()
        names = absolute(paths)
        for name in names:
            if not os.path.exists(name):
                raise InputError(f"there is no file or folder {shown(name)}")
        if not names and not self.path.exists():
            raise InputError(_NOTHING)
        with self._writer(listener) as store:
            self._check_files(store)
            self._check_dim(store)
            roots = roots_for(store, names, hidden, follow)
            if not roots:
                raise InputError(_NOTHING)
            report = self._run(store, roots, listener)
        report.seconds = time.monotonic() - begin
        return report

    def watch(
        self,
        paths: Iterable[str | os.PathLike[str]] = (),
        *,
        hidden: bool | None = None,
        follow: bool | None = None,
        listener: Listener | None = None,
    ) -> Iterator[Report]:
        """update() at once, and again whenever something in these files and folders changes; yields each Report.

        Ends only by an exception: update()'s own, or KeyboardInterrupt. Raises MissingExtra without the extra `watch`.
        """
        names = absolute(paths)
        roots = [Root(os.fsencode(name), hidden=bool(hidden)) for name in names] or self.store.root_settings()
        for _ in changes(roots, self.path):
            yield self.update(names, hidden=hidden, follow=follow, listener=listener)

    def rebuild(self, *, listener: Listener | None = None) -> Report:
        """Make the index anew from the roots that it has, with the model, quantization and dimension that were named.

        It is made beside the old one, which answers searches until the new one takes its place in one transaction; when
        it is interrupted, the next rebuild() goes on. Raises InputError when a root is not there, as its files would be
        lost, StoreNotFound, and what update() raises.
        """
        listener = listener or Silence()
        self._check_files(self.store)
        begin, roots = time.monotonic(), self.store.root_settings()
        for root in roots:
            if not os.path.exists(root.path):
                cure = "attach it, or take it out with `gemlet index --remove`"
                raise InputError(f"{shown(root.path)} is not there, its files would leave the index: {cure}")
        model = self._model if self._model is not None else self.store.meta("model")
        beside = self.path.with_name(self.path.name + ".new")
        new = Index(beside, model=model, truncate_dim=self._asked_dim, limits=self._limits, **self._options)
        with self._writer(listener) as store:
            try:
                report = new._run_into(store, roots, listener)
            except StoreMismatch:  # an earlier one, which was interrupted, had other settings
                delete(beside)
                report = new._run_into(store, roots, listener)
            store.write_scan()
        delete(beside)
        self._embedder, self._checked = new._embedder, new._checked
        report.seconds = time.monotonic() - begin
        return report

    def remove(self, paths: Iterable[str | os.PathLike[str]], *, listener: Listener | None = None) -> int:
        """Take files, and all files of folders, out of the index. Returns how many it were; the files are untouched.

        Raises InputError for a path of which the index knows nothing, StoreError.
        """
        from gemlet.index.update import drop_orphans  # what a search does not need

        names = [os.fsencode(name) for name in absolute(paths)]
        removed = 0
        _ = self.store  # one that is not there is not made
        with self._writer(listener or Silence()) as store:
            known = {root.path for root in store.root_settings()}
            for name in names:
                if name not in known and not store.below(name):
                    raise InputError(f"the index {self.path} has nothing of {shown(name)}")
            with store.transaction():
                for name in names:
                    removed += store.unlink_below(name)
                    store.drop_root(name)
            drop_orphans(store)
        return removed

    def status(self) -> dict[str, Any]:
        """What the index holds, and what it was made with: in JSON's types. Raises StoreNotFound, StoreError."""
        store = self.store
        made = json.loads(store.meta("fingerprint") or "{}")
        return {
            "path": str(self.path),
            "bytes": self.path.stat().st_size,
            **store.counts(),
            "roots": store.roots(),
            "model": store.meta("model"),
            **{key: made.get(key) for key in ("quantization", "dim", "chunker")},
            "digest": made.get("model"),
        }

    def problems(self) -> list[tuple[str, str]]:
        """(path, reason) of each file that could not be read. Raises StoreNotFound, StoreError."""
        return self.store.problems()

    def release(self) -> None:
        """Let go of the model, unless it is the caller's; who needs it again loads it in a moment."""
        if not isinstance(self._model, Embedder):
            self._embedder, self._checked = None, 0

    # Inside

    @contextmanager
    def _writer(self, listener: Listener) -> Iterator[StoreWriter]:
        """The store, to write, in one process at a time; a lock ends with the process that holds it."""
        lock = self.path.with_name(self.path.name + ".lock")
        waiting = f"waiting: another process writes the index {self.path}"
        with exclusive(lock, lambda: listener.message(waiting)), StoreWriter(self.path) as store:
            yield store

    def _run(self, store: StoreWriter, roots: list[Root], listener: Listener) -> Report:
        from gemlet.index.update import Update  # what a search does not need

        return Update(store, lambda: self._embedder_for(store), self.release, self._limits, listener).run(roots)

    def _run_into(self, store: StoreWriter, roots: list[Root], listener: Listener) -> Report:
        """Bring this index up to date, and make another what this one is."""
        with self._writer(listener) as own:
            self._embedder_for(own)  # and its fingerprint, even if there is nothing to read
            report = self._run(own, roots, listener)
            own.copy_to(store)
        return report

    def _check_dim(self, store: Store) -> None:
        """What can be told without the model."""
        if (stored := store.meta("fingerprint")) and self._asked_dim is not None:
            check(self.path, stored, {"dim": self._asked_dim})

    def _check_files(self, store: Store) -> None:
        """Raise InputError for an index that holds rows: a walk through folders would take them for files that left."""
        if (stored := store.meta("fingerprint")) and holds_rows(stored):
            raise InputError(f"the index {self.path} holds rows of tables: name another one for files, with --index")

    def _embedder_for(self, store: Store) -> Embedder:
        with self._lock:
            self._check_dim(store)
            if self._embedder is None:
                name = self._model if isinstance(self._model, str | os.PathLike) else store.meta("model")
                self._embedder = Embedder(name or DEFAULT_MODEL, **self._options)
            enough = 1 + isinstance(store, StoreWriter)
            if self._checked < enough:
                self._check(store, self._embedder)
                self._checked = enough
            return self._embedder

    def _check(self, store: Store, embedder: Embedder) -> None:
        """Hold the model against the fingerprint; an index that has none yet gets it."""
        stored = store.meta("fingerprint")
        digest, known = model_digest(embedder.checkpoint, store.meta("model_file"))
        dim = check_dim(self._asked_dim, embedder.checkpoint.config["dense"][-1])
        if stored:
            dim = json.loads(stored).get("dim")
        asked = fingerprint(digest, embedder.quantization, dim)
        if not isinstance(store, StoreWriter):
            del asked["chunker"]  # a query is not cut
        if stored:
            check(self.path, stored, asked)
        elif isinstance(store, StoreWriter):
            with store.transaction():
                store.set_meta("fingerprint", json.dumps(asked))
                store.set_meta("dim", dim)
                store.set_meta("model", lasting(embedder.name))
                store.set_meta("model_file", known)
