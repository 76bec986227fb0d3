"""A file that is new or changed → its passages, or why it has none.   (stamp → Pending)

Runs in one thread beside the one that embeds, ahead of it by a few megabytes of text.
"""

import os
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemlet.documents import Document, Limits, read_document
from gemlet.documents.kinds import format_of
from gemlet.errors import GemletError, UnreadableDocument
from gemlet.folders import Stamp, stamp_of
from gemlet.passages import Count, Passage, split
from gemlet.store import Entry, StoreWriter
from gemlet.texts import as_texts

BINARY = ""
"""Reason of a file that is no text and whose name promises none: no problem, and not listed."""

_EXTRA = "pip install"  # in the reason of a file whose kind needs an extra: it may be installed by the next run

_AHEAD = 8 << 20  # characters that may wait to be embedded
_BLOCK = 1 << 20
_TRIES = 3  # at a file that is written while it is read


@dataclass
class Pending:
    """A file on its way in.

    document  id of one with this hash that the index has: nothing to embed
    reason    why the file cannot be read; None: it can
    forget    whether the version that the index has must go, as the file no longer holds that
    scales    [passages] float32, codes [passages, dim] int8: filled as the passages are embedded
    """

    stamp: Stamp
    hash: bytes = b""
    document: int | None = None
    reason: str | None = None
    forget: bool = False
    kind: str = ""
    language: str | None = None
    title: str | None = None
    passages: list[Passage] = field(default_factory=list)
    scales: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    codes: npt.NDArray[np.int8] = field(default_factory=lambda: np.zeros((0, 0), np.int8))
    missing: list[int] = field(default_factory=list)  # places of the passages that have no vector yet
    waiting: int = 0  # how many of them still wait
    twins: list[Stamp] = field(default_factory=list)  # files with the same hash that were met meanwhile

    def entry(self) -> Entry:
        """As the store takes it."""
        what = (self.hash, self.kind, self.language, self.title)
        return Entry(*what, self.passages, self.scales, self.codes)

    @property
    def characters(self) -> int:
        """How much text waits in memory."""
        return sum(len(passage.text) for passage in self.passages)


class Reader:
    """Reads files one by one; what is equal to a document or a passage in the index is found there."""

    def __init__(self, store: StoreWriter, count: Count, dim: int, limits: Limits) -> None:
        self._store = store
        self._count = count
        self._dim = dim
        self._limits = limits
        self._missing: dict[str, str] = {}  # kind → the extra that it needs
        self._flying: dict[bytes, Pending] = {}
        self._lock = threading.Lock()

    def read(self, stamp: Stamp) -> Pending | None:
        """Hash, parse and split a file. None when it is the twin of one that is on its way in."""
        path = Path(os.fsdecode(stamp.path))
        found = format_of(path)
        kind = found.kind if found else ""
        if reason := self._missing.get(kind):
            return _unread(stamp, reason, forget=True, again=True)
        try:
            for _ in range(_TRIES):
                before = stamp_of(os.fspath(path), path.stat())
                pending = self._attempt(path, kind, before)
                if pending is None or stamp_of(os.fspath(path), path.stat()).same(before):
                    return self._flies(pending)
        except FileNotFoundError:
            return None  # gone since the folder was listed: the next run sees it
        except OSError as error:
            return _unread(stamp, f"cannot be read: {error.strerror}", forget=False, again=True)
        return _unread(stamp, "is written to while it is read: index it again later", forget=False, again=True)

    def landed(self, pending: Pending) -> list[Stamp]:
        """Say that a document is about to be written; returns the files that turned out to hold the same."""
        with self._lock:
            self._flying.pop(pending.hash, None)
            return pending.twins

    def _attempt(self, path: Path, kind: str, stamp: Stamp) -> Pending | None:
        if stamp.size > self._limits.file_bytes:
            reason = f"has {stamp.size:,} bytes, the limit is {self._limits.file_bytes:,}"
            return _unread(stamp, reason, forget=True)
        if not kind and _is_binary(path):
            return _unread(stamp, BINARY, forget=True)
        digest = _digest(path)
        document = self._store.document_id(digest)
        if document is not None:
            return Pending(stamp, digest, document)
        with self._lock:
            if first := self._flying.get(digest):
                first.twins.append(stamp)
                return None
        try:
            return self._parsed(stamp, digest, read_document(path, limits=self._limits))
        except UnreadableDocument as error:
            if extra := _EXTRA in error.reason:
                self._missing[kind] = error.reason
            return _unread(stamp, error.reason, forget=True, again=extra)
        except GemletError:
            raise
        except Exception as error:  # a parser's own mistake costs one file, never the run
            return _unread(stamp, f"cannot be parsed: {type(error).__name__}: {error}"[:200], forget=True)

    def _parsed(self, stamp: Stamp, digest: bytes, document: Document) -> Pending:
        passages = [_valid(passage) for passage in split(document, self._count)]
        title = as_texts(document.title)[0][0] if document.title else document.title
        pending = Pending(stamp, digest, None, None, False, document.kind, document.language, title, passages)
        pending.scales = np.zeros(len(passages), np.float32)
        pending.codes = np.zeros((len(passages), self._dim), np.int8)
        for row, known in enumerate(self._store.known_vectors(passages)):
            if known is not None:
                pending.scales[row], pending.codes[row] = known[0], np.frombuffer(known[1], np.int8)
            else:
                pending.missing.append(row)
        pending.waiting = len(pending.missing)
        return pending

    def _flies(self, pending: Pending | None) -> Pending | None:
        """Note a document that is on its way in, so that files with the same contents land with it."""
        if pending is not None and pending.reason is None and pending.document is None:
            with self._lock:
                self._flying[pending.hash] = pending
        return pending


