"""For each row of one set the nearest of another.   (vectors, vectors, k → Neighbours)"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemlet import _core
from gemlet.errors import InputError
from gemlet.pairs.coded import Coded, Ids, Progress, as_coded, tell
from gemlet.pairs.comparing import LEFT, RIGHT, Found, blocks, check_width, compare, exact_cosines, scanner_of
from gemlet.vectors import FloatArray


@dataclass(frozen=True)
class Neighbours:
    """Nearest first; of equal ones the lower row.

    rows   [n, k] int64: rows of the other set; -1 where it has no more
    score  [n, k] float32: their cosines; -inf where there is no row
    """

    rows: Ids
    score: FloatArray


def nearest(
    a: Coded | npt.ArrayLike,
    b: Coded | npt.ArrayLike | None = None,
    k: int = 1,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Neighbours:
    """The k rows of b with the highest cosine, for each row of a; b None: the other rows of a.

    Raises InputError for vectors that cannot be compared, or k.
    """
    left = as_coded(a)
    right = left if b is None else as_coded(b)
    if k < 1:
        raise InputError(f"k is {k}: it must be 1 or more")
    check_width(left, right)
    scanner = scanner_of(threads)
    result = Neighbours(np.full((len(left), k), -1, np.int64), np.full((len(left), k), -np.inf, np.float32))
    for part in blocks(len(left), LEFT):
        _fill(scanner, left.take(part), right, None if b is not None else part, result, part)
        tell(progress, part.stop, len(left))
    return result


def _fill(
    scanner: _core.Scanner, left: Coded, right: Coded, own: slice | None, result: Neighbours, part: slice
) -> None:
    """The neighbours of one block. own: where its rows are on the right, which are not their own neighbours."""
    rows, score = result.rows[part], result.score[part]
    k = rows.shape[1]
    exact = left.exact is not None and right.exact is not None
    floors = _first_floors(scanner, left, right, own, k) if exact else score[:, -1]
    for others in blocks(len(right), RIGHT):
        # Without exact vectors the best of a block are found at once: one more, for a row may find itself.
        found = compare(scanner, left, right.take(others), floors, k=0 if exact else k + 1)
        _merge(rows, score, _without_own((found[0], found[1] + others.start, found[2]), own))
        floors = np.maximum(floors, score[:, -1])


def _first_floors(scanner: _core.Scanner, left: Coded, right: Coded, own: slice | None, k: int) -> FloatArray:
    """[left rows]: the k-th best cosine with some of the rows, so that few others have to be computed exactly."""
    few = right.take(slice(0, RIGHT))
    found = compare(scanner, left.rounded(), few.rounded(), -np.inf, k=k + 1)
    scores = exact_cosines(left, few, found[0], found[1])
    rows, score = np.full((len(left), k), -1, np.int64), np.full((len(left), k), -np.inf, np.float32)
    _merge(rows, score, _without_own((found[0], found[1], scores), own))
    return score[:, -1].copy()


def _without_own(found: Found, own: slice | None) -> Found:
    if own is None:
        return found
    other = found[1] != found[0] + own.start
    return found[0][other], found[1][other], found[2][other]


def _merge(rows: Ids, score: FloatArray, found: Found) -> None:
    """Put what was found among the best so far, in place."""
    n, k = rows.shape
    at = np.concatenate([np.repeat(np.arange(n), k), found[0]])
    row = np.concatenate([rows.ravel(), found[1]])
    cosine = np.concatenate([score.ravel(), found[2]])
    order = np.lexsort((row, -cosine, at))
    begins = np.searchsorted(at[order], np.arange(n))  # each row has k or more
    kept = order[begins[:, None] + np.arange(k)]
    rows[:], score[:] = row[kept], cosine[kept]
