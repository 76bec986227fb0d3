"""k-means of unit vectors: each row belongs to the centre of the highest cosine.   (vectors, k → labels, centres)

Spherical k-means: Dhillon & Modha 2001. Seeds: k-means++, Arthur & Vassilvitskii 2007, the best of a few candidates at
each step. Large sets: steps over small batches, Sculley 2010.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gemlet.vectors import FloatArray, normalize

IntArray = npt.NDArray[np.int64]

LARGE = 100_000
"""Rows from which on centres are found by small batches; below, all of them are passed over."""

_BATCH = 4096  # rows of a step in a large set
_STEPS = 60  # such steps at most
_PASSES = 100  # over all rows of a set that is not large
_LAST = 3  # passes over all rows that end the steps of a large one
_STARTS = 10  # seeds of which the best is kept
_SEEDED = 10_000  # rows that seeds of a large set are drawn from
_BLOCK = 16_384  # rows whose cosines are in memory at once


@dataclass(frozen=True)
class Centred:
    """labels [n] int64; centres [k, d] float32 of unit length; cosines [n] float32 to the own centre."""

    labels: IntArray
    centres: FloatArray
    cosines: FloatArray

    @property
    def fit(self) -> float:
        """The sum of the cosines: what k-means makes large."""
        return float(self.cosines.sum(dtype=np.float64))


def kmeans(vectors: FloatArray, k: int, seed: int = 0) -> Centred:
    """Divide unit vectors [n, d] into k clusters, the largest first; the same seed gives the same clusters.

    There must be k rows or more that differ: then no cluster is empty.
    """
    rng = np.random.default_rng(seed)
    starts = 1 if k == 1 else _STARTS
    if len(vectors) > LARGE:
        return _by_size(_passes(vectors, _steps(vectors, k, rng), rng, _LAST))
    found = [_passes(vectors, _seeds(vectors, k, rng), rng, _PASSES) for _ in range(starts)]
    return _by_size(max(found, key=lambda one: one.fit))


def nearest(vectors: FloatArray, centres: FloatArray) -> tuple[IntArray, FloatArray]:
    """The centre of highest cosine for each row, and that cosine: [n] int64, [n] float32."""
    labels, cosines = np.empty(len(vectors), np.int64), np.empty(len(vectors), np.float32)
    for begin in range(0, len(vectors), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        scores = vectors[rows] @ centres.T
        labels[rows] = scores.argmax(axis=1)
        cosines[rows] = scores.max(axis=1)
    return labels, cosines


def centres_of(vectors: FloatArray, labels: IntArray, k: int) -> FloatArray:
    """The mean of each cluster's rows, of unit length: [k, d] float32; rows labelled -1 count nowhere."""
    order = np.argsort(labels, kind="stable")
    begins = np.searchsorted(labels[order], np.arange(k + 1))
    sums = [vectors[order[a:b]].sum(axis=0, dtype=np.float64) for a, b in pairwise(begins)]
    return normalize(np.stack(sums)).astype(np.float32)


def largest_first(labels: IntArray) -> tuple[IntArray, IntArray]:
    """Labels [n] numbered from the largest cluster on, of equal ones by their first row, and the old numbers in order.

    Every number from 0 to the highest must be there; -1 stays.
    """
    rows = np.flatnonzero(labels >= 0)
    _, first, sizes = np.unique(labels[rows], return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    number = np.full(len(order) + 1, -1)  # the last is what -1 leads to
    number[order] = np.arange(len(order))
    return number[labels], order


def _passes(vectors: FloatArray, centres: FloatArray, rng: np.random.Generator, most: int) -> Centred:
    """Lloyd's passes over all rows, until none changes its cluster."""
    labels, cosines = _filled(vectors, centres)
    for _ in range(most):
        centres = centres_of(vectors, labels, len(centres))
        before = labels
        labels, cosines = _filled(vectors, centres)
        if np.array_equal(labels, before):
            break
    return Centred(labels, centres_of(vectors, labels, len(centres)), cosines)


def _filled(vectors: FloatArray, centres: FloatArray) -> tuple[IntArray, FloatArray]:
    """nearest(), and a centre that no row is nearest to gets the row that lies farthest from its own."""
    labels, cosines = nearest(vectors, centres)
    sizes = np.bincount(labels, minlength=len(centres))
    for empty in np.flatnonzero(sizes == 0):
        lonely = np.where(sizes[labels] > 1, cosines, np.inf).argmin()
        sizes[labels[lonely]] -= 1
        labels[lonely], cosines[lonely], sizes[empty] = empty, 1, 1
    return labels, cosines


def _seeds(vectors: FloatArray, k: int, rng: np.random.Generator) -> FloatArray:
    """Rows, k of them, each drawn with a chance that grows with its distance to those before: [k, d]."""
    candidates = 2 + int(np.log(k))
    chosen = [int(rng.integers(len(vectors)))]
    distances = _distances(vectors, vectors[chosen])[:, 0]
    while len(chosen) < k:
        total = distances.sum(dtype=np.float64)
        drawn = np.searchsorted(np.cumsum(distances, dtype=np.float64), rng.random(candidates) * total, side="right")
        drawn = np.minimum(drawn, len(vectors) - 1)
        left = np.minimum(distances[:, None], _distances(vectors, vectors[drawn]))
        best = int(left.sum(axis=0, dtype=np.float64).argmin())
        chosen.append(int(drawn[best]))
        distances = left[:, best]
    return vectors[chosen]


def _distances(vectors: FloatArray, others: FloatArray) -> FloatArray:
    """1 - cosine, half of the squared distance of unit vectors; what rounding leaves of equal ones is 0."""
    distances = 1 - vectors @ others.T
    distances[distances < 1e-6] = 0
    return np.asarray(distances, np.float32)


def _steps(vectors: FloatArray, k: int, rng: np.random.Generator) -> FloatArray:
    """Centres of a large set: each batch moves them, the less the more rows have moved them before."""
    sample = rng.choice(len(vectors), min(len(vectors), max(_SEEDED, 5 * k)), replace=False)
    centres = _seeds(vectors[sample], k, rng).astype(np.float64)
    counts = np.zeros(k)
    for _ in range(_STEPS):
        rows = rng.integers(len(vectors), size=max(_BATCH, 4 * k))
        labels, _ = nearest(vectors[rows], centres.astype(np.float32))
        sizes = np.bincount(labels, minlength=k)
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, vectors[rows])
        hit = sizes > 0
        counts[hit] += sizes[hit]
        rate = (sizes[hit] / counts[hit])[:, None]
        centres[hit] = (1 - rate) * centres[hit] + rate * sums[hit] / sizes[hit, None]
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return centres.astype(np.float32)


def _by_size(found: Centred) -> Centred:
    labels, order = largest_first(found.labels)
    return Centred(labels, found.centres[order], found.cosines)
