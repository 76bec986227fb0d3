"""How a long fetch tells its caller where it is.   (bytes → a bar)"""

import sys
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tqdm import tqdm


class Progress(Protocol):
    """What the caller passes in. Both methods may be called from any thread, one call at a time."""

    def message(self, text: str) -> None:
        """Show one line: which place is being tried, whose terms apply, what is waited for."""

    def update(self, done: int, total: int, what: str) -> None:
        """Show that `done` of `total` bytes are through; `what` names the step and changes with it."""


class Silent:
    """The Progress of a caller that wants to hear nothing."""

    def message(self, text: str) -> None:
        """Drop the line."""

    def update(self, done: int, total: int, what: str) -> None:
        """Drop the count."""


class Terminal:
    """Lines, and where stderr is a terminal one bar over bytes, on stderr. Close it after use."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._what = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def message(self, text: str) -> None:
        """Write one line, above the bar if there is one."""
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)

    def update(self, done: int, total: int, what: str) -> None:
        """Move the bar; a new step begins a new bar."""
        from tqdm import tqdm

        if self._bar is None or self._what != what:
            self.close()
            self._what = what
            self._bar = tqdm(desc=what, total=total, unit="B", unit_scale=True, disable=None, file=sys.stderr)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Meter:
    """Adds up the bytes of one step from several threads and reports them."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self.progress = progress
        self._what = what
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def expect(self, more: int) -> None:
        """Raise the total by `more` bytes."""
        with self._lock:
            self._total += more

    def add(self, count: int) -> None:
        """Count bytes that are through; negative when they have to be fetched again."""
        with self._lock:
            self._done += count
            self.progress.update(max(0, min(self._done, self._total)), self._total, self._what)
