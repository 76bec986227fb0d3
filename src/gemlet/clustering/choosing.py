"""How many clusters: where the silhouette is highest.   (vectors → k)

Rousseeuw 1987 proposed the silhouette for this. It is taken where the clusters are looked for (space.py).
"""

from collections.abc import Iterator

import numpy as np

from gemlet.clustering.quality import silhouettes
from gemlet.clustering.space import cluster_space
from gemlet.clustering.spherical import kmeans
from gemlet.vectors import FloatArray

MOST = 50
"""Clusters at most that are found: more than a reader takes in."""

_SAMPLE = 2_000  # rows of a larger set that are tried
_GROWTH = 1.15  # from one number that is tried to the next
_LEAST_SIZE = 4  # rows of a cluster, on average


def choose_k(vectors: FloatArray, differing: int, seed: int = 0) -> int:
    """The number of clusters for unit vectors [n, d] of which `differing` differ: 2 to MOST, or 1 when all are one."""
    if differing < 3:
        return differing
    if len(vectors) > _SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(len(vectors), _SAMPLE, replace=False))
        vectors = vectors[rows]
    space = cluster_space(vectors)
    most = min(MOST, max(2, len(vectors) // _LEAST_SIZE), differing - 1)
    worth = {k: _worth(space, k, seed) for k in _numbers(most)}
    return max(worth, key=lambda k: (worth[k], -k))


def _worth(space: FloatArray, k: int, seed: int) -> float:
    return float(silhouettes(space, kmeans(space, k, seed).labels).mean())


def _numbers(most: int) -> Iterator[int]:
    """2, 3, 4, ... and later in larger steps, up to `most`."""
    k = 2
    while k <= most:
        yield k
        k = max(k + 1, round(k * _GROWTH))
