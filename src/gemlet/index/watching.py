"""Wait until something in the roots changes.   (roots → changes)"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gemlet.errors import MissingExtra
from gemlet.store import Root

_TICK_S = 0.5
_QUIET_MS = 400  # after the last change, before a run: a save is often several changes

_NOISE = {".git", "node_modules", "__pycache__"}


def changes(roots: Sequence[Root], index: Path) -> Iterator[None]:
    """Yield once when the watch is set, and then each time that something has changed.

    What changes while the caller is busy is yielded when it asks again. A root that is a file is looked at every half
    second, as editors put another file in its place. Raises MissingExtra; never ends by itself.
    """
    folders = [os.fsdecode(root.path) for root in roots if os.path.isdir(root.path)]
    files = [os.fsdecode(root.path) for root in roots if not os.path.isdir(root.path)]
    before: list[Any] = []
    for changed in _ticks(folders, _Filter(roots, index)):
        seen = [_state(path) for path in files]
        if changed or seen != before:
            before = seen
            yield


def _ticks(folders: list[str], wanted: "_Filter") -> Iterator[bool]:
    """Twice a second, whether something in the folders has changed; at first that it has, for what came before."""
    try:
        from watchfiles import watch
    except ImportError:
        raise MissingExtra("watch", "watching folders") from None
    tick = int(_TICK_S * 1000)
    first = True
    if folders:
        for changed in watch(*folders, watch_filter=wanted, step=_QUIET_MS, rust_timeout=tick, yield_on_timeout=True):
            yield first or bool(changed)
            first = False
    while not folders:
        yield first
        first = False
        time.sleep(_TICK_S)


class _Filter:
    """Whether a change is worth a run: not of the index's own files, nor of hidden ones where these are left out."""

    def __init__(self, roots: Sequence[Root], index: Path) -> None:
        self._index = os.fspath(index)
        self._roots = [(os.fsdecode(root.path).rstrip(os.sep) + os.sep, root.hidden) for root in roots]

    def __call__(self, _change: object, path: str) -> bool:
        if path.startswith(self._index):
            return False
        return any(path.startswith(root) and self._counts(path[len(root) :], hidden) for root, hidden in self._roots)

    @staticmethod
    def _counts(inside: str, hidden: bool) -> bool:
        names = inside.split(os.sep)
        if _NOISE & set(names):
            return False
        # An ignore file is hidden, and a change of it counts.
        return hidden or (
            not any(name.startswith(".") for name in names[:-1])
            and (not names[-1].startswith(".") or names[-1] in (".gitignore", ".gemletignore"))
        )


def _state(path: str) -> Any:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
