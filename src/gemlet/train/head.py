"""The head's last matrix, fitted before anything learns.   (texts' vectors by both models → matrix)

What a file of few bits gets wrong is in part a linear map of the vector itself, the same for every text. The last
matrix has 8 bits, and room to take the map back: W becomes (I + A) W. A is found by ridge regression (Hoerl and
Kennard, Technometrics 1970), as strong as serves each fifth of the texts best when it is fitted to the others.
"""

import time
import warnings
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gemlet.dataset import whole_file
from gemlet.embedder import Embedder
from gemlet.errors import TruncationWarning
from gemlet.feedback import BLOCK
from gemlet.vectors import FloatArray, normalize

FOLDS = 5
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, inf)
"""Of the ridge, in shares of the vectors' mean variance along an axis; inf: nothing is changed."""

Map = npt.NDArray[np.float64]


def fit_head(
    student: Any, start: Path, texts: Sequence[str], theirs: FloatArray, kept: Path, process: int, *, progress: bool
) -> None:
    """Give the student a last matrix that brings the vectors of `start` near to `theirs`, and that 8 bits hold.

    start   the .gguf file that the student has its numbers from
    texts   with their prompts before them; fewer than FOLDS change nothing
    theirs  [texts, dim] float32 of unit length: what the checkpoint makes of them
    kept    where the matrix is kept, so that a run which goes on, and every process, has the same
    """
    if len(texts) < FOLDS:
        return
    matrix = [module for module in student.children() if hasattr(module, "linear")][-1].linear.weight
    while not kept.exists():
        if process == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TruncationWarning)  # the checkpoint saw no more of them
                ours = Embedder(start, max_seq_length=student.max_seq_length).encode(texts, show_progress_bar=progress)
            change = correction(ours, theirs)
            with whole_file(str(kept)) as file:
                np.save(file, in_8_bits((np.eye(len(change)) + change).T @ matrix.detach().cpu().numpy()))
        time.sleep(0.2)
    with torch.no_grad():
        matrix.copy_(torch.from_numpy(np.load(kept)))


def correction(ours: FloatArray, theirs: FloatArray) -> Map:
    """What is to be added to a vector x of ours, as a map of it: x A, A [dim, dim].

    ours, theirs  [texts, dim] of unit length
    """
    cosines = np.zeros(len(STRENGTHS))  # sums, of texts that a map was not fitted to
    for fold in range(FOLDS):
        out = np.arange(len(ours)) % FOLDS == fold
        moments = _moments(ours[~out], theirs[~out])
        for place, strength in enumerate(STRENGTHS):
            change = _ridge(*moments, strength).astype(np.float32)
            cosines[place] += (normalize(ours[out] + ours[out] @ change) * theirs[out]).sum()
    return _ridge(*_moments(ours, theirs), STRENGTHS[int(cosines.argmax())])


def in_8_bits(matrix: npt.NDArray[Any]) -> FloatArray:
    """What a file in Q8_0 has of a matrix [outputs, inputs]: whole numbers times a half-precision scale of each 32."""
    blocks = matrix.reshape(len(matrix), -1, BLOCK).astype(np.float32)
    scales = (np.abs(blocks).max(axis=-1, keepdims=True) / 127).astype(np.float16).astype(np.float32)
    numbers = np.rint(np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales > 0))
    return np.asarray(numbers.clip(-127, 127) * scales, np.float32).reshape(matrix.shape)


def _moments(ours: FloatArray, theirs: FloatArray) -> tuple[Map, Map]:
    """What a map is found from: of our vectors with themselves, and with what they lack."""
    x, error = ours.astype(np.float64), theirs.astype(np.float64) - ours
    return x.T @ x, x.T @ error


def _ridge(own: Map, lacking: Map, strength: float) -> Map:
    if strength == inf:
        return np.zeros_like(own)
    found: Map = np.linalg.solve(own + strength * own.trace() / len(own) * np.eye(len(own)), lacking)
    return found
