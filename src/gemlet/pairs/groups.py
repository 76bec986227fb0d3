"""Duplicates, each with the row that is kept in its place.   (vectors or texts, threshold → Groups)

Rows are looked at in the order in which they would be kept. A row that is close enough to a kept one goes, and the
nearest of those stands for it; otherwise it is kept. So every row that goes is as close as the threshold says to a row
that stays. Single linkage (union-find over all close pairs) does not promise that: along a chain of small changes it
puts texts into one group that have nothing in common, and of a long chain it keeps one.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from gemlet import _core
from gemlet.embedder import Embedder
from gemlet.errors import InputError
from gemlet.pairs.coded import Coded, Ids, Progress, as_coded, code_texts, tell
from gemlet.pairs.comparing import LEFT, RIGHT, Found, blocks, compare, scanner_of
from gemlet.vectors import FloatArray

Keep = Literal["first", "last", "longest"]


@dataclass(frozen=True)
class Groups:
    """keeper  [n] int64: the row that is kept in each row's place; its own number for one that is kept
    score   [n] float32: the cosine of the two; 1 for a row that is kept, or says the same letter for letter
    """

    keeper: Ids
    score: FloatArray

    @property
    def kept(self) -> Ids:
        """Rows that stay, ascending."""
        return np.flatnonzero(self.keeper == np.arange(len(self.keeper)))

    @property
    def removed(self) -> Ids:
        """Rows that go, ascending."""
        return np.flatnonzero(self.keeper != np.arange(len(self.keeper)))

    def members(self) -> dict[int, list[int]]:
        """Kept row → the rows that it stands for, most similar first; only of rows that stand for any."""
        found: dict[int, list[int]] = {}
        removed = self.removed
        for row in removed[np.lexsort((removed, -self.score[removed]))]:
            found.setdefault(int(self.keeper[row]), []).append(int(row))
        return dict(sorted(found.items()))


def normal_form(text: str) -> str:
    """What two texts have in common that differ only in how they are encoded and spaced: NFKC, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def duplicates(
    vectors: Coded | npt.ArrayLike,
    threshold: float,
    *,
    order: npt.ArrayLike | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Groups:
    """Find rows that another row can stand for.

    vectors    [n, dim]; 8 bits of each number if a Coded says so
    threshold  the least cosine of a row that goes and the one that is kept in its place
    order      [n]: the rows in the order in which they would rather be kept; None: as they come

    Raises InputError for vectors, a threshold or an order that cannot be.
    """
    coded = as_coded(vectors)
    if not -1 <= threshold <= 1:
        raise InputError(f"threshold is {threshold}: a cosine lies between -1 and 1")
    ranked = np.arange(len(coded)) if order is None else np.asarray(order, np.int64)
    if not np.array_equal(np.sort(ranked), np.arange(len(coded))):
        raise InputError(f"order must name each of the {len(coded)} rows once")
    search = _Search(coded, ranked, threshold, scanner_of(threads))
    for part in blocks(len(coded), RIGHT):
        search.add(part)
        tell(progress, part.stop * part.stop, len(coded) ** 2)
    keeper, score = np.empty_like(ranked), np.empty(len(coded), np.float32)
    keeper[ranked], score[ranked] = ranked[search.keeper], search.score
    return Groups(keeper, score)


class _Search:
    """Rows by their rank: `keeper` and `score` of those that have been added."""

    def __init__(self, coded: Coded, ranked: Ids, threshold: float, scanner: _core.Scanner) -> None:
        self._coded, self._ranked, self._threshold, self._scanner = coded, ranked, threshold, scanner
        self.keeper = np.arange(len(coded))
        self.score = np.full(len(coded), -np.inf, np.float32)
        self._kept: list[Ids] = []  # ranks, in blocks of at most LEFT

    def add(self, part: slice) -> None:
        """Compare the next block with all that are kept, then with itself."""
        right = self._coded.take(self._ranked[part])
        for ranks in self._kept:
            rows, columns, scores = compare(
                self._scanner, self._coded.take(self._ranked[ranks]), right, self._threshold
            )
            self._stand_in(ranks[rows], columns + part.start, scores)
        self._decide(part, compare(self._scanner, right, right, self._threshold, which="later"))
        kept = part.start + np.flatnonzero(self.keeper[part] == np.arange(part.start, part.stop))
        self.score[kept] = 1
        self._remember(kept)

    def _decide(self, part: slice, found: Found) -> None:
        """Whether rows of a block are kept, one after the other, for each needs to know it of those before."""
        order = np.argsort(found[1], kind="stable")
        rows, columns, scores = found[0][order], found[1][order], found[2][order]
        for begin, end in _runs(columns):
            standing = rows[begin:end] + part.start
            kept = self.keeper[standing] == standing
            count = int(kept.sum())
            self._stand_in(standing[kept], np.full(count, columns[begin] + part.start), scores[begin:end][kept])

    def _stand_in(self, ranks: Ids, of: Ids, scores: FloatArray) -> None:
        """Let the nearest kept row stand for a row: of equally near ones the one that is kept first."""
        best = np.lexsort((ranks, -scores, of))
        first = best[np.unique(of[best], return_index=True)[1]]
        better = first[scores[first] > self.score[of[first]]]
        self.keeper[of[better]], self.score[of[better]] = ranks[better], scores[better]

    def _remember(self, kept: Ids) -> None:
        last = np.concatenate([self._kept.pop(), kept]) if self._kept else kept
        self._kept += [last[piece] for piece in blocks(len(last), LEFT)]


def _runs(values: Ids) -> list[tuple[int, int]]:
    """Where each run of equal values begins and ends."""
    if not len(values):
        return []
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(edges))


def duplicate_texts(
    embedder: Embedder,
    texts: Sequence[str],
    threshold: float,
    *,
    keep: Keep = "first",
    prompt_name: str = "sentence similarity",
    truncate_dim: int | None = None,
    threads: int | None = None,
    embedding: Progress | None = None,
    comparing: Progress | None = None,
) -> Groups:
    """Find texts that another text can stand for. Of those with one normal_form() one is embedded.

    keep  which of a group stays: "first", "last" or "longest" (in characters; of equal ones the first)

    Raises InputError and what Embedder.encode() raises.
    """
    order = keeping_order(texts, keep)
    chosen: dict[str, int] = {}
    standing = np.empty(len(texts), np.int64)  # of each row the row with the same normal form that is embedded
    for row in order:
        standing[row] = chosen.setdefault(normal_form(texts[row]), int(row))
    rows = np.fromiter(chosen.values(), np.int64, len(chosen))
    chosen.clear()
    coded = code_texts(
        embedder, [texts[row] for row in rows], prompt_name=prompt_name, truncate_dim=truncate_dim, progress=embedding
    )
    found = duplicates(coded, threshold, threads=threads, progress=comparing)
    place = np.empty(len(texts), np.int64)  # of an embedded row among the embedded ones
    place[rows] = np.arange(len(rows))
    return Groups(rows[found.keeper[place[standing]]], found.score[place[standing]])


def keeping_order(texts: Sequence[str], keep: Keep) -> Ids:
    """The rows, those first that a policy would rather keep: [n] int64. Raises InputError for no policy."""
    rows = np.arange(len(texts))
    if keep == "first":
        return rows
    if keep == "last":
        return rows[::-1].copy()
    if keep == "longest":
        return np.argsort([-len(text) for text in texts], kind="stable").astype(np.int64)
    raise InputError(f"keep is {keep!r}; available: {', '.join(get_args(Keep))}")
