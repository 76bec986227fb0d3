"""What clustering gives: labels, and for each cluster its centre, its name and its examples."""

from dataclasses import dataclass

import numpy as np

from gemlet.clustering.quality import Quality
from gemlet.clustering.spherical import IntArray
from gemlet.vectors import FloatArray

NOISE = -1


@dataclass(frozen=True)
class Clustering:
    """Rows in groups. Clusters are numbered from the largest, 0.

    labels    [n] int64: the cluster of each row, -1 for none (noise)
    centres   [k, d] float32 of unit length: the mean of each cluster's vectors
    names     k str: the most telling words; "cluster 3" without texts, or where no word tells it apart
    words     k lists of str: the same words, one by one
    examples  k lists of int: rows nearest to the centre, no text twice
    anomaly   [n] float32: how far each row lies from those nearest to it, about 0 to 1; see anomaly.py
    quality   figures for all
    """

    labels: IntArray
    centres: FloatArray
    names: list[str]
    words: list[list[str]]
    examples: list[list[int]]
    anomaly: FloatArray
    quality: Quality

    def __len__(self) -> int:
        """Return the number of clusters."""
        return len(self.centres)

    @property
    def sizes(self) -> list[int]:
        """How many rows each cluster has."""
        return [int(size) for size in np.bincount(self.labels[self.labels >= 0], minlength=len(self))]

    def name_of(self, row: int) -> str:
        """The name of a row's cluster, "noise" without one."""
        label = int(self.labels[row])
        return "noise" if label == NOISE else self.names[label]
