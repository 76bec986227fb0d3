"""What goes into a store, and what every store can do.   (the seam)"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol, Self

from gemlet.errors import InputError
from gemlet.folders import shown
from gemlet.passages import Passage
from gemlet.store import Searched, StoredFile
from gemlet.vectors import FloatArray

TOGETHER = 500
"""Passages that are best put in one call: a transaction, or a request."""


@dataclass(frozen=True)
class Item:
    """A file with its passages, or a row of a table, whole.

    file     its path is its key: putting another under the same path replaces it
    vectors  [passages, dim] float32, of length 1
    """

    file: StoredFile
    passages: Sequence[Passage]
    vectors: FloatArray

    @classmethod
    def row(cls, path: str, text: str, vector: FloatArray, *, title: str | None = None, mtime: float = 0.0) -> Self:
        """A row of a table: one passage. path: what it is called, such as "posts.parquet:17"; vector [dim] float32."""
        file = StoredFile(path, len(text.encode("utf-8", "replace")), mtime, "row", None, title, 1)
        return cls(file, [Passage(text, title, 1, 1 + text.count("\n"), None)], vector[None])


class Writable(Searched, Protocol):
    """A store that can be written, too. Any number of threads may use one; they take turns.

    Besides what Searched has, and meta(), files() and counts() to look at, five methods write. Every method raises
    StoreError when the database cannot be reached or refuses; the message names the place, without a password.
    """

    shown: str
    """The URL as it may be told: without a password."""

    def meta(self, key: str) -> Any:
        """What prepare() wrote: "fingerprint" (JSON), "model", "dim"; None when there is nothing yet."""

    def files(self, below: str | None = None) -> list[StoredFile]:
        """The files that are here, in the order of their paths; `below`: those at or in this absolute path."""

    def counts(self) -> dict[str, int]:
        """How many "files" and "passages" there are; of very many an estimate."""

    def prepare(self, made: dict[str, Any], model: str) -> None:
        """Make the place for vectors that were made so; see that they are, if it is there already.

        made   the fingerprint: "model", "quantization", "dim", "prompt" and "chunker"
        model  the name to load it by

        Raises StoreMismatch when what is here was made otherwise.
        """

    def put(self, items: Iterable[Item]) -> None:
        """Add these files, or replace them, each whole. Raises InputError for vectors of another dimension."""

    def remove(self, paths: Iterable[str]) -> int:
        """Take these files out. Returns how many were here."""

    def finish(self) -> None:
        """After the last put(): make what searching many passages needs, an index for instance, if it is not there."""

    def drop(self) -> None:
        """Remove everything, the place included."""

    def close(self) -> None:
        """Give the connection back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_items(items: Iterable[Item], dim: int, place: str) -> Iterator[Item]:
    """The items, each looked at before it goes in. Raises InputError when one does not fit the store."""
    if not dim:
        raise InputError(f"{place} is not prepared: call prepare() before put()")
    for item in items:
        if not is_text(item.file.path):
            raise InputError(f"{shown(item.file.path)} is no text (UTF-8): a database cannot hold that name")
        if item.vectors.shape != (len(item.passages), dim):
            found = "x".join(map(str, item.vectors.shape))
            raise InputError(
                f"{item.file.path!r} has {len(item.passages)} passages and vectors of {found}: {place} takes vectors "
                f"of {dim} numbers, one for each passage"
            )
        yield item


def together(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in groups of about TOGETHER passages; a file is in one group, and no path is in a group twice."""
    group: dict[str, Item] = {}
    passages = 0
    for item in items:
        if item.file.path in group or passages + len(item.passages) > TOGETHER:
            if group:
                yield list(group.values())
            group, passages = {}, 0
        group[item.file.path] = item
        passages += len(item.passages)
    if group:
        yield list(group.values())


def digest_of(item: Item) -> int:
    """Of all that a file holds, 64 bits with a sign: two with the same are shown as one."""
    what = [item.file.kind, item.file.language, [[p.title, p.text, p.first_line, p.page] for p in item.passages]]
    return int.from_bytes(blake2b(json.dumps(what).encode(), digest_size=8).digest(), "big", signed=True)


def is_text(path: str) -> bool:
    """Whether a path is UTF-8 without NUL, as a database takes it."""
    return "\0" not in path and path.encode("utf-8", "replace").decode() == path
