"""Finished shards → a store that is searched: each shard once, whatever interrupts it.   (shards → Items → store)

The files of the output stay what is true. Which of them are in a store is noted beside them, after the store has them:
what was interrupted between the two is put again, and takes the place of itself.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

from gemlet import stores
from gemlet.bulk.cutting import Shard
from gemlet.bulk.folder import STORED, Folder
from gemlet.bulk.rows import check_ids, first_and_last, items_of
from gemlet.bulk.settings import Job, Target
from gemlet.bulk.sources import is_address
from gemlet.errors import BulkError, InputError, StoreMismatch
from gemlet.index.fingerprint import ROWS, check
from gemlet.index.places import default_path, lasting
from gemlet.passages import CHUNKER
from gemlet.stores import Address, Item, Writable
from gemlet.stores.contract import TOGETHER

_NOTED_S = 5.0  # between two notes: what is put after the last one, a killed run puts again

_MANY = 10_000  # rows from which on a store makes an index, which takes a while


class Hearer(Protocol):
    """What hears how far the rows are: a Listener."""

    def message(self, text: str) -> None:
        """Show one line."""

    def stored(self, rows: int, all_rows: int) -> None:
        """Show how many rows are through, of all."""


@dataclass
class Stored:
    """What went into a store.

    rows      that were put in this run, with their passages
    before    rows that earlier runs had put
    """

    store: str
    rows: int = 0
    passages: int = 0
    before: int = 0
    seconds: float = 0.0


@dataclass
class _Note:
    """What is known of a store in the output's folder.

    id        the column that its rows are called by
    shards    that it holds: name of the file → (name of its last row, rows); "" where there is no row
    finished  its finish() has been called after the last put()
    """

    id: str | None
    shards: dict[str, tuple[str, int]] = field(default_factory=dict)
    finished: bool = False


def shards_beside(address: Address, inputs: Sequence[str]) -> str:
    """The folder for shards on their way from these inputs into a store, for who names no other: of the user's own."""
    names = [name if is_address(name) else os.path.abspath(os.path.expanduser(name)) for name in inputs]
    digest = blake2b("\0".join([address.shown, *sorted(names)]).encode("utf-8", "replace"), digest_size=8)
    return str(default_path().parent / "bulk" / digest.hexdigest())


def check_fitting(target: Target, job: Job) -> None:
    """Raise InputError for settings that make no vectors or rows for a store."""
    settings = job.settings
    if settings.precision not in ("float32", "float16"):
        raise InputError(
            f"a store makes its own small vectors: leave --precision {settings.precision} out, or take float16"
        )
    if settings.task != "document":
        raise InputError(f"queries are compared with documents: a store takes --task document, not {settings.task}")
    for what, name in (("text", settings.text), ("title", settings.title), ("id", target.id)):
        if name is not None and name not in job.kept:
            known = "" if name in job.schema.names else f"; the columns are: {', '.join(job.kept)}"
            raise InputError(f"the column {name!r}, the {what} in the store, is not among those that are kept{known}")


def reach(target: Target, job: Job, model: str) -> None:
    """Make the store's place, or see that it is for such vectors: before hours of work, not after.

    Raises InputError, StoreMismatch, StoreError, MissingExtra.
    """
    check_fitting(target, job)
    with _opened(target) as store:
        store.prepare(_made(job), lasting(model))


def look(target: Target, job: Job) -> tuple[str, int | None]:
    """(what a store is called, passages in it; None: it is not there yet). Nothing is made. Raises as reach() does."""
    check_fitting(target, job)
    with _opened(target) as store:
        made = store.meta("fingerprint")
        if made is None:
            return store.shown, None
        check(store.shown, made, _made(job))
        return store.shown, store.size()


def load(folder: Folder, job: Job, shards: Sequence[Shard], target: Target, model: str, heard: Hearer) -> Stored:
    """Put the rows of finished shards into a store, those alone that are not there.

    Raises InputError for ids that are not told apart and names that another run has put there, BulkError, StoreError.
    """
    begin = time.monotonic()
    with _opened(target) as store:
        store.prepare(_made(job), lasting(model))
        done = Stored(store.shown)
        _Loading(folder, job, target, store, done).run(shards, heard)
    done.seconds = time.monotonic() - begin
    return done


