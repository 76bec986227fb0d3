"""A checkpoint and calibration/ → its matrices in few bits, errors made good.

Rounding to nearest makes the least error in a matrix W; what counts is the error of W x. Its square, summed over the
inputs x of calibration texts, is (W - Q) H (W - Q)^T with H = sum(x x^T). Column by column, what a column loses is made
good by the columns that are still free, as H tells how they go together; the heaviest inputs come first. Each matrix
sees the inputs that the rounded ones before it give.   Source: Frantar et al. 2022, GPTQ (arXiv 2210.17323).
Each text weighs the same, however long: its vector is the mean of its tokens, and a short text's worst.

The scales are chosen before: of several for a block, the one that loses least where a column's loss weighs as much as
the others cannot make good.

A matrix that its blocks hold exactly, because it was trained so, stays as it is.
"""

import numpy as np
import numpy.typing as npt

from gemlet.checkpoint import Checkpoint
from gemlet.stream import LAYER, Array, Progress, Stream, calibration_ids

BLOCK = 32
"""Numbers that share a scale."""

DAMPING = 0.01
"""Added to H's diagonal, as a share of its mean: what keeps the texts' chance patterns out of W."""

STRIDE = 128
"""Columns that are rounded before the rest of the matrix hears of it."""

LIMITS = {"Q4_0": (-8, 7), "Q8_0": (-127, 127)}
"""The numbers that a block of each type can hold."""

SCALES = 1 / np.array([-8.6, -8.3, -8, -7.7, -7.4, -7.1, -6.8, -6.4, -6, -5.6, -5.2, 7.7, 7.4, 7.1, 6.8, 6.4, 6, 5.6])
"""Tried for 4 bits, times the number of largest magnitude: -8 to 7 reach further down than up."""

ROW_SCALES = 1 / np.outer([-1, 1], np.geomspace(6, 40, 24)).ravel()
"""Tried where a whole row has one scale: its largest number may be far from all others."""


def round_with_feedback(
    checkpoint: Checkpoint, dtypes: dict[str, str], *, whole_rows: bool = False, progress: Progress | None = None
) -> dict[str, npt.NDArray[np.uint8]]:
    """Return each matrix of the layers as the bytes of its blocks: [outputs, inputs / 32 * bytes of a block].

    checkpoint  a folder's
    dtypes      "Q4_0" or "Q8_0" for each of them, by its name in the checkpoint
    whole_rows  all blocks of a row in 4 bits have one scale
    progress    called with (layers done, layers in all)

    Raises WeightsError where a tensor is missing.
    """
    stream = Stream(checkpoint, calibration_ids(checkpoint))
    weights = _weights(stream.ends)
    rounded = {}
    layers = len(checkpoint.config["sliding"])
    for index in range(layers):
        for step, names in enumerate(LAYER):
            inputs = stream.inputs(index, step)
            matrices = {name: stream.read(name) for name in (f"layers.{index}.{name}.weight" for name in names)}
            found = {name: held(matrix, dtypes[name], whole_rows) for name, matrix in matrices.items()}
            if None in found.values():
                weighted = inputs * weights
                rounder = Rounder((weighted.T @ weighted).astype(np.float64))
            outputs = []
            for name, matrix in matrices.items():
                rounded[name], matrix = found[name] or rounder.round(matrix, dtypes[name], whole_rows)
                outputs.append(inputs @ matrix.T)
            stream.take(index, step, outputs)
        if progress:
            progress(index + 1, layers)
    return rounded


def held(weights: Array, dtype: str, whole_rows: bool = False) -> tuple[npt.NDArray[np.uint8], Array] | None:
    """Return (blocks as a file holds them, `weights`) if blocks hold weights [outputs, inputs] exactly, else None."""
    found = numbers_and_scales(weights, dtype, whole_rows)
    return (_blocks(*found, dtype), weights) if found else None


