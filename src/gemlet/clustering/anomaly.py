"""What fits nowhere: how far each row lies from the rows nearest to it.   (vectors → a score for each row)

The mean distance to the nearest neighbours, Angiulli & Pizzuti 2002: it needs no clusters, so that a small group far
from everything is no less strange for being a group. In a large set the neighbours are looked for among a sample,
which finds outliers as well: Sugiyama & Borgwardt 2013.
"""

import numpy as np

from gemlet.vectors import FloatArray

NEIGHBOURS = 10
"""More than the copies that a text usually has, fewer than a cluster has rows."""

SAMPLE = 5_000
"""Rows that neighbours are looked for among, in a larger set."""

_BLOCK = 2048  # rows whose cosines are in memory at once


def anomaly_scores(vectors: FloatArray, seed: int = 0) -> FloatArray:
    """1 - the mean cosine with the nearest others, of unit vectors [n, d]: [n] float32, about 0 to 1.

    The more, the stranger. The nearest are NEIGHBOURS of them, or all others where there are fewer.
    """
    n = len(vectors)
    if n < 2:
        return np.zeros(n, np.float32)
    sample = np.arange(n)
    if n > SAMPLE:
        sample = np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))
    place = np.full(n, -1)
    place[sample] = np.arange(len(sample))
    k = min(NEIGHBOURS, len(sample) - 1)
    scores = np.empty(n, np.float32)
    reference = vectors[sample]
    for begin in range(0, n, _BLOCK):
        rows = slice(begin, min(begin + _BLOCK, n))
        cosines = vectors[rows] @ reference.T
        own = np.flatnonzero(place[rows] >= 0)
        cosines[own, place[rows][own]] = -np.inf  # a row is no neighbour of its own
        scores[rows] = 1 - np.partition(cosines, -k, axis=1)[:, -k:].mean(axis=1)
    return np.maximum(scores, 0)
