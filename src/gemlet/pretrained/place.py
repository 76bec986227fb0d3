"""What a place that may hold the checkpoint looks like to the rest.   (pins → bytes)"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gemlet.pretrained.pins import Pin
from gemlet.pretrained.progress import Progress

if TYPE_CHECKING:
    from gemlet.pretrained.store import Store


class PlaceError(Exception):
    """A place cannot give what is missing; the text is the reason."""


class FileError(PlaceError):
    """A place does not have the pinned bytes of a file; it may still be good for others."""


class Place(Protocol):
    """Somewhere to get files from."""

    @property
    def name(self) -> str:
        """How messages call it."""

    def fetch(self, missing: Sequence[Pin], store: Store, progress: Progress) -> None:
        """Put as many of the missing files into the store as this place has.

        Raises PlaceError with the reason when some could not be had; those that could are in the store all the same.
        """


def each(missing: Sequence[Pin], fetch: Callable[[Pin], None]) -> None:
    """Call `fetch` for every file; one that has the wrong bytes does not keep the others from coming.

    Raises FileError that names all the files that failed.
    """
    failures = []
    for pin in missing:
        try:
            fetch(pin)
        except FileError as failure:
            failures.append(str(failure))
    if failures:
        raise FileError("; ".join(failures))


def is_disk_full(error: BaseException) -> bool:
    """Whether the error says that the disk or the user's quota is used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))


def one_line(error: BaseException) -> str:
    """An exception's kind and the first line of what it says, at most 200 characters."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text}".splitlines()[0][:200]


def size_of(path: Path) -> int:
    """Length of a file in bytes; 0 when there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