def numbers_and_scales(weights: Array, dtype: str, whole_rows: bool = False) -> tuple[Array, Array] | None:
    """Return whole numbers [outputs, inputs] and scales [outputs, inputs / 32] whose products are exactly `weights`.

    dtype       "Q4_0" or "Q8_0"
    whole_rows  all blocks of a row have one scale

    None where there are none.
    """
    if len(weights) > 1 and numbers_and_scales(weights[:1], dtype, whole_rows) is None:
        return None  # nearly always, and soon known
    outputs, inputs = weights.shape
    size = inputs if whole_rows else BLOCK
    groups = weights.reshape(-1, size)
    numbers, scales = np.zeros_like(groups), np.zeros(len(groups), np.float32)
    missing = np.flatnonzero(groups.any(axis=1))
    low, high = LIMITS[dtype]
    for steps in sorted({*range(low, high + 1)} - {0}, key=abs, reverse=True):  # that the largest may be
        scale = _half(_largest(groups[missing]) / np.float32(steps))
        tried = np.rint(groups[missing] * _inverted(scale)[:, None]).clip(low, high)
        fits = (tried * scale[:, None] == groups[missing]).all(axis=1)
        numbers[missing[fits]], scales[missing[fits]] = tried[fits], scale[fits]
        missing = missing[~fits]
        if not len(missing):
            return numbers.reshape(weights.shape), np.repeat(scales.reshape(outputs, -1), size // BLOCK, axis=1)
    return None


def _weights(ends: Array) -> Array:
    """What each token's input is multiplied by, [tokens, 1], so that the squares of a text's sum to the same."""
    lengths = np.diff(ends)
    return np.repeat((lengths / lengths.mean()) ** -0.5, lengths).astype(np.float32)[:, None]


class Rounder:
    """Rounds the rows of a matrix so that their errors make up for each other.

    gram  [inputs, inputs], symmetric: an error e in a row costs e^T gram e
    """

    def __init__(self, gram: npt.NDArray[np.float64]) -> None:
        diagonal = gram.diagonal()
        damped = gram + np.diag(np.full(len(gram), DAMPING * diagonal.mean() + np.finfo(np.float32).tiny))
        self.importance = (1 / np.linalg.inv(damped).diagonal()).astype(np.float32)
        self.order = np.argsort(-diagonal, kind="stable")
        # U, upper triangular, with H^-1 = U^T U, in the order of rounding
        lower = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(self.order, self.order)]))
        self.inverse = np.ascontiguousarray(lower.T.astype(np.float32))

    def round(self, weights: Array, dtype: str, whole_rows: bool = False) -> tuple[npt.NDArray[np.uint8], Array]:
        """Return (blocks as a file holds them, what they mean) of weights [outputs, inputs]."""
        scales = np.repeat(self._scales(weights, dtype, whole_rows), BLOCK, axis=1).T
        numbers = np.empty(weights.shape[::-1], np.float32)
        numbers[self.order] = _feed_back(weights.T[self.order], scales[self.order], self.inverse, LIMITS[dtype])
        return _blocks(numbers.T, scales.T[:, ::BLOCK], dtype), np.ascontiguousarray((numbers * scales).T)

    def _scales(self, weights: Array, dtype: str, whole_rows: bool) -> Array:
        """One scale for each block, as half precision holds it: [outputs, inputs / 32] float32."""
        outputs, inputs = weights.shape
        if dtype == "Q8_0":
            return _half(np.abs(weights.reshape(outputs, -1, BLOCK)).max(axis=2) / 127)
        size, factors = (inputs, ROW_SCALES) if whole_rows else (BLOCK, SCALES)
        groups, importance = weights.reshape(outputs, -1, size), self.importance.reshape(-1, size)
        return np.repeat(_best_scales(groups, importance, factors, LIMITS[dtype]), size // BLOCK, axis=1)


def _best_scales(groups: Array, importance: Array, factors: Array, limits: tuple[int, int]) -> Array:
    """For each group the scale that loses least, of the largest number times `factors`.

    groups [rows, n, size], importance [n, size] of their numbers → [rows, n].
    """
    largest = _largest(groups)
    best, least = np.zeros_like(largest), np.full(largest.shape, np.inf, np.float32)
    for factor in factors.astype(np.float32):
        scale = _half(largest * factor)
        numbers = np.rint(groups * _inverted(scale)[..., None]).clip(*limits)
        lost = np.einsum("nbi,bi->nb", np.square(groups - numbers * scale[..., None]), importance)
        better = lost < least
        best[better], least[better] = scale[better], lost[better]
    return best


def _largest(groups: Array) -> Array:
    """The number of largest magnitude, with its sign: [..., size] → [...]."""
    found: Array = np.take_along_axis(groups, np.abs(groups).argmax(axis=-1, keepdims=True), axis=-1)[..., 0]
    return found


def _half(x: Array) -> Array:
    return x.astype(np.float16).astype(np.float32)


def _inverted(scales: Array) -> Array:
    return np.divide(1, scales, out=np.zeros_like(scales), where=scales != 0)


def _feed_back(weights: Array, scales: Array, inverse: Array, limits: tuple[int, int]) -> Array:
    """Round weights [inputs, outputs] row by row; every row below hears of what a row lost."""
    weights, inverted = np.ascontiguousarray(weights), _inverted(scales)
    numbers = np.empty_like(weights)
    for begin in range(0, len(weights), STRIDE):
        end = min(begin + STRIDE, len(weights))
        errors = np.empty((end - begin, weights.shape[1]), np.float32)
        for row in range(begin, end):
            numbers[row] = np.rint(weights[row] * inverted[row]).clip(*limits)
            error = (weights[row] - numbers[row] * scales[row]) / inverse[row, row]
            weights[row + 1 : end] -= inverse[row, row + 1 : end, None] * error
            errors[row - begin] = error
        weights[end:] -= inverse[begin:end, end:].T @ errors
    return numbers


def _blocks(numbers: Array, scales: Array, dtype: str) -> npt.NDArray[np.uint8]:
    """Blocks as ggml has them: a half-precision scale, then 32 bytes, or 16, of which byte i holds i and i + 16."""
    stored = numbers.reshape(len(numbers), -1, BLOCK).astype(np.int8)
    heads = scales.astype("<f2")[..., None].view(np.uint8)
    if dtype == "Q4_0":
        halves = (stored + 8).view(np.uint8)
        bodies = halves[..., : BLOCK // 2] | halves[..., BLOCK // 2 :] << 4
    else:
        bodies = stored.view(np.uint8)
    return np.concatenate([heads, bodies], axis=2).reshape(len(numbers), -1)
