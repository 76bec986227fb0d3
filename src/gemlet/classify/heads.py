"""Vectors and their labels → one linear head with calibrated probabilities.   (x, targets → Head)

All heads are linear, x @ weights + bias: a nearest centroid's weights are the centroids. What differs is how they are
found, and by how much the scores are multiplied before they become probabilities.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from gemlet.classify.calibration import log_loss, temperature
from gemlet.classify.labels import Targets
from gemlet.classify.logistic import Floats, Linear, fit_logistic
from gemlet.errors import InputError
from gemlet.vectors import FloatArray, normalize

Method = Literal["auto", "logistic", "centroid"]

FOLDS = 5
C = 10.0
"""Of 1, 10 and 100 the best on intents from 2 rows a class on, on moods of poems from 4; on moods of tweets 1 is better
by a point, and the centroid better still. `bench/heads.py` prints it for any rows."""


@dataclass(frozen=True)
class Head:
    """A head, and what it says of rows that it did not see.

    method    how it was found
    linear    its scores are ready for softmax (or sigmoid, where rows have several labels)
    held_out  [n, classes] float64: scores of each row by a head that was fitted without it; None when that cannot be
    rows      [m] int: the rows that `held_out` is of; the single example of a class is never held out
    """

    method: str
    linear: Linear
    held_out: Floats | None
    rows: npt.NDArray[np.int64]


def fit_head(x: FloatArray, targets: Targets, method: Method, *, c: float, several: bool, seed: int) -> Head:
    """Fit the head of `method`, or of the one whose held-out probabilities are better.

    x        [n, dim] float32 unit vectors
    targets  [n, classes] bool; `several`: a row may have any number of labels, else exactly one

    Without two examples of any class nothing can be held out: then "auto" is "centroid", which was as good or better
    with one example a class. Raises InputError for another method, or c.
    """
    if method not in get_args(Method):
        raise InputError(f"method is {method!r}; available: {', '.join(get_args(Method))}")
    if not c > 0 or not np.isfinite(c):
        raise InputError(f"c is {c}: it must be above 0")
    if several and method == "centroid":
        raise InputError('rows with several labels have no nearest centroid: pass method="logistic"')
    methods = ["logistic"] if several else ["centroid", "logistic"] if method == "auto" else [method]
    folds = _folds(targets, several, np.random.default_rng(seed))
    rows = np.flatnonzero(folds >= 0)
    if not len(rows):
        return _head(x, targets, methods[0], folds, c, several)
    heads = [_head(x, targets, each, folds, c, several) for each in methods]
    return min(heads, key=lambda head: log_loss(_known(head.held_out), targets[rows], several))


def centroids(x: FloatArray, targets: Targets) -> Linear:
    """The mean direction of each class; the score is the cosine with it."""
    sums = targets.astype(np.float32).T @ x
    return Linear(normalize(sums).T.copy(), np.zeros(targets.shape[1], np.float32))


def _head(x: FloatArray, targets: Targets, method: str, folds: npt.NDArray[np.int64], c: float, several: bool) -> Head:
    linear = _fit(x, targets, method, c, several)
    rows = np.flatnonzero(folds >= 0)
    usual = _usual(method, c)
    if not len(rows):
        return Head(method, linear.scaled(usual), None, rows)
    scores = np.empty(targets.shape)
    for fold in np.unique(folds[rows]):
        out = folds == fold
        scores[out] = _fit(x[~out], targets[~out], method, c, several).scores(x[out])
    factor = temperature(scores[rows], targets[rows], usual, several)
    return Head(method, linear.scaled(factor), scores[rows] * factor, rows)


def _fit(x: FloatArray, targets: Targets, method: str, c: float, several: bool) -> Linear:
    if method == "centroid":
        return centroids(x, targets)
    return fit_logistic(x, targets, c=c, one_vs_rest=several)


def _usual(method: str, c: float) -> float:
    """By how much scores were to be multiplied in three sets of intents and of sentiments, 2 to 64 rows a class."""
    return 25.0 if method == "centroid" else 2 * (C / c) ** 0.5


def _folds(targets: Targets, several: bool, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """[n] int: the fold of each row, each class spread over all of them; -1: never held out, its class's only one."""
    count = len(targets)
    if several:
        return rng.permutation(count) % FOLDS if count > 1 else np.full(count, -1)
    folds = np.full(count, -1, np.int64)
    dealt = 0
    for column in targets.T:
        rows = rng.permutation(np.flatnonzero(column))
        if len(rows) > 1:
            folds[rows] = (np.arange(len(rows)) + dealt) % FOLDS
            dealt += len(rows)
    return folds


def _known(scores: Floats | None) -> Floats:
    assert scores is not None
    return scores
