"""What a search needs of an index."""

from typing import Any, Protocol

from gemlet.store import Searched


class Searchable(Protocol):
    """What a search needs of an Index. The embedder is asked for only when a query has to be embedded."""

    @property
    def store(self) -> Searched:
        """The index itself."""

    @property
    def embedder(self) -> Any:
        """An Embedder of the model that the index was made with."""

    @property
    def dim(self) -> int:
        """How many numbers a vector of the index has."""

    def release(self) -> None:
        """Let go of the model; who needs it again loads it again."""
