"""The nearest documents of each query, by every cosine.   (blocks of vectors → rows, best first)

Memory holds the queries' vectors, one block of documents, the cosines of some queries with it, and the best so far,
whatever the number of documents.
"""

import numpy as np

from gemlet.evaluation.metrics import Ranked
from gemlet.vectors import FloatArray

QUERIES = 512
"""Whose cosines are in memory at a time."""


class Best:
    """The `depth` nearest documents of each query among those added so far; of equal cosines the earlier row.

    rows     [queries, depth], best first; -1: nothing more
    cosines  [queries, depth] float32; -inf: nothing more
    """

    def __init__(self, queries: FloatArray, depth: int) -> None:
        """queries: [n, dim] float32 unit vectors."""
        self._queries = queries
        self._seen = 0
        self.rows: Ranked = np.full((len(queries), depth), -1, np.intp)
        self.cosines: FloatArray = np.full((len(queries), depth), -np.inf, np.float32)

    def add(self, documents: FloatArray) -> None:
        """The next documents, [m, dim] float32 unit vectors."""
        new = np.arange(self._seen, self._seen + len(documents))
        for begin in range(0, len(self._queries), QUERIES):
            part = slice(begin, begin + QUERIES)
            found = self._queries[part] @ documents.T
            cosines = np.concatenate([self.cosines[part], found], axis=1)
            rows = np.concatenate([self.rows[part], np.broadcast_to(new, found.shape)], axis=1)
            order = np.argsort(-cosines, axis=1, kind="stable")[:, : self.rows.shape[1]]  # what came first stays first
            self.rows[part] = np.take_along_axis(rows, order, axis=1)
            self.cosines[part] = np.take_along_axis(cosines, order, axis=1)
        self._seen += len(documents)
