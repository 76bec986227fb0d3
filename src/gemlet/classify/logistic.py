"""Vectors and what they are → weights of a logistic regression, in NumPy.   (x, targets → Linear)"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet.vectors import FloatArray

Floats = npt.NDArray[np.float64]

_TOLERANCE = 1e-6
"""The largest number in the gradient of the mean loss at which the search ends: probabilities are right to 1e-3."""
_NOISE = 1e-7
"""Of a mean loss, that float32 cannot see: a step that changes it by less is judged by the gradient that follows."""
_STEPS = 500
_MEMORY = 10
"""Pairs of steps and changes of the gradient that L-BFGS keeps."""


@dataclass(frozen=True)
class Linear:
    """Scores of classes: x @ weights + bias.

    weights  [dim, classes] float32
    bias     [classes] float32
    """

    weights: FloatArray
    bias: FloatArray

    def scores(self, x: FloatArray) -> Floats:
        """[n, classes] float64 of x [n, dim]."""
        return np.asarray(x @ self.weights + self.bias, np.float64)

    def scaled(self, factor: float) -> "Linear":
        """The same with every score multiplied."""
        return Linear((self.weights * factor).astype(np.float32), (self.bias * factor).astype(np.float32))


def log_softmax(scores: Floats) -> Floats:
    """Log probabilities [n, classes] of which exactly one is so."""
    top = scores.max(axis=1, keepdims=True)
    return np.asarray(scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True)), np.float64)


def sigmoid(scores: Floats) -> Floats:
    """Probabilities [n, classes] of which each may be so, whatever the others are."""
    return np.asarray(np.exp(-np.logaddexp(0, -scores)), np.float64)


def fit_logistic(x: FloatArray, targets: npt.NDArray[np.bool_], *, c: float, one_vs_rest: bool = False) -> Linear:
    """Fit a logistic regression with an L2 penalty on the weights, none on the bias.

    x            [n, dim] float32
    targets      [n, classes] bool: what each row is
    c            how much the rows count against the penalty: C of scikit-learn's LogisticRegression
    one_vs_rest  False: a row is exactly one class (multinomial); True: each class is a question of its own

    Minimised by L-BFGS (Nocedal & Wright, Numerical Optimization, algorithm 7.4) from zero.
    """
    rows, dim = x.shape
    classes = targets.shape[1]
    penalty = (2 if classes == 2 and not one_vs_rest else 1) / (c * rows)  # of two, scikit-learn penalises one alone
    wanted = targets.astype(np.float64)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights = parameters[:-classes].reshape(dim, classes)
        scores = Linear(weights.astype(np.float32), parameters[-classes:].astype(np.float32)).scores(x)
        if one_vs_rest:
            value = np.logaddexp(0, np.where(targets, -scores, scores)).sum()
            probabilities = sigmoid(scores)
        else:
            logs = log_softmax(scores)
            value, probabilities = -logs[targets].sum(), np.exp(logs)
        wrong = (probabilities - wanted) / rows
        gradient = x.T @ wrong.astype(np.float32) + penalty * weights
        return (
            float(value / rows + penalty / 2 * np.vdot(weights, weights)),
            np.concatenate([gradient.ravel(), wrong.sum(axis=0)]),
        )

    found = minimize(loss, np.zeros((dim + 1) * classes))
    return Linear(
        found[:-classes].reshape(dim, classes).astype(np.float32),
        found[-classes:].astype(np.float32),
    )


def minimize(loss: Callable[[Floats], tuple[float, Floats]], start: Floats) -> Floats:
    """Return where a smooth convex function is least; `loss` gives its value and gradient."""
    at = start
    value, gradient = loss(at)
    memory: deque[tuple[Floats, Floats, float]] = deque(maxlen=_MEMORY)
    for _ in range(_STEPS):
        if np.abs(gradient).max() <= _TOLERANCE:
            break
        direction = -_newton(gradient, memory)
        taken = _step(loss, at, value, gradient, direction, 1.0 if memory else 1 / max(1.0, _length(gradient)))
        if taken is None:  # float32 sees no lower value on this way
            break
        there, value, after = taken
        moved, change = there - at, after - gradient
        curvature = float(moved @ change)
        if curvature > 1e-12 * _length(change) * _length(moved):
            memory.append((moved, change, curvature))
        at, gradient = there, after
    return at


def _newton(gradient: Floats, memory: deque[tuple[Floats, Floats, float]]) -> Floats:
    """The gradient multiplied by the inverse Hessian as far as the memory knows it: two loops."""
    result = gradient.copy()
    factors = []
    for moved, change, curvature in reversed(memory):
        factors.append(float(moved @ result) / curvature)
        result -= factors[-1] * change
    if memory:
        _, change, curvature = memory[-1]
        result *= curvature / float(change @ change)
    for (moved, change, curvature), factor in zip(memory, reversed(factors), strict=True):
        result += (factor - float(change @ result) / curvature) * moved
    return result


def _step(loss: Any, at: Floats, value: float, gradient: Floats, direction: Floats, size: float) -> Any:
    """(place, value, gradient) of the first of ever shorter steps that goes down enough (Armijo), or None."""
    slope = float(gradient @ direction)
    for _ in range(30):
        there = at + size * direction
        found, after = loss(there)
        if found <= value + 1e-4 * size * slope + _NOISE * max(abs(value), 1):
            return there, found, after
        size /= 2
    return None


def _length(x: Floats) -> float:
    return float(np.sqrt(x @ x))