class Ahead:
    """Reads in a thread of its own, and waits when it is far enough ahead: iterate over it, and close it.

    An error in that thread is raised where the iteration is.
    """

    def __init__(self, reader: Reader, stamps: Iterable[Stamp]) -> None:
        self._ready: deque[tuple[Stamp, Pending | None]] = deque()
        self._characters = 0
        self._changed = threading.Condition()
        self._stopped = self._finished = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(reader, stamps), name="gemlet-reader", daemon=True)
        self._thread.start()

    def next(self, *, wait: bool) -> tuple[Stamp, Pending | None] | None:
        """The next file and what became of it; None at the end, or when none is ready and `wait` is false."""
        with self._changed:
            while not self._ready and not self._finished and wait:
                self._changed.wait(0.1)  # so that Ctrl-C comes through on every system
            if self._error is not None:
                self._raise()
            if not self._ready:
                return None
            stamp, pending = self._ready.popleft()
            self._characters -= pending.characters if pending else 0
            self._changed.notify_all()
            return stamp, pending

    def _raise(self) -> None:
        """Raise the thread's error without a reference to it that would keep the model in memory."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error

    def close(self) -> None:
        """Stop reading and wait until the thread has left its file."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self, reader: Reader, stamps: Iterable[Stamp]) -> None:
        try:
            for stamp in stamps:
                pending = reader.read(stamp)
                with self._changed:
                    while self._characters > _AHEAD and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        return
                    self._characters += pending.characters if pending else 0
                    self._ready.append((stamp, pending))
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._finished = True
                self._changed.notify_all()


def _unread(stamp: Stamp, reason: str, *, forget: bool, again: bool = False) -> Pending:
    """A file that cannot be read; `again`: the next run tries once more, even if the file stays as it is."""
    return Pending(replace(stamp, settled=stamp.settled and not again), reason=reason, forget=forget)


def _is_binary(path: Path) -> bool:
    """Whether a file whose name tells nothing is no document, by its first bytes; UTF-16 has NULs too, and says so."""
    with path.open("rb") as file:
        head = file.read(8192)
    return b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff", b"%PDF-"))


def _digest(path: Path) -> bytes:
    """Of the bytes, and of all else that a reader goes by: what the name says."""
    digest = blake2b("\0".join(map(str, format_of(path) or ())).encode() + b"\0", digest_size=20)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.digest()


def _valid(passage: Passage) -> Passage:
    """Without lone surrogates, which neither the model nor the index can take."""
    texts, _ = as_texts([passage.text, passage.title or ""])
    if texts == [passage.text, passage.title or ""]:
        return passage
    return replace(passage, text=texts[0], title=texts[1] if passage.title is not None else None)
