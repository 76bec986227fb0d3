"""Clusters where many rows lie close together; the rest is noise.   (vectors → labels)

HDBSCAN, Campello, Moulavi & Sander 2013, as scikit-learn has it (extra `cluster`), on the main directions of the
vectors: in all their dimensions every place is about as empty as any other.
"""

import math

import numpy as np

from gemlet.clustering.space import cluster_space
from gemlet.clustering.spherical import IntArray, largest_first
from gemlet.errors import MissingExtra
from gemlet.vectors import FloatArray


def dense_groups(vectors: FloatArray) -> IntArray:
    """Labels [n] int64 of unit vectors [n, d]: 0, 1, ... from the largest cluster on, -1 for noise.

    The least size of a cluster grows with the set: 5 rows of 100, 16 of 1,000, 50 of 10,000. Raises MissingExtra.
    """
    try:
        from sklearn.cluster import HDBSCAN
    except ImportError:
        raise MissingExtra("cluster", "HDBSCAN") from None
    least = min(max(5, round(math.sqrt(len(vectors)) / 2)), max(2, len(vectors) // 2))
    found = HDBSCAN(min_cluster_size=least, min_samples=max(2, least // 4), copy=True).fit_predict(
        cluster_space(vectors)
    )
    return largest_first(np.asarray(found, np.int64))[0]
