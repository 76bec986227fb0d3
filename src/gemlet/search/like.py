"""A file → one vector, to find more like it.   (path → vector)"""

import os
from pathlib import Path

import numpy as np

from gemlet.errors import InputError
from gemlet.search.searchable import Searchable
from gemlet.vectors import FloatArray, normalize

FIRST = 64
"""Passages of a file that is not in the index that are embedded: a book is like its beginning."""


def vector_of(index: Searchable, path: str | os.PathLike[str]) -> tuple[FloatArray, int | None]:
    """Return the mean of a file's vectors, [dim] float32 of unit length, and its document in the index, if it has one.

    Raises InputError when there is no such file or nothing in it, UnreadableDocument when it cannot be read.
    """
    passages = index.store.passages_of(path)
    if passages:
        scales, codes = index.store.vectors([passage.id for passage in passages])
        return _mean(codes.astype(np.float32) * scales[:, None]), passages[0].document_id
    if not Path(path).is_file():
        raise InputError(f"there is no file {os.fspath(path)}: name one in the index, or any other to be read")
    from gemlet.documents import read_document  # what a query does not need
    from gemlet.passages import split

    embedder = index.embedder
    cut = split(read_document(Path(path)), embedder.count_tokens)[:FIRST]
    if not cut:
        raise InputError(f"{os.fspath(path)} is empty: there is nothing to be like")
    vectors = embedder.encode_document([p.text for p in cut], titles=[p.title for p in cut], truncate_dim=index.dim)
    return _mean(vectors), None


def _mean(rows: FloatArray) -> FloatArray:
    mean: FloatArray = normalize(rows.mean(axis=0, keepdims=True, dtype=np.float32))[0]
    return mean