class _Loading:
    """One run of load()."""

    def __init__(self, folder: Folder, job: Job, target: Target, store: Writable, done: Stored) -> None:
        self._folder, self._job, self._target = folder, job, target
        self._store, self._done = store, done
        digest = blake2b(store.shown.encode("utf-8", "replace"), digest_size=8).hexdigest()
        self._name = f"{STORED}{digest}.json"
        self._noted = time.monotonic()

    def run(self, shards: Sequence[Shard], heard: Hearer) -> None:
        """Put what is missing, in the order of the input."""
        note = self._read()
        if self._target.id is not None:
            check_ids(self._folder, self._job, shards, self._target.id)
        if note is None:
            note = _Note(self._target.id)
            self._check_free(shards)
            self._write(note)
        rows = sum(shard.rows for shard in shards)
        through = 0
        for shard in shards:
            if self._is_there(note, shard):
                self._done.before += note.shards[shard.name][1]
            else:
                self._put(shard, note, lambda n, begin=through: heard.stored(begin + n, rows))  # type: ignore[misc]
            through += shard.rows
            heard.stored(through, rows)
        if not note.finished:
            if rows >= _MANY:
                heard.message(f"{self._store.shown} gets ready to be searched")
            self._store.finish()
            note.finished = True
            self._write(note)

    def _put(self, shard: Shard, note: _Note, tell: Callable[[int], None]) -> None:
        note.finished = False
        last = ""
        rows = 0

        def counted() -> Iterator[Item]:
            nonlocal last, rows
            for item in items_of(self._folder, self._job, shard, self._target.id):
                yield item
                last, rows = item.file.path, rows + 1
                self._done.passages += item.file.passages
                if rows % TOGETHER == 0:
                    tell(rows)

        self._store.put(counted())
        self._done.rows += rows
        note.shards[shard.name] = (last, rows)
        if time.monotonic() - self._noted > _NOTED_S:
            self._write(note)

    def _is_there(self, note: _Note, shard: Shard) -> bool:
        """Whether the store has a shard: it was noted, and the store, which may be another by now, has its last row."""
        last, _ = note.shards.get(shard.name, (None, 0))
        return last is not None and (last == "" or bool(self._store.passages_of(last)))

    def _check_free(self, shards: Sequence[Shard]) -> None:
        """Raise InputError when another run has put rows there that are called as ours: they would be lost unseen."""
        if self._target.replace:
            return
        for shard in {shard.source: shard for shard in reversed(shards)}.values():
            for name in first_and_last(self._folder, self._job, shard, self._target.id):
                if self._store.passages_of(name):
                    raise InputError(
                        f"{self._store.shown} has {name!r} already, of another run: --replace lets these rows take the "
                        "place of those; or name the input otherwise, with its folder for instance"
                    )

    def _read(self) -> _Note | None:
        if self._name not in self._folder.names():
            return None
        try:
            with self._folder.open(self._name) as file:
                facts = json.loads(file.read())
            note = _Note(
                facts["id"], {name: (last, rows) for name, (last, rows) in facts["shards"].items()}, facts["finished"]
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            told = f"{self._folder.name}/{self._name} is damaged ({type(error).__name__})"
            raise BulkError(f"{told}: delete it, and run this again with --replace") from None
        if note.id != self._target.id:
            before, now = note.id or "no --id", self._target.id or "none"
            raise InputError(
                f"the rows in {self._store.shown} were put with {before}, not {now}: take the same, or another store"
            )
        return note

    def _write(self, note: _Note) -> None:
        facts = {"store": self._store.shown, "id": note.id, "finished": note.finished, "shards": note.shards}
        with self._folder.whole(self._name) as file:
            file.write(json.dumps(facts).encode())
        self._noted = time.monotonic()


def _made(job: Job) -> dict[str, Any]:
    """The fingerprint of a store that holds such rows."""
    chunk = job.settings.chunk
    chunker = f"{ROWS} {chunk} {job.settings.overlap} {CHUNKER}" if chunk else ROWS
    return {**{key: job.made[key] for key in ("model", "quantization", "dim", "prompt")}, "chunker": chunker}


@contextmanager
def _opened(target: Target) -> Iterator[Writable]:
    """The store, with a cure that is one for rows when it was made otherwise."""
    try:
        with stores.open(target.url) as store:
            yield store
    except StoreMismatch as error:
        same = {"chunker": "--chunk and --overlap", "prompt": "gemlet"}.get(error.what, error.what)
        cure = f"go on with the same {same}, or name another place: a file, ?schema=NAME, another collection"
        raise StoreMismatch(error.path, error.what, error.expected, error.found, cure) from None
