"""Vectors → their main directions: fewer numbers that keep what differs most.   (vectors → [n, dim])"""

import numpy as np

from gemlet.vectors import FloatArray

_BLOCK = 4096  # rows that are in float64 at once


def main_directions(vectors: FloatArray, dim: int) -> FloatArray:
    """Project vectors [n, d] on their `dim` directions of most variance, the first the widest: [n, dim] float32.

    Exact, by the eigenvectors of the covariance [d, d] in float64. The sign of a direction, which mathematics leaves
    open, is such that its largest number is positive: the same vectors always lie the same way round. Directions that
    the vectors do not have (dim > d, or a variance of nothing but rounding) are zeros.
    """
    n, width = vectors.shape
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((width, width))
    for begin in range(0, n, _BLOCK):
        part = vectors[begin : begin + _BLOCK] - mean
        covariance += part.T @ part
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = variances[::-1][:dim], directions[:, ::-1][:, :dim]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(directions.shape[1])])
    directions[:, variances <= variances[0] * 1e-9] = 0
    placed = np.zeros((n, dim), np.float32)
    for begin in range(0, n, _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        placed[rows, : directions.shape[1]] = (vectors[rows] - mean) @ directions
    return placed
