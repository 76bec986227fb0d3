"""The most similar pairs of a set.   (vectors, k → Pairs)"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError
from gemlet.pairs.coded import Coded, Ids, Progress, as_coded, tell
from gemlet.pairs.comparing import LEFT, RIGHT, Found, blocks, compare, scanner_of
from gemlet.vectors import FloatArray

_SEED = 512  # rows, all over the set, whose pairs give the first floor


@dataclass(frozen=True)
class Pairs:
    """Most similar first; of equal ones by left, then right.

    left, right  [pairs] int64, left < right
    score        [pairs] float32: their cosines
    """

    left: Ids
    right: Ids
    score: FloatArray

    def __len__(self) -> int:
        return len(self.left)


def similar_pairs(
    vectors: Coded | npt.ArrayLike,
    k: int,
    *,
    threshold: float = -1,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Pairs:
    """The k pairs of rows with the highest cosine, of those of at least the threshold. Raises InputError."""
    coded = as_coded(vectors)
    if k < 1:
        raise InputError(f"k is {k}: it must be 1 or more")
    if not -1 <= threshold <= 1:
        raise InputError(f"threshold is {threshold}: a cosine lies between -1 and 1")
    scanner = scanner_of(threads)
    threshold -= 1e-6 if threshold == -1 else 0  # of opposite vectors float32 may say a little less
    few = coded.take(np.unique(np.linspace(0, max(len(coded) - 1, 0), min(_SEED, len(coded))).astype(np.int64)))
    floor = _floor(compare(scanner, few, few, threshold, which="later")[2], k, threshold)
    best: Found = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    for right in blocks(len(coded), RIGHT):
        for left in blocks(right.stop, LEFT):
            rows, columns, scores = compare(scanner, coded.take(left), coded.take(right), floor)
            rows, columns = rows + left.start, columns + right.start
            later = rows < columns
            best = _best(best, (rows[later], columns[later], scores[later]), k)
            floor = _floor(best[2], k, floor)
        tell(progress, right.stop * right.stop, len(coded) ** 2)
    return Pairs(*best)


def _floor(scores: FloatArray, k: int, floor: float) -> float:
    """No pair below the k-th best is wanted."""
    return max(floor, float(-np.partition(-scores, k - 1)[k - 1])) if len(scores) >= k else floor


def _best(a: Found, b: Found, k: int) -> Found:
    left, right, score = np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]]), np.concatenate([a[2], b[2]])
    order = np.lexsort((right, left, -score))[:k]
    return left[order], right[order], score[order]
