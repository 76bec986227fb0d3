"""Sets of rows → the batches of a whole run, in order.   (sizes, settings → [(set, rows)])

Everything is decided before the first step, from the seed alone: what is done is a number, and a run that was killed
goes on by skipping so many batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError
from gemlet.train.rows import TrainingSet
from gemlet.train.settings import Settings

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Rows of one set: `set` is its number, `rows` [B] theirs. partners [B], of labels: each row's positive."""

    set: int
    rows: Rows
    partners: Rows | None = None


def plan(sets: Sequence[TrainingSet], settings: Settings, processes: int = 1) -> list[Batch]:
    """The batches of all epochs.

    A batch has rows of one set (section 2.3 of the paper). Each pass over a set has an order of its own; the batches
    of an epoch come in any order. With `settings.weights` a set has its share of an epoch's batches, passing over its
    rows more than once or less; else as many as its rows fill. The rows that are left at the end of a pass are a
    smaller batch; one row alone joins the batch before it. With several processes each batch can be divided by their
    number, which may leave up to that many rows of a pass out.

    Raises InputError for weights that are not one for each set, and where no batch can be made.
    """
    if settings.weights is not None and len(settings.weights) != len(sets):
        raise InputError(f"{len(settings.weights)} weights for {len(sets)} data sets: give one for each")
    if settings.batch % processes:
        raise InputError(f"a batch of {settings.batch} rows cannot be shared by {processes} processes: choose another")
    for one in sets:
        if settings.batch == 1 and len(one.columns) < 3 and one.kind != "texts":
            raise InputError(
                f"{one.name}: a batch of one row has nothing to compare it with: choose --batch 2 or more, or add "
                "negatives"
            )
    rng = np.random.default_rng(settings.seed)
    passes = [_Passes(one, settings.batch, processes, rng) for one in sets]
    found: list[Batch] = []
    for _ in range(settings.epochs if settings.steps is None else settings.steps):
        shares = _shares([one.count for one in passes], settings.weights)
        epoch = [passes[i].next(i) for i, share in enumerate(shares) for _ in range(share)]
        found += [epoch[i] for i in rng.permutation(len(epoch))]
        if settings.steps is not None and len(found) >= settings.steps:
            break
    found = found[: settings.steps]
    if not found:
        raise InputError(f"{sum(map(len, sets))} rows make no batch of two: add rows")
    return found


class _Passes:
    """One set's batches, pass after pass."""

    def __init__(self, one: TrainingSet, batch: int, processes: int, rng: np.random.Generator) -> None:
        self._set, self._batch, self._processes, self._rng = one, batch, processes, rng
        self._least = (
            1 if one.kind == "texts" or len(one.columns) > 2 else 2
        )  # rows of a batch from which something can be learned
        self._groups = _groups(one)
        self._rows = np.sort(np.concatenate(self._groups)) if self._groups else np.arange(len(one))
        self._waiting: list[Rows] = []
        self._partners: Rows | None = None
        self.count = len(self._cut(self._rows))
        if not self.count:
            raise InputError(
                f"{one.name}: {len(self._rows)} rows are no batch from which to learn: add rows, or negatives"
            )

    def next(self, number: int) -> Batch:
        if not self._waiting:
            self._waiting = self._cut(self._rng.permutation(self._rows))[::-1]
            self._partners = self._pair() if self._groups else None
        rows = self._waiting.pop()
        return Batch(number, rows, None if self._partners is None else self._partners[rows])

    def _cut(self, order: Rows) -> list[Rows]:
        cut = [order[i : i + self._batch] for i in range(0, len(order), self._batch)]
        if len(cut[-1]) < self._least and len(cut) > 1:
            last = cut.pop()
            cut[-1] = np.concatenate([cut[-1], last])
        cut = [rows[: len(rows) // self._processes * self._processes] for rows in cut]
        return [rows for rows in cut if len(rows) >= max(self._least, self._processes)]

    def _pair(self) -> Rows:
        """For each row another one of its label: the next in an order that is new in each pass."""
        partners = np.zeros(len(self._set), np.int64)
        for group in self._groups:
            order = self._rng.permutation(group)
            partners[order] = np.roll(order, -1)
        return partners


def _groups(one: TrainingSet) -> list[Rows]:
    """Of labels: the rows of each that two have. Of other kinds none."""
    if one.kind != "labels":
        return []
    codes = np.unique(np.array(one.targets), return_inverse=True)[1].reshape(-1)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return [group for group in groups if len(group) > 1]


def _shares(counts: list[int], weights: Sequence[float] | None) -> list[int]:
    """Batches of each set in an epoch: as many as it has; by weights at least one, as many in all."""
    if weights is None:
        return counts
    return [max(1, round(sum(counts) * weight / sum(weights))) for weight in weights]
