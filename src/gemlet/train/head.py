"""The head's last matrix, fitted before anything learns.   (texts' vectors by both models → matrix)

What a file of few bits gets wrong is in part a linear map of the vector itself, the same for every text. The last
matrix has 8 bits, and room to take the map back: W becomes (I + A) W. A is found by ridge regression (Hoerl and
Kennard, Technometrics 1970), as strong as serves each fifth of the texts best when it is fitted to the others.
"""

import time
import warnings
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gemlet.dataset import whole_file
from gemlet.embedder import Embedder
from gemlet.errors import TruncationWarning
from gemlet.feedback import BLOCK
from gemlet.train.teacher import encode
from gemlet.vectors import FloatArray, normalize

FOLDS = 5
"""Fewer texts than these are not fitted to."""

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, inf)
"""Of the ridge, in shares of the vectors' mean variance along an axis; inf: nothing is changed."""

_AT_ONCE = 64  # texts on a GPU

Map = npt.NDArray[np.float64]


class Fitted(NamedTuple):
    """What a fit brings: mean cosines of texts that it was not made from, without it and with it."""

    texts: int
    before: float
    after: float


def fit_head(
    student: Any, start: Path, taught: Callable[[], tuple[list[str], FloatArray]], kept: Path, process: int, *,
    progress: bool,
) -> Fitted:  # fmt: skip
    """Give the student a last matrix that brings the vectors of `start` near to its own of before, in 8 bits.

    start   the .gguf file that the student has its numbers from
    taught  FOLDS texts or more with their prompts before them, and what the checkpoint makes of them, [texts, dim]
            float32 of unit length; asked for once in a run
    kept    where the matrix is kept, so that a run which goes on, and every process, has the same
    """
    matrix = [module for module in student.children() if hasattr(module, "linear")][-1].linear.weight
    while not kept.exists():
        if process == 0:
            given, theirs = taught()
            change, before, after = correction(_vectors(student, start, given, progress), theirs)
            changed = (np.eye(len(change)) + change).T @ matrix.detach().cpu().numpy()
            with whole_file(str(kept)) as file:
                np.savez(file, matrix=in_8_bits(changed), fitted=Fitted(len(given), before, after))
        time.sleep(0.2)
    with np.load(kept) as found, torch.no_grad():
        matrix.copy_(torch.from_numpy(found["matrix"]))
        texts, before, after = found["fitted"].tolist()
    return Fitted(int(texts), before, after)


def correction(ours: FloatArray, theirs: FloatArray) -> tuple[Map, float, float]:
    """What is to be added to a vector x of ours, as a map of it: x A, A [dim, dim]; and the cosines of Fitted.

    ours, theirs  [texts, dim] of unit length
    """
    cosines = np.zeros(len(STRENGTHS))  # sums, of texts that a map was not fitted to
    for fold in range(FOLDS):
        out = np.arange(len(ours)) % FOLDS == fold
        moments = _moments(ours[~out], theirs[~out])
        for place, strength in enumerate(STRENGTHS):
            change = _ridge(*moments, strength).astype(np.float32)
            cosines[place] += (normalize(ours[out] + ours[out] @ change) * theirs[out]).sum()
    cosines /= len(ours)
    best = int(cosines.argmax())
    found = _ridge(*_moments(ours, theirs), STRENGTHS[best])
    return found, float(cosines[STRENGTHS.index(inf)]), float(cosines[best])


def in_8_bits(matrix: npt.NDArray[Any]) -> FloatArray:
    """What a file in Q8_0 has of a matrix [outputs, inputs]: whole numbers times a half-precision scale of each 32."""
    blocks = matrix.reshape(len(matrix), -1, BLOCK).astype(np.float32)
    scales = (np.abs(blocks).max(axis=-1, keepdims=True) / 127).astype(np.float16).astype(np.float32)
    numbers = np.rint(np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales > 0))
    return np.asarray(numbers.clip(-127, 127) * scales, np.float32).reshape(matrix.shape)


def _vectors(student: Any, start: Path, texts: list[str], progress: bool) -> FloatArray:
    """What the file makes of the texts; on a GPU what the student does, whose activations are not rounded."""
    if student.device.type == "cuda":
        return encode(student, texts, [""], _AT_ONCE, progress=progress)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)  # the checkpoint saw no more of them
        found: FloatArray = Embedder(start, max_seq_length=student.max_seq_length).encode(
            texts, show_progress_bar=progress
        )
    return found


def _moments(ours: FloatArray, theirs: FloatArray) -> tuple[Map, Map]:
    """What a map is found from: of our vectors with themselves, and with what they lack."""
    x, error = ours.astype(np.float64), theirs.astype(np.float64) - ours
    return x.T @ x, x.T @ error


def _ridge(own: Map, lacking: Map, strength: float) -> Map:
    if strength == inf:
        return np.zeros_like(own)
    found: Map = np.linalg.solve(own + strength * own.trace() / len(own) * np.eye(len(own)), lacking)
    return found
