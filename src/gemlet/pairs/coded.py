"""Vectors in 8 bits, and texts → those.   (vectors, texts → Coded)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet.embedder import Embedder
from gemlet.errors import InputError
from gemlet.vectors import FloatArray, normalize, quantize

Progress = Callable[[int, int], None]  # how much is done, of how much
Ids = npt.NDArray[np.int64]

UNIT = 32  # the engine takes vectors of a multiple of so many numbers
PIECE = 4096  # texts whose vectors are in float32 at the same time


@dataclass(frozen=True)
class Coded:
    """Unit vectors: a number of row i is codes[i, j] * scales[i].

    codes   [n, dim] int8, none -128; dim is a multiple of 32, filled up with zeros
    scales  [n] float32: one over the length of the codes
    exact   the same vectors in float32, [n, dim], if they are at hand: results are then exact
    slack   [n] float32: the distance between a vector and its codes; 0 when there are no exact ones
    """

    codes: npt.NDArray[np.int8]
    scales: FloatArray
    exact: FloatArray | None
    slack: FloatArray

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: slice | Ids) -> Coded:
        """Some of the rows: a view for a slice."""
        exact = None if self.exact is None else self.exact[rows]
        return Coded(self.codes[rows], self.scales[rows], exact, self.slack[rows])

    def rounded(self) -> Coded:
        """The same without the exact vectors."""
        return Coded(self.codes, self.scales, None, np.zeros_like(self.scales))


def as_coded(vectors: Coded | npt.ArrayLike) -> Coded:
    """Vectors of any length in 8 bits; they are kept in float32 beside that, as unit vectors.

    vectors  [n, d] of numbers, or int8 codes as `precision="int8"` makes them; a Coded stays as it is

    Raises InputError for another shape or what is not finite; the message names the row.
    """
    if isinstance(vectors, Coded):
        return vectors
    array = np.asarray(vectors)
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"vectors are an array [n, dim], not one of shape {array.shape}")
    if array.dtype == np.int8:
        return _of_codes(np.maximum(array, -127))
    if array.dtype.kind not in "fiu":
        raise InputError(f"vectors are numbers, not {array.dtype}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise InputError(f"vector {bad[0]} is not finite")
    exact = _filled_up(normalize(np.asarray(array, np.float32)))
    coded = _of_codes(quantize(exact, "int8"))
    slack = np.empty(len(exact), np.float32)
    for begin in range(0, len(exact), PIECE):
        piece = slice(begin, begin + PIECE)
        slack[piece] = np.linalg.norm(exact[piece] - coded.codes[piece] * coded.scales[piece, None], axis=1)
    return Coded(coded.codes, coded.scales, exact, slack)


def code_texts(
    embedder: Embedder,
    texts: Sequence[str],
    *,
    prompt_name: str = "sentence similarity",
    truncate_dim: int | None = None,
    truncation: Any = None,
    progress: Progress | None = None,
) -> Coded:
    """Embed texts, some thousands at a time, and keep 8 bits of each number: 768 bytes a text; equal texts once.

    Raises what Embedder.encode() raises.
    """
    places: dict[str, int] = {}
    rows = [places.setdefault(text, len(places)) for text in texts]
    different = list(places)
    codes = np.empty((len(different), truncate_dim or embedder.truncate_dim), np.int8)
    for begin in range(0, len(different), PIECE):
        piece = different[begin : begin + PIECE]
        codes[begin : begin + PIECE] = embedder.encode(
            piece, prompt_name=prompt_name, precision="int8", truncate_dim=truncate_dim, truncation=truncation
        )
        tell(progress, begin + len(piece), len(different))
    coded = _of_codes(codes)
    return coded if len(different) == len(rows) else coded.take(np.array(rows, np.int64))


def tell(progress: Progress | None, done: int, total: int) -> None:
    """Report how far a loop has come, if anybody wants to know."""
    if progress:
        progress(done, total)


def _of_codes(codes: npt.NDArray[np.int8]) -> Coded:
    codes = np.ascontiguousarray(_filled_up(codes))
    lengths = np.empty(len(codes), np.float32)
    for begin in range(0, len(codes), PIECE):
        piece = codes[begin : begin + PIECE].astype(np.float32)
        lengths[begin : begin + PIECE] = np.sqrt(np.einsum("ij,ij->i", piece, piece))
    scales = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return Coded(codes, scales, None, np.zeros(len(codes), np.float32))


def _filled_up(x: Any) -> Any:
    """Zeros behind each row, up to a multiple of 32: no product changes."""
    missing = -x.shape[1] % UNIT
    return np.pad(x, ((0, 0), (0, missing))) if missing else x
