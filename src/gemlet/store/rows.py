"""What goes into the store and comes out of it.   (rows)"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemlet.passages import Passage

Codes = npt.NDArray[np.int8]
Scales = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Root:
    """A file or folder that somebody named.

    path     absolute, the file system's own bytes
    hidden   hidden files are taken too; follow: symbolic links are followed
    device   that it lay on when it was last walked
    """

    path: bytes
    hidden: bool = False
    follow: bool = False
    device: int = 0


@dataclass(frozen=True)
class Entry:
    """A document that goes into the store, whole.

    hash    of the file's bytes and its kind; two files with the same hash share one document
    scales  [passages] float32
    codes   [passages, dim] int8
    """

    hash: bytes
    kind: str
    language: str | None
    title: str | None
    passages: Sequence[Passage]
    scales: Scales
    codes: Codes


@dataclass(frozen=True)
class StoredPassage:
    """A passage as a search shows it. `paths`: every file that has this document, in order; never empty.

    ord is the passage's place in its document, from 0.
    """

    id: int
    document_id: int
    ord: int
    title: str | None
    text: str
    first_line: int
    last_line: int
    page: int | None
    kind: str
    language: str | None
    paths: tuple[str, ...]


@dataclass(frozen=True)
class StoredFile:
    """A file in the index. size in bytes, mtime in seconds since 1970."""

    path: str
    size: int
    mtime: float
    kind: str
    language: str | None
    title: str | None
    passages: int
