"""What is done to a vector behind the model.   (hidden → truncated → normalised → quantised → compared)"""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError, InvalidDimension

Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]

MATRYOSHKA_DIMS = (768, 512, 256, 128)  # that the model was trained to be cut to: model card, "Matryoshka"

FloatArray = npt.NDArray[np.float32]
Vectors = npt.NDArray[Any]


def check_dim(dim: int | None, full: int) -> int:
    """Return the dimension to cut to; None is `full`. Raises InvalidDimension for one that was not trained."""
    allowed = (full, *(d for d in MATRYOSHKA_DIMS if d < full))
    if dim is None:
        return full
    if dim not in allowed:
        raise InvalidDimension(dim, allowed)
    return dim


def normalize(x: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """Scale each row of x [n, d] to length 1; a row of zeros stays zero. `out` may be x itself: nothing is copied."""
    length = np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64))[:, None]
    length[length == 0] = 1
    unit: FloatArray = np.divide(x, length, out=np.empty_like(x) if out is None else out, casting="unsafe")
    return unit


def quantize(x: FloatArray, precision: Precision) -> Vectors:
    """Store x [n, d] float32 smaller. A row's result depends on that row alone.

    int8      [n, d]: the row scaled so that its largest number is ±127; direction kept, length not
    uint8     [n, d]: int8 + 128
    ubinary   [n, ceil(d / 8)] uint8: one bit for each number, 1 when it is positive, first number in the highest bit
    binary    [n, ceil(d / 8)] int8: ubinary - 128, as sentence-transformers packs it

    Raises InputError for another name.
    """
    if precision == "float32":
        return x
    if precision in ("int8", "uint8"):
        top = np.abs(x).max(axis=1, keepdims=True, initial=0)
        scaled = np.rint(np.divide(x, top, out=np.zeros_like(x), where=top > 0) * 127)
        return np.asarray(scaled, np.int8) if precision == "int8" else np.asarray(scaled + 128, np.uint8)
    if precision in ("binary", "ubinary"):
        bits = np.packbits(x > 0, axis=1)
        return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
    raise InputError(f"precision is {precision!r}; available: {', '.join(get_args(Precision))}")


def widen(x: Vectors, precision: Precision) -> FloatArray:
    """Turn what quantize() made back into float32 rows with the same direction: [n, d]; bits become ±1."""
    if precision == "uint8":
        return x.astype(np.float32) - 128
    if precision in ("binary", "ubinary"):
        bits = x if precision == "ubinary" else (x.astype(np.int16) + 128).astype(np.uint8)
        return np.unpackbits(bits, axis=1).astype(np.float32) * 2 - 1
    return x.astype(np.float32)


def similarity(a: npt.ArrayLike, b: npt.ArrayLike, precision: Precision = "float32") -> FloatArray:
    """Cosine of each row of a with each row of b: [n, m] float32; a single vector counts as one row.

    `precision` says how both were stored. Raises InputError when they do not have the same width.
    """
    return np.asarray(_rows(a, precision) @ _rows(b, precision, like=a).T, np.float32)


def similarity_pairwise(a: npt.ArrayLike, b: npt.ArrayLike, precision: Precision = "float32") -> FloatArray:
    """Cosine of row i of a with row i of b: [n] float32. Raises InputError when the shapes differ."""
    left, right = _rows(a, precision), _rows(b, precision, like=a)
    if len(left) != len(right):
        raise InputError(f"similarity_pairwise takes as many rows on both sides, not {len(left)} and {len(right)}")
    return np.asarray(np.einsum("ij,ij->i", left, right), np.float32)


def _rows(x: npt.ArrayLike, precision: Precision, like: npt.ArrayLike | None = None) -> FloatArray:
    """Unit rows; the same width as `like`."""
    rows = np.atleast_2d(np.asarray(x))
    if like is not None and rows.shape[-1] != (width := np.shape(like)[-1]):
        raise InputError(f"the vectors have {width} and {rows.shape[-1]} numbers: cut both with the same truncate_dim")
    return normalize(widen(rows, precision))
