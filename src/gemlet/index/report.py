"""What a run of the index tells: while it goes on, and at its end."""

import time
from dataclasses import dataclass, field
from typing import Protocol


@dataclass
class Report:
    """What a run did. A file is one of added, changed, moved, removed, unchanged, skipped or a problem.

    moved      files found under another path, with the same contents
    skipped    files that are no text and whose name promises none
    problems   (path, reason) of every file and folder in the roots that cannot be read, also of earlier runs
    passages   new in the index; reused: how many of them had the vector of an equal passage
    tokens     that the model read, prompts included
    """

    added: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    skipped: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    passages: int = 0
    reused: int = 0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Pace:
    """Where a run is. bytes are those of the files that are new or changed."""

    files: int
    all_files: int
    bytes: float
    all_bytes: int
    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tokens per second so far."""
        return self.tokens / self.seconds if self.seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that are left if the rest takes as long for each byte as what is done; None when nothing is done."""
        return self.seconds * (self.all_bytes - self.bytes) / self.bytes if self.bytes else None


class Listener(Protocol):
    """What the caller passes in to hear how a run goes on. Called in the thread that called update()."""

    def message(self, text: str) -> None:
        """Show one line: what is waited for."""

    def pace(self, pace: Pace) -> None:
        """Show where the run is; called at least every few seconds while texts are embedded."""


class Silence:
    """The Listener of a caller that wants to hear nothing."""

    def message(self, text: str) -> None:
        """Drop the line."""

    def pace(self, pace: Pace) -> None:
        """Drop the state."""


class Meter:
    """Counts what is through, for a Listener."""

    def __init__(self, listener: Listener, files: int, size: int) -> None:
        self._listener = listener
        self._all = (files, size)
        self._begin = time.monotonic()
        self._files = 0
        self._bytes = 0.0
        self.tokens = 0

    def file(self) -> None:
        """One more file is through."""
        self._files += 1

    def add(self, size: float, tokens: int = 0) -> None:
        """So many bytes of files are through, and so many tokens."""
        self._bytes += size
        self.tokens += tokens

    def show(self) -> None:
        """Tell the listener."""
        seconds = time.monotonic() - self._begin
        self._listener.pace(Pace(self._files, self._all[0], self._bytes, self._all[1], self.tokens, seconds))
