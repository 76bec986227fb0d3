"""Translations in two sets of sentences.   (vectors, vectors → Translations)

A cosine means more for a sentence that is near to nothing else than for one that is near to everything. So a pair is
judged by its margin: its cosine over the mean of what both have with their k nearest. Source: Artetxe & Schwenk 2019,
"Margin-based Parallel Corpus Mining with Multilingual Sentence Embeddings", arXiv 1811.01136: ratio margin, k = 4,
candidates of both directions ("max-score").
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError
from gemlet.pairs.coded import Coded, Ids, Progress, as_coded
from gemlet.pairs.neighbours import nearest
from gemlet.vectors import FloatArray

MARGIN = 1.06
"""Least margin of a translation.   Source: CCMatrix, Schwenk et al. 2019 (arXiv 1911.04944)."""


@dataclass(frozen=True)
class Translations:
    """Surest first; each row is in one pair at most.

    left, right  [pairs] int64: rows of either set
    margin       [pairs] float32
    score        [pairs] float32: their cosines
    """

    left: Ids
    right: Ids
    margin: FloatArray
    score: FloatArray

    def __len__(self) -> int:
        return len(self.left)


def mine_bitext(
    a: Coded | npt.ArrayLike,
    b: Coded | npt.ArrayLike,
    *,
    k: int = 4,
    margin: float = MARGIN,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Translations:
    """Pair the rows of two sets that say the same: the surest pair first, then of what is left.

    k       nearest rows that a margin is taken over
    margin  the least of a pair; 0 takes all

    Raises InputError for vectors that cannot be compared, or k.
    """
    left, right = as_coded(a), as_coded(b)
    if margin != margin:
        raise InputError("margin is NaN: it is a number, and 1 is that of a pair like any other")
    total = len(left) + len(right)
    there = nearest(left, right, k, threads=threads, progress=_part(progress, 0, total))
    back = nearest(right, left, k, threads=threads, progress=_part(progress, len(left), total))
    rows = np.concatenate([np.repeat(np.arange(len(left)), k), back.rows.ravel()])
    columns = np.concatenate([there.rows.ravel(), np.repeat(np.arange(len(right)), k)])
    cosines = np.concatenate([there.score.ravel(), back.score.ravel()])
    real = np.isfinite(cosines)
    rows, columns, cosines = rows[real], columns[real], cosines[real]
    margins = cosines / np.maximum((_mean(there.score)[rows] + _mean(back.score)[columns]) / 2, np.float32(1e-6))
    order = np.lexsort((columns, rows, -margins))
    chosen = order[_one_each(rows[order], columns[order], margins[order] >= margin)]
    return Translations(rows[chosen], columns[chosen], margins[chosen], cosines[chosen])


def _mean(score: FloatArray) -> FloatArray:
    """Of each row the mean cosine with its nearest: [n] float32; there may be fewer than k."""
    there = np.isfinite(score)
    total = np.where(there, score, 0).sum(axis=1)
    return np.asarray(total / np.maximum(there.sum(axis=1), 1), np.float32)


def _one_each(rows: Ids, columns: Ids, wanted: npt.NDArray[np.bool_]) -> list[int]:
    """Places of pairs, in order, none of whose rows is in a pair before."""
    chosen, lefts, rights = [], set(), set()
    for place in np.flatnonzero(wanted).tolist():
        left, right = int(rows[place]), int(columns[place])
        if left not in lefts and right not in rights:
            chosen.append(place)
            lefts.add(left)
            rights.add(right)
    return chosen


def _part(progress: Progress | None, done: int, total: int) -> Progress | None:
    return (lambda at, _: progress(done + at, total)) if progress else None
