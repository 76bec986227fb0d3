"""Scores of rows that a head did not see → by how much to multiply them, thresholds, and how far off they are.

One factor for all classes, temperature scaling: Guo et al. 2017, "On Calibration of Modern Neural Networks", section
4.2; the calibration error is that paper's ECE, section 2.
"""

import numpy as np
import numpy.typing as npt

from gemlet.classify.labels import Targets
from gemlet.classify.logistic import Floats, log_softmax, sigmoid

BINS = 10

_FACTORS = np.geomspace(1 / 32, 32, 201)
"""Of the usual factor: steps of 3.5%."""
_SPREAD = np.log(2)
"""How far from the usual factor a set is expected: it takes some ten rows to outvote that."""


def log_loss(scores: Floats, targets: Targets, several: bool) -> float:
    """Mean over the rows of minus the log probability of what is so."""
    if several:
        return float(np.logaddexp(0, np.where(targets, -scores, scores)).sum(axis=1).mean())
    return float(-log_softmax(scores)[targets].mean())


def temperature(scores: Floats, targets: Targets, usual: float, several: bool) -> float:
    """What to multiply scores [n, classes] by, so that probabilities say how often they are right.

    The most likely factor, given the rows and that it is usually about `usual`: a handful of rows, all right, would
    else make probabilities of 1, and all wrong, none at all.
    """
    losses = [
        len(scores) * log_loss(scores * usual * factor, targets, several) + (np.log(factor) / _SPREAD) ** 2 / 2
        for factor in _FACTORS
    ]
    return float(usual * _FACTORS[int(np.argmin(losses))])


def calibration_error(probabilities: Floats, right: npt.NDArray[np.bool_]) -> float:
    """Mean distance between probability and share of right ones over ten bins of probability; 0 is best.

    probabilities  [n] of what was said; `right`: whether it was so
    """
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    apart = np.bincount(bins, right, BINS) - np.bincount(bins, probabilities, BINS)
    return float(np.abs(apart).sum() / len(right))


def thresholds(probabilities: Floats, targets: Targets) -> Floats:
    """[classes]: the probability from which on each class is said, by the best F1 on rows that were held out.

    Half-way between two rows; 0.5 for a class that no row or every row has.
    """
    return np.array([_threshold(*column) for column in zip(probabilities.T, targets.T, strict=True)])


def _threshold(probabilities: Floats, target: npt.NDArray[np.bool_]) -> float:
    if not target.any() or target.all():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    found, sorted_ = np.cumsum(target[order]), probabilities[order]
    f1 = 2 * found / (np.arange(1, len(order) + 1) + target.sum())
    f1[:-1][sorted_[:-1] == sorted_[1:]] = 0  # equal ones cannot be told apart
    best = int(np.argmax(f1))
    return float((sorted_[best] + (sorted_[best + 1] if best + 1 < len(order) else 0)) / 2)


def probabilities_of(scores: Floats, several: bool) -> Floats:
    """[n, classes] float64: rows sum to 1, or each number stands alone where rows have `several` labels."""
    return sigmoid(scores) if several else np.exp(log_softmax(scores))
