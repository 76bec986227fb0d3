"""The formulas of arXiv 2509.20354, section 2.2, written down in NumPy with loops: what the losses are held against.

vectors  [N, C, d]: query, positive, hard negatives, of any length; the first axis is the batch
"""

from collections.abc import Callable

import numpy as np


def unit(vector):
    return vector / np.sqrt((vector**2).sum())


def cosine(a, b):
    return float(unit(a) @ unit(b))


def hardness_weights(vectors, alpha):
    """w_ik [N, K]: constants, as far as the gradient is concerned."""
    return np.array([[np.exp(alpha * cosine(row[0], negative)) for negative in row[2:]] for row in vectors])


def contrastive(vectors, scale, weights, no_negative=None, no_hard_negative=None):
    """Equations 2 and 3."""
    total = 0.0
    for i, row in enumerate(vectors):
        top = np.exp(scale * cosine(row[0], row[1]))
        below = 0.0
        for k, negative in enumerate(row[2:]):
            if no_hard_negative is None or not no_hard_negative[i][k]:
                below += weights[i][k] * np.exp(scale * cosine(row[0], negative))
        for j, other in enumerate(vectors):
            if no_negative is None or i == j or not no_negative[i][j]:
                below += np.exp(scale * cosine(row[0], other[1]))
        total += -np.log(top / below)
    return total / len(vectors)


def spread(vectors):
    """Equation 4."""
    n, total = len(vectors), 0.0
    for column in (0, 1):
        for i in range(n):
            for j in range(n):
                if i != j:
                    total += cosine(vectors[i, column], vectors[j, column]) ** 2
    return total / (n * (n - 1)) if n > 1 else 0.0


def matching(vectors, teacher):
    """Equation 5 with L2 distances; of several hard negatives the mean."""
    dim = min(vectors.shape[-1], teacher.shape[-1])
    total = 0.0
    for row, goals in zip(vectors, teacher, strict=True):
        far = [np.sqrt(((unit(v[:dim]) - unit(t[:dim])) ** 2).sum()) for v, t in zip(row, goals, strict=True)]
        total += far[0] + far[1] + (np.mean(far[2:]) if far[2:] else 0.0)
    return total / len(vectors)


def slope(f: Callable[[np.ndarray], float], at: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Central differences of a scalar function; the error is about step² and 1e-16 / step."""
    gradient = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        there, here = at.copy(), at.copy()
        there[place] += step
        here[place] -= step
        gradient[place] = (f(there) - f(here)) / (2 * step)
    return gradient
