"""The nearest documents of each query, by every cosine.   (blocks of vectors → rows, best first)

The engine compares a block with all queries (pairs/); memory holds the queries' vectors, one block, and the best so
far, whatever the number of documents.
"""

import numpy as np

from gemlet.evaluation.metrics import Ranked
from gemlet.pairs import as_coded, nearest
from gemlet.vectors import FloatArray


class Best:
    """The `depth` nearest documents of each query among those added so far; of equal cosines the earlier row."""

    def __init__(self, queries: FloatArray, depth: int) -> None:
        """queries: [n, dim] float32 unit vectors."""
        self._queries = as_coded(queries)
        self._depth = depth
        self._seen = 0
        self.rows: Ranked = np.full((len(queries), depth), -1, np.intp)
        self.cosines = np.full((len(queries), depth), -np.inf, np.float32)

    def add(self, documents: FloatArray) -> None:
        """The next documents, [m, dim] float32 unit vectors."""
        found = nearest(self._queries, documents, min(self._depth, len(documents)))
        rows = np.concatenate([self.rows, found.rows + self._seen], axis=1)
        cosines = np.concatenate([self.cosines, found.score], axis=1)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, : self._depth]  # what came first stays first
        self.rows, self.cosines = (np.take_along_axis(part, order, axis=1) for part in (rows, cosines))
        self._seen += len(documents)
