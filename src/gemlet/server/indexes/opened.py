"""An index or a store for one request.   (Index, StoreIndex → what gemlet.search takes)"""

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from gemlet.index import Index
from gemlet.server.indexes.shared import SharedEmbedder
from gemlet.store import Store
from gemlet.store.names import Names, names_for
from gemlet.stores import Writable
from gemlet.stores.opened import StoreIndex

Place = TypeVar("Place", Index, StoreIndex)


class Held(NamedTuple):
    """What is in an index or a store, as far as it tells."""

    files: int
    passages: int
    unreadable: int = 0
    roots: Sequence[str] = ()
    kinds: Sequence[str] = ()
    languages: Sequence[str] = ()


class Opened(Generic[Place]):
    """An index or a store for one request: what gemlet.search takes, its queries embedded in the server's queue.

    names    of its files, for answers
    filtered the names that a filter's pattern is held against; None: those in the store itself
    """

    names: Names
    filtered: Names | None

    def __init__(self, index: Place, shared: SharedEmbedder | None) -> None:
        self._index: Place = index
        self._shared = shared

    @property
    def embedder(self) -> Any:
        """The server's model. Raises StoreMismatch when the index was made with another."""
        _ = self._index.embedder
        assert self._shared is not None, "this request said that it embeds nothing"
        return self._shared

    @property
    def dim(self) -> int:
        """How many numbers a vector of the index has."""
        return self._index.dim

    def release(self) -> None:
        """Keep the model: it is the server's."""


class OpenIndex(Opened[Index]):
    """An index file."""

    def __init__(self, index: Index, shared: SharedEmbedder | None) -> None:
        super().__init__(index, shared)
        self.names = self.filtered = names_for(index.store.roots())

    @property
    def store(self) -> Store:
        """The index itself."""
        return self._index.store

    def held(self) -> Held:
        """What is in it."""
        store, counts = self.store, self.store.counts()
        roots = [name for _, name in self.names.roots]
        return Held(counts["files"], counts["passages"], counts["problems"], roots, store.kinds(), store.languages())


class OpenStore(Opened[StoreIndex]):
    """A store in a database, whose names are those that it holds. Which kinds and languages there are, it does not say.

    `filtered` is None: the database itself looks at its names.
    """

    def __init__(self, index: StoreIndex, shared: SharedEmbedder | None) -> None:
        super().__init__(index, shared)
        self.names, self.filtered = names_for([]), None

    @property
    def store(self) -> Writable:
        """The store itself."""
        return self._index.store

    def held(self) -> Held:
        """What is in it."""
        counts = self.store.counts()
        return Held(counts["files"], counts["passages"])
