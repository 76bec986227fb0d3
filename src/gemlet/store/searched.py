"""What a search asks of a store: six methods.   (the seam to databases)"""

import os
from collections.abc import Iterable, Sequence
from typing import Protocol

from gemlet.store.filters import EVERYTHING, Filter
from gemlet.store.rows import Codes, Scales, StoredPassage
from gemlet.vectors import FloatArray


class Searched(Protocol):
    """Passages to be searched: a Store, or those in a database, see stores/. Each method raises StoreError."""

    def size(self) -> int:
        """How many passages there are."""

    def nearest(
        self, vector: FloatArray, k: int, wanted: Filter = EVERYTHING, *, exact: bool = False
    ) -> list[tuple[int, float]]:
        """The k passages closest to a unit vector [dim] float32: (passage id, cosine), best first.

        exact  compare every vector, where otherwise an index would be asked that may miss some
        """

    def keyword(self, query: str, k: int, wanted: Filter = EVERYTHING) -> list[tuple[int, float]]:
        """The k best passages that hold any word of the query: (passage id, BM25, more is better), best first."""

    def passages(self, ids: Iterable[int]) -> list[StoredPassage]:
        """The passages with these ids, in the order asked for; one that has left meanwhile is left out."""

    def passages_of(self, path: str | os.PathLike[str]) -> list[StoredPassage]:
        """A file's passages from first to last; none when the file is not there."""

    def vectors(self, ids: Sequence[int]) -> tuple[Scales, Codes]:
        """(scales [n] float32, codes [n, dim] int8) of these passages, in this order. Raises KeyError."""
