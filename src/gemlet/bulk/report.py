"""What a run tells: while it goes on, and at its end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gemlet.bulk.cutting import Shard
from gemlet.bulk.plan import Plan
from gemlet.bulk.shards import Counts
from gemlet.bulk.storing import Stored


@dataclass(frozen=True)
class Pace:
    """Where a run is.

    shards, rows  done, those of earlier runs included, of all
    new_rows      done in this run; `tokens` and `seconds` are of this run too
    """

    shards: int
    all_shards: int
    rows: int
    all_rows: int
    new_rows: int
    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds if self.seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that are left if rows go on to take as long; None when none is done."""
        return self.seconds * (self.all_rows - self.rows) / self.new_rows if self.new_rows else None


class Listener(Protocol):
    """What hears how a run goes on, in the thread that called run()."""

    def message(self, text: str) -> None:
        """Show one line."""

    def pace(self, pace: Pace) -> None:
        """Show where the run is; called about once a second."""

    def stored(self, rows: int, all_rows: int) -> None:
        """Show how many rows are in the store, of all; called often."""


class Silence:
    """The Listener of a caller that wants to hear nothing."""

    def message(self, text: str) -> None:
        """Drop the line."""

    def pace(self, pace: Pace) -> None:
        """Drop the state."""

    def stored(self, rows: int, all_rows: int) -> None:
        """Drop it too."""


@dataclass
class Report:
    """What is there at the end.

    counts   of all shards, those of earlier runs included
    new      of those that this run made
    shards   how many there are, and how many of them were there before
    failed   (part of a source, reason) of shards that could not be made
    broken   (source, reason) of those that were left out as a whole
    stored   what went into the store; None where none was named
    """

    output: str
    shards: int
    before: int
    counts: Counts
    new: Counts
    seconds: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    stored: Stored | None = None


class Meter:
    """Counts what is through, and tells the listener about once a second."""

    def __init__(self, listener: Listener, plan: Plan, done: Sequence[Shard]) -> None:
        self._listener = listener
        self._all = (len(plan.shards), plan.rows)
        self._shards, self._before = len(done), sum(shard.rows for shard in done)
        self._rows = self._tokens = 0  # of shards that are finished
        self._partial = (0, 0)  # of those that are not
        self._begin = self._told = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begin

    def done(self, shard: Shard, counts: Counts) -> None:
        """A shard is finished."""
        self._shards += 1
        self._rows += shard.rows
        self._tokens += counts.tokens

    def partial(self, rows: int, tokens: int) -> None:
        """Rows and tokens that are through of shards that are not finished."""
        self._partial = (rows, tokens)
        if time.monotonic() - self._told >= 1:
            self.show()

    def show(self) -> None:
        """Tell the listener."""
        self._told = time.monotonic()
        rows = self._rows + self._partial[0]
        self._listener.pace(
            Pace(
                self._shards, self._all[0], self._before + rows, self._all[1], rows, self._tokens + self._partial[1],
                self.seconds,
            )
        )  # fmt: skip
