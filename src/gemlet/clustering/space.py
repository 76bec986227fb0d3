"""Where clusters are looked for: few directions, those in which the texts differ most.   (vectors → [n, dim])

What all texts of a set have in common, and much of the rest, says nothing about their groups. The main directions are
the continuous solution of k-means (Ding & He 2004), and few numbers are where densities mean something.
"""

from gemlet.pca import main_directions
from gemlet.vectors import FloatArray, normalize

DIM = 16


def cluster_space(vectors: FloatArray, k: int = 0) -> FloatArray:
    """The main directions of vectors [n, d], each row of unit length: [n, dim] float32; one for each of k clusters."""
    return normalize(main_directions(vectors, min(max(DIM, k), vectors.shape[1])))
