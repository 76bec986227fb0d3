"""An index → a store: what differs, and nothing else.   (Index → Items)

The index that `gemlet index` keeps beside a store knows the state of the disk and has every vector. So what a run, a
lost connection or another writer left undone is done by the next run.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np

from gemlet.errors import InputError, StoreNotFound
from gemlet.folders import shown
from gemlet.index import Index
from gemlet.index.places import absolute, default_path
from gemlet.passages import Passage
from gemlet.store import Store, StoredFile, StoredPassage
from gemlet.stores.addresses import Address
from gemlet.stores.contract import Item, Writable, is_text


@dataclass
class Published:
    """What went into a store, and out of it. skipped: names that are no text, which no database takes."""

    put: int = 0
    removed: int = 0
    passages: int = 0
    skipped: list[str] = field(default_factory=list)


def index_beside(address: Address) -> Path:
    """Where the index lies that belongs to a store, for who names no other: among the user's own."""
    return default_path().parent / "stores" / f"{blake2b(address.shown.encode(), digest_size=8).hexdigest()}.db"


def publish(index: Index, store: Writable, *, anew: bool = False) -> Published:
    """Make the store hold what the index holds, below its roots; what is elsewhere in the store stays.

    anew  empty the store first: its vectors were made otherwise

    Raises StoreMismatch when the store's vectors were made otherwise, StoreError; the next call goes on.
    """
    local = index.store
    if anew:
        store.drop()
    store.prepare(json.loads(local.meta("fingerprint") or "{}"), str(local.meta("model")))
    mine = {file.path: file for file in local.files()}
    there = {file.path: file for root in local.roots() if is_text(root) for file in store.files(root)}
    done = Published(skipped=[shown(path) for path in mine if not is_text(path)])
    changed = [file for path, file in mine.items() if is_text(path) and not _same(file, there.get(path))]
    store.put(_counted(_items(local, changed), done))
    done.removed = store.remove([path for path in there if path not in mine])
    if done.put or done.removed:
        store.finish()
    return done


def withdraw(index: Index, store: Writable, paths: Iterable[str | os.PathLike[str]]) -> int:
    """Take files, and all files of folders, out of the index and the store. Returns how many the store had.

    Raises InputError for a path of which neither knows anything.
    """
    removed = 0
    for name in absolute(paths):
        there = [file.path for file in store.files(name)]
        try:
            index.remove([name])
        except (InputError, StoreNotFound):
            if not there:
                raise InputError(f"{store.shown} has nothing of {shown(name)}") from None
        removed += store.remove(there)
    return removed


def _same(file: StoredFile, other: StoredFile | None) -> bool:
    """Whether two are of one state of a file; a time may have been rounded on its way."""
    if other is None or abs(file.mtime - other.mtime) > 1e-3:
        return False
    return (file.size, file.kind, file.language, file.passages) == (
        other.size, other.kind, other.language, other.passages,
    )  # fmt: skip


def _items(local: Store, files: Iterable[StoredFile]) -> Iterator[Item]:
    """Files with their passages and vectors, one by one; one that left the index meanwhile is left out."""
    dim = int(local.meta("dim") or 0)
    for file in files:
        stored = local.passages_of(file.path)
        if len(stored) != file.passages:
            continue
        vectors = np.zeros((0, dim), np.float32)
        if stored:
            scales, codes = local.vectors([passage.id for passage in stored])
            vectors = codes.astype(np.float32) * scales[:, None]
        yield Item(file, [_plain(passage) for passage in stored], vectors)


def _counted(items: Iterable[Item], done: Published) -> Iterator[Item]:
    for item in items:
        yield item
        done.put += 1
        done.passages += len(item.passages)


def _plain(stored: StoredPassage) -> Passage:
    return Passage(stored.text, stored.title, stored.first_line, stored.last_line, stored.page)
