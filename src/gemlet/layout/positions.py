"""Vectors → places on a plane, near for what is alike.   (vectors → [n, 2])

PCA keeps what differs most, in the base install. UMAP (McInnes, Healy & Melville 2018, extra `map`) keeps neighbours
together, at the cost of distances: between its groups they say little.
"""

import warnings
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError, MissingExtra
from gemlet.pca import main_directions
from gemlet.vectors import FloatArray, normalize

Method = Literal["pca", "umap"]

_NEIGHBOURS = 15  # UMAP's own default
_LEAST = 5  # rows that UMAP makes something of; fewer are placed by PCA


def positions_of(vectors: npt.ArrayLike, method: Method = "pca", seed: int = 0) -> FloatArray:
    """Place vectors [n, d] on a plane: [n, 2] float32, both axes of one scale, from 0 to 1 on the longer one.

    The same vectors and seed give the same places. Raises InputError for fewer than 2 rows, rows that are all the same
    and numbers that are not finite; MissingExtra for "umap" without its extra.
    """
    rows = np.asarray(vectors, np.float32)
    if method not in get_args(Method):
        raise InputError(f"method is {method!r}; available: {', '.join(get_args(Method))}")
    if rows.ndim != 2 or len(rows) < 2:
        raise InputError(f"vectors of shape {rows.shape} were given: a map needs 2 rows of numbers or more")
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise InputError(f"vector {row} has NaN or infinity in it: leave the row out")
    if (rows == rows[0]).all():
        raise InputError(f"all {len(rows)} rows are the same: a map of them is one point")
    rows = normalize(rows)
    placed = _umap(rows, seed) if method == "umap" else main_directions(rows, 2)
    placed -= placed.min(axis=0)
    return np.asarray(placed / max(float(placed.max()), 1e-12), np.float32)


def _umap(rows: FloatArray, seed: int) -> FloatArray:
    make = _umap_class()
    start = main_directions(rows, 2)
    if len(rows) < _LEAST:
        return start
    start *= 10 / np.abs(start).max()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it speaks of its own parts: of numba, of scikit-learn, of unused threads
        reducer = make(
            n_components=2,
            n_neighbors=min(_NEIGHBOURS, len(rows) - 1),
            metric="cosine",
            init=start,
            random_state=seed,
            n_jobs=1,
        )
        return np.array(reducer.fit_transform(rows), np.float32)


def _umap_class() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from umap.umap_ import UMAP
        except ImportError:
            raise MissingExtra("map", "UMAP") from None
    return UMAP
