"""The embedded index behind the seam of the databases.   (Items ↔ SQLite)"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from gemlet.folders import Stamp
from gemlet.index.fingerprint import check
from gemlet.index.places import delete
from gemlet.pretrained import exclusive
from gemlet.scan import quantise
from gemlet.store import EVERYTHING, Entry, Filter, Store, StoredFile, StoredPassage, StoreWriter
from gemlet.store.rows import Codes, Scales
from gemlet.stores.addresses import Address
from gemlet.stores.contract import Item, Writable, check_items
from gemlet.vectors import FloatArray


class SqliteStore(Writable):
    """See contract.Writable. Processes that write take turns."""

    def __init__(self, address: Address) -> None:
        self.shown = address.shown
        self._path = Path(address.where)
        self._opened: Store | None = None

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    # What is here

    def meta(self, key: str) -> Any:
        """See Writable."""
        return self._store.meta(key) if self._path.exists() else None

    def files(self, below: str | None = None) -> list[StoredFile]:
        """See Writable."""
        inside = below if below is None else below.rstrip(os.sep) + os.sep
        return [f for f in self._store.files() if inside is None or f.path == below or f.path.startswith(inside)]

    def counts(self) -> dict[str, int]:
        """See Writable."""
        found = self._store.counts()
        return {"files": found["files"], "passages": found["passages"]}

    def size(self) -> int:
        """See Searched."""
        return self._store.size()

    def nearest(
        self, vector: FloatArray, k: int, wanted: Filter = EVERYTHING, *, exact: bool = False
    ) -> list[tuple[int, float]]:
        """See Searched."""
        return self._store.nearest(vector, k, wanted, exact=exact)

    def keyword(self, query: str, k: int, wanted: Filter = EVERYTHING) -> list[tuple[int, float]]:
        """See Searched."""
        return self._store.keyword(query, k, wanted)

    def passages(self, ids: Iterable[int]) -> list[StoredPassage]:
        """See Searched."""
        return self._store.passages(ids)

    def passages_of(self, path: str | os.PathLike[str]) -> list[StoredPassage]:
        """See Searched."""
        return self._store.passages_of(path)

    def vectors(self, ids: Sequence[int]) -> tuple[Scales, Codes]:
        """See Searched."""
        return self._store.vectors(ids)

    # Changes

    def prepare(self, made: dict[str, Any], model: str) -> None:
        """See Writable."""
        with self._writing() as writer:
            if stored := writer.meta("fingerprint"):
                check(self.shown, stored, made)
                return
            for key, value in (("fingerprint", json.dumps(made)), ("dim", made["dim"]), ("model", model)):
                writer.set_meta(key, value)

    def put(self, items: Iterable[Item]) -> None:
        """See Writable."""
        with self._writing() as writer:
            for item in check_items(items, int(writer.meta("dim") or 0), self.shown):
                before = writer.document_of(os.fsencode(item.file.path))
                _put(writer, item)
                _drop_orphan(writer, before)

    def remove(self, paths: Iterable[str]) -> int:
        """See Writable."""
        removed = 0
        with self._writing() as writer:
            for path in map(os.fsencode, paths):
                before = writer.document_of(path)
                removed += writer.unlink([path])
                _drop_orphan(writer, before)
        return removed

    def finish(self) -> None:
        """See Writable."""
        with StoreWriter(self._path) as writer:
            writer.write_scan()

    def drop(self) -> None:
        """See Writable."""
        self.close()
        delete(self._path)

    # Inside

    @property
    def _store(self) -> Store:
        if self._opened is None:
            self._opened = Store(self._path)
        return self._opened

    @contextmanager
    def _writing(self) -> Iterator[StoreWriter]:
        """One transaction."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._path.with_name(self._path.name + ".lock")
        with exclusive(lock, lambda: None), StoreWriter(self._path) as writer, writer.transaction():
            yield writer


def _put(writer: StoreWriter, item: Item) -> None:
    file = item.file
    digest = _digest(item)
    document = writer.document_id(digest)
    if document is None:
        codes, scales = quantise(item.vectors)
        entry = Entry(digest, file.kind, file.language, file.title, item.passages, scales, codes)
        document = writer.add_document(entry)
    writer.link(Stamp(os.fsencode(file.path), file.size, round(file.mtime * 1e9), 0), document)


def _drop_orphan(writer: StoreWriter, document: int | None) -> None:
    """Remove a document that no file has any more."""
    if document is not None and not writer.other_files(document, b""):
        writer.drop_document(document)


def _digest(item: Item) -> bytes:
    """Of all that a document is: files that agree in it share one."""
    what = [item.file.kind, item.file.language, item.file.title]
    texts = [[p.title, p.text, p.first_line, p.last_line, p.page] for p in item.passages]
    return blake2b(json.dumps([what, texts]).encode() + item.vectors.tobytes(), digest_size=20).digest()
