"""An index or a store that is served: opened anew when another is there, nothing of the disk told.   (name → Index)

It may be written, rebuilt, replaced or deleted while the server runs: each request looks what is there.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic
from urllib.parse import unquote, urlsplit

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
from gemlet.server.indexes.opened import OpenIndex, OpenStore, Place
from gemlet.server.indexes.shared import SharedEmbedder
from gemlet.server.metrics import log
from gemlet.server.problems import Problem
from gemlet.stores import Address, address_of
from gemlet.stores.opened import StoreIndex


@dataclass
class _Opening(Generic[Place]):
    """A place that is open; the last who uses it closes it when another took its place."""

    index: Place
    file: tuple[int, int] | None  # device, inode
    fingerprint: str | None
    users: int = 0
    left: bool = False


class _Served(Generic[Place]):
    """One of the places that the server was given. Any number of threads may use it."""

    def __init__(self, name: str, embedder: Embedder) -> None:
        self.name, self._embedder = name, embedder
        self._opening: _Opening[Place] | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close it, once nobody reads in it."""
        with self._lock:
            self._drop()

    def _open(self) -> _Opening[Place]:
        raise NotImplementedError

    def _is_other(self, opening: _Opening[Place]) -> bool:
        """Whether another index has come into the place of the open one."""
        raise NotImplementedError

    @contextmanager
    def _entered(self) -> Iterator[Place]:
        """What is there now. Errors about it, and in what the block does with it, come out as Problem."""
        try:
            opening = self._enter()
            try:
                yield opening.index
            finally:
                self._leave(opening)
        except GemletError as error:
            raise problem_of(error, self.name) from error

    def _enter(self) -> _Opening[Place]:
        with self._lock:
            if self._opening is not None and self._is_other(self._opening):
                self._drop()
            if self._opening is None:
                self._opening = self._open()
            self._opening.users += 1
            return self._opening

    def _leave(self, opening: _Opening[Place]) -> None:
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


class ServedIndex(_Served[Index]):
    """An index file."""

    def __init__(self, name: str, path: Path, embedder: Embedder) -> None:
        super().__init__(name, embedder)
        self.path = path

    @contextmanager
    def opened(self, shared: SharedEmbedder | None = None) -> Iterator[OpenIndex]:
        """The index as it is now, for as long as the block lasts; `shared` embeds what is asked of it.

        Errors about it, and in what the block does with it, come out as Problem: nothing in them tells of the disk.
        """
        with self._entered() as index:
            yield OpenIndex(index, shared)

    def changed(self) -> float | None:
        """When the file, or its log beside it, was last written, in seconds since 1970."""
        found = [os.stat(path) for path in (self.path, f"{self.path}-wal") if os.path.exists(path)]
        return max((file.st_mtime for file in found if file.st_size), default=None)  # readers leave an empty log

    def _open(self) -> _Opening[Index]:
        file, index = self._file(), Index(self.path, model=self._embedder)
        return _Opening(index, file, index.store.meta("fingerprint"))

    def _is_other(self, opening: _Opening[Index]) -> bool:
        return opening.file != self._file() or opening.fingerprint != opening.index.store.meta("fingerprint")

    def _file(self) -> tuple[int, int]:
        try:
            found = os.stat(self.path)
        except OSError:
            self._drop()
            raise StoreNotFound(str(self.path)) from None
        return found.st_dev, found.st_ino


class ServedStore(_Served[StoreIndex]):
    """A store in a database."""

    def __init__(self, url: str, embedder: Embedder) -> None:
        """Raises InputError for a URL that is none."""
        self._url = url
        super().__init__(_name_of(address_of(url)), embedder)

    @contextmanager
    def opened(self, shared: SharedEmbedder | None = None) -> Iterator[OpenStore]:
        """See ServedIndex. A connection that was lost is made anew."""
        with self._entered() as index:
            yield OpenStore(index, shared)

    def changed(self) -> None:
        """A database does not say."""

    def _open(self) -> _Opening[StoreIndex]:
        index = StoreIndex(self._url, model=self._embedder)
        fingerprint = index.store.meta("fingerprint")
        if fingerprint is None:
            index.close()
            raise StoreNotFound(index.address.shown)
        return _Opening(index, None, fingerprint)

    def _is_other(self, opening: _Opening[StoreIndex]) -> bool:
        try:
            return bool(opening.fingerprint != opening.index.store.meta("fingerprint"))
        except StoreError:  # the connection is lost: it may be had again
            return True


Served = ServedIndex | ServedStore
"""Whichever."""


def _name_of(address: Address) -> str:
    """What a store is called: by its schema or collection, where that is the usual one by its database or folder."""
    if address.name != "gemlet":
        return address.name
    if address.kind == "postgresql":
        return unquote(urlsplit(address.where).path.strip("/")) or address.name
    return Path(address.where).name if address.kind == "qdrant+local" else address.name


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
