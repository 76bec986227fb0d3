"""An index that is served: opened anew when its file is another one, and nothing of the disk told.   (name → Index)

Its file may be written, rebuilt, replaced or deleted while the server runs: each request looks what is there.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemlet.embedder import Embedder
from gemlet.errors import (
    GemletError,
    GenerationError,
    InputError,
    StoreCorrupt,
    StoreError,
    StoreMismatch,
    StoreNotFound,
)
from gemlet.index import Index
from gemlet.server.indexes.shared import SharedEmbedder
from gemlet.server.metrics import log
from gemlet.server.problems import Problem
from gemlet.store import Store
from gemlet.store.names import Names, names_for


@dataclass
class _Opening:
    """A file that is open; the last who uses it closes it when another took its place."""

    index: Index
    file: tuple[int, int]  # device, inode
    fingerprint: str | None
    users: int = 0
    left: bool = False


class OpenIndex:
    """An index for one request: what gemlet.search takes, its queries embedded in the server's queue.

    names  of its files, for answers
    """

    def __init__(self, index: Index, shared: SharedEmbedder | None) -> None:
        self._index, self._shared = index, shared
        self.names: Names = names_for(index.store.roots())

    @property
    def store(self) -> Store:
        """The index itself."""
        return self._index.store

    @property
    def embedder(self) -> Any:
        """The server's model. Raises StoreMismatch when the index was made with another."""
        _ = self._index.embedder
        assert self._shared is not None, "this request said that it embeds nothing"
        return self._shared

    @property
    def dim(self) -> int:
        """How many numbers a vector of the index has."""
        return self._index.dim

    def release(self) -> None:
        """Keep the model: it is the server's."""


class ServedIndex:
    """One of the indexes that the server was given. Any number of threads may use it."""

    def __init__(self, name: str, path: Path, embedder: Embedder) -> None:
        self.name, self.path = name, path
        self._embedder = embedder
        self._opening: _Opening | None = None
        self._lock = threading.Lock()

    @contextmanager
    def opened(self, shared: SharedEmbedder | None = None) -> Iterator[OpenIndex]:
        """The index as it is now, for as long as the block lasts; `shared` embeds what is asked of it.

        Errors about it, and in what the block does with it, come out as Problem: nothing in them tells of the disk.
        """
        try:
            opening = self._enter()
            try:
                yield OpenIndex(opening.index, shared)
            finally:
                self._leave(opening)
        except GemletError as error:
            raise problem_of(error, self.name) from error

    def changed(self) -> float | None:
        """When the file, or its log beside it, was last written, in seconds since 1970."""
        found = [os.stat(path) for path in (self.path, f"{self.path}-wal") if os.path.exists(path)]
        return max((file.st_mtime for file in found if file.st_size), default=None)  # readers leave an empty log

    def close(self) -> None:
        """Close the file, once nobody reads in it."""
        with self._lock:
            self._drop()

    def _enter(self) -> _Opening:
        with self._lock:
            file = self._file()
            if self._opening is not None:
                now = None if self._opening.file != file else self._opening.index.store.meta("fingerprint")
                if self._opening.file != file or now != self._opening.fingerprint:
                    self._drop()
            if self._opening is None:
                index = Index(self.path, model=self._embedder)
                self._opening = _Opening(index, file, index.store.meta("fingerprint"))
            self._opening.users += 1
            return self._opening

    def _leave(self, opening: _Opening) -> None:
        with self._lock:
            opening.users -= 1
            if opening.left and not opening.users:
                opening.index.close()

    def _drop(self) -> None:
        if self._opening is not None:
            self._opening.left = True
            if not self._opening.users:
                self._opening.index.close()
        self._opening = None

    def _file(self) -> tuple[int, int]:
        try:
            found = os.stat(self.path)
        except OSError:
            self._drop()
            raise StoreNotFound(str(self.path)) from None
        return found.st_dev, found.st_ino


class Indexes:
    """All that are served, by their names: the stems of their files."""

    def __init__(self, paths: Sequence[str | os.PathLike[str]], embedder: Embedder) -> None:
        """Open each once. Raises InputError for two of one name, StoreError for one that is not there or broken."""
        self._served: dict[str, ServedIndex] = {}
        for path in (Path(path).expanduser().absolute() for path in paths):
            if path.stem in self._served:
                raise InputError(f"two indexes are called {path.stem!r}: the name is the file's, rename one of them")
            with Store(path):
                self._served[path.stem] = ServedIndex(path.stem, path, embedder)

    def __iter__(self) -> Iterator[ServedIndex]:
        return iter(self._served.values())

    def named(self, name: str | None) -> ServedIndex:
        """The index of this name; without one the first. Raises Problem "not_found"."""
        if not self._served:
            raise Problem("not_found", "this server has no index: start it with --index FILE", param="index")
        if name is None:
            return next(iter(self))
        if name not in self._served:
            told = f"no index is called {name[:100]!r}; there is {', '.join(self._served)}"
            raise Problem("not_found", told, param="index")
        return self._served[name]

    def close(self) -> None:
        """Close all."""
        for served in self:
            served.close()


def problem_of(error: GemletError, name: str) -> Problem:
    """What a client is told; what it is not, with the places that the message names, goes into the log."""
    if isinstance(error, InputError):
        return Problem("invalid", str(error))
    log("index", index=name, error=str(error))
    what = f"the index {name!r}"
    if isinstance(error, StoreNotFound):
        return Problem("unavailable", f"{what} is not there at the moment: make it again with `gemlet index`")
    if isinstance(error, StoreMismatch):
        made = f"was made with {error.what} {error.found}, and the server has {error.expected}"
        return Problem("unavailable", f'{what} {made}: search it with mode "keyword", or make it anew')
    if isinstance(error, StoreCorrupt):
        return Problem("unavailable", f"{what} is damaged: delete it and make it again with `gemlet index`")
    if isinstance(error, GenerationError):
        return Problem(
            "unavailable", "the model that writes failed; the server's log says how. `quote` does without it"
        )
    if isinstance(error, StoreError):
        return Problem("unavailable", f"{what} cannot be read; the server's log says why")
    return Problem("internal", "the server's log says what went wrong")
