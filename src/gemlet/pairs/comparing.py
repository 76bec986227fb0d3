"""Two blocks of vectors → the pairs that are alike.   (Coded × Coded → rows, rows, cosines)"""

import os
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from gemlet import _core
from gemlet.errors import InputError
from gemlet.pairs.coded import Coded, Ids
from gemlet.vectors import FloatArray

Found = tuple[Ids, Ids, FloatArray]  # rows of the left block, rows of the right, their cosines

LEFT, RIGHT = 2048, 4096
"""Rows of a block on either side: all their pairs fit into 100 MB, and a block takes a moment."""

_RESCORED = 8192  # pairs whose vectors are gathered at a time
_ROUNDING = 1e-5  # of sums in float32


def scanner_of(threads: int | None) -> _core.Scanner:
    """An engine with so many threads; None: as many as the process may use."""
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}: it must be 1 or more")
    affinity = getattr(os, "sched_getaffinity", None)
    return _core.Scanner(threads or (len(affinity(0)) if affinity else os.cpu_count() or 1))


def check_width(a: Coded, b: Coded) -> None:
    """Raise InputError when the two cannot be compared."""
    if a.codes.shape[1] != b.codes.shape[1]:
        raise InputError(
            f"the vectors have {a.codes.shape[1]} and {b.codes.shape[1]} numbers: cut both with the same truncate_dim"
        )


def compare(
    scanner: _core.Scanner,
    left: Coded,
    right: Coded,
    floors: float | npt.NDArray[np.float32],
    *,
    k: int = 0,
    which: Literal["all", "other", "later"] = "all",
) -> Found:
    """The pairs whose cosine is at least the left row's floor, by left, then right.

    k      not 0: pairs may be left out that are not among the k best of their left row, as 8 bits have them
    which  "later": both blocks are one, and only pairs with a higher right row are meant; "other": any other row

    Where both sides have exact vectors, so are the cosines: the floors are lowered by what 8 bits may be off, and what
    is found is computed again in float32.
    """
    floors = np.broadcast_to(np.asarray(floors, np.float32), len(left))
    exact = left.exact is not None and right.exact is not None
    lowest = floors
    if exact and len(right):
        lowest = floors - (left.slack + right.slack.max() + np.float32(_ROUNDING))
    found = scanner.pairs(
        left.codes, left.scales, right.codes, right.scales, np.ascontiguousarray(lowest, np.float32), k, which
    )
    rows, columns, scores = found[0].astype(np.int64), found[1].astype(np.int64), found[2]
    if not exact:
        return rows, columns, scores
    scores = exact_cosines(left, right, rows, columns)
    kept = scores >= floors[rows]
    return rows[kept], columns[kept], scores[kept]


def exact_cosines(left: Coded, right: Coded, rows: Ids, columns: Ids) -> FloatArray:
    """[pairs] float32 of the exact vectors, which both must have."""
    assert left.exact is not None
    assert right.exact is not None
    scores = np.empty(len(rows), np.float32)
    for begin in range(0, len(rows), _RESCORED):
        piece = slice(begin, begin + _RESCORED)
        scores[piece] = np.einsum("ij,ij->i", left.exact[rows[piece]], right.exact[columns[piece]])
    return scores


def blocks(rows: int, size: int) -> Iterator[slice]:
    """Slices that cover so many rows."""
    for begin in range(0, rows, size):
        yield slice(begin, min(begin + size, rows))
