"""How good clusters are: by themselves, and against labels that are known.   (vectors, labels → figures)

Silhouette: Rousseeuw 1987. V-measure: Rosenberg & Hirschberg 2007. Adjusted Rand index: Hubert & Arabie 1985.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemlet.clustering.spherical import IntArray
from gemlet.vectors import FloatArray

SAMPLE = 10_000
"""Rows of a larger set that the silhouette is of."""

_BLOCK = 4096  # rows whose cosines are in memory at once


@dataclass(frozen=True)
class Quality:
    """Figures of a clustering.

    silhouette     -1 to 1, the mean over all rows that are no noise; None with fewer than two clusters
    noise          share of rows that belong to no cluster
    v_measure      0 to 1 against known labels, 1 for the same groups; None without labels
    adjusted_rand  the same, 0 for chance
    """

    silhouette: float | None
    noise: float
    v_measure: float | None = None
    adjusted_rand: float | None = None


def quality_of(vectors: FloatArray, labels: IntArray, known: Sequence[str] | None = None, seed: int = 0) -> Quality:
    """All figures; noise, labelled -1, is left out of the silhouette, and is one more group against known labels."""
    kept = labels >= 0
    noise = 1 - float(kept.mean())
    rows = np.flatnonzero(kept)
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SAMPLE, replace=False))
    several = len(np.unique(labels[rows])) > 1
    own = float(silhouettes(vectors[rows], labels[rows]).mean()) if several else None
    if known is None:
        return Quality(own, noise)
    groups = np.unique(np.asarray(known, dtype=str), return_inverse=True)[1].reshape(-1)
    return Quality(own, noise, v_measure(groups, labels), adjusted_rand(groups, labels))


def silhouettes(vectors: FloatArray, labels: IntArray) -> npt.NDArray[np.float64]:
    """Of each row (b - a) / max(a, b): [n] float64, exact, for unit vectors [n, d] in two clusters or more.

    a is the mean cosine distance to the others of its cluster, b the least mean to the rows of another one. A row that
    is alone in its cluster has 0. As sums over a cluster are dot products with the sum of its rows, no two rows are
    compared: the time grows with n · clusters.
    """
    groups, sizes = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    sums = np.zeros((len(sizes), vectors.shape[1]))
    np.add.at(sums, groups, vectors)
    values = np.empty(len(vectors))
    for begin in range(0, len(vectors), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        own = groups[rows]
        part = np.arange(len(own))
        totals = sizes - vectors[rows].astype(np.float64) @ sums.T
        lengths = np.einsum("ij,ij->i", vectors[rows], vectors[rows], dtype=np.float64)
        others = np.maximum(sizes[own] - 1, 1)
        a = (totals[part, own] - (1 - lengths)) / others
        means = totals / sizes
        means[part, own] = np.inf
        b = means.min(axis=1)
        top = np.maximum(a, b)
        worth = np.divide(b - a, top, out=np.zeros_like(top), where=top > 1e-12)
        values[rows] = np.where(sizes[own] > 1, worth, 0)
    return values


def v_measure(known: npt.NDArray[np.int64], labels: IntArray) -> float:
    """The harmonic mean of homogeneity and completeness, 0 to 1; the same the other way round."""
    table = _contingency(known, labels) / len(known)
    shares = table.sum(axis=1), table.sum(axis=0)
    entropies = [float(-(share * np.log(share)).sum()) for share in shares]
    both = table > 0
    expected = np.outer(*shares)
    mutual = float((table[both] * np.log(table[both] / expected[both])).sum())
    homogeneity, completeness = (mutual / entropy if entropy > 0 else 1.0 for entropy in entropies)
    total = homogeneity + completeness
    return 2 * homogeneity * completeness / total if total > 0 else 0.0


def adjusted_rand(known: npt.NDArray[np.int64], labels: IntArray) -> float:
    """Agreement over all pairs of rows, less what chance brings: 1 for the same groups, about 0 for chance."""
    table = _contingency(known, labels)
    pairs, left, right = (float((x * (x - 1) / 2).sum()) for x in (table, table.sum(axis=1), table.sum(axis=0)))
    every = len(known) * (len(known) - 1) / 2
    chance, most = (left * right / every, (left + right) / 2) if every else (0.0, 0.0)
    return (pairs - chance) / (most - chance) if most != chance else 1.0


def _contingency(known: npt.NDArray[np.int64], labels: IntArray) -> npt.NDArray[np.float64]:
    """How many rows of each known group lie in each cluster: [groups, clusters]."""
    rows, columns = (np.unique(x, return_inverse=True)[1].reshape(-1) for x in (known, labels))
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    return table
