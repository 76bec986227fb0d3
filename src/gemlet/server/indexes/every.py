"""All indexes and stores that a server was given.   (paths, URLs → ServedIndex, ServedStore)"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gemlet import stores
from gemlet.embedder import Embedder
from gemlet.errors import InputError
from gemlet.server.indexes.served import Served, ServedIndex, ServedStore
from gemlet.server.problems import Problem
from gemlet.store import Store
from gemlet.stores import address_of


def look(url: str) -> None:
    """See that a store is there. Raises StoreError and its kin, MissingExtra, InputError for a URL that is none."""
    with stores.open(url) as store:
        store.size()


class Indexes:
    """All that are served, by their names: the stems of files, the schemas or collections of databases."""

    def __init__(self, paths: Sequence[str | os.PathLike[str]], embedder: Embedder, urls: Sequence[str] = ()) -> None:
        """Open each once. An SQLite file among the stores is an index.

        Raises InputError for two of one name, StoreError for one that is not there or broken, MissingExtra.
        """
        self._served: dict[str, Served] = {}
        addresses = [(url, address_of(url)) for url in urls]
        files = [*paths, *(address.where for _, address in addresses if address.kind == "sqlite")]
        for path in (Path(path).expanduser().absolute() for path in files):
            with Store(path):
                self._add(ServedIndex(path.stem, path, embedder))
        for url in (url for url, address in addresses if address.kind != "sqlite"):
            look(url)
            self._add(ServedStore(url, embedder))

    def _add(self, served: Served) -> None:
        if served.name in self._served:
            cure = "the name is that of the file, schema or collection, rename one of them"
            raise InputError(f"two indexes are called {served.name!r}: {cure}")
        self._served[served.name] = served

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def named(self, name: str | None) -> Served:
        """The index of this name; without one the first. Raises Problem "not_found"."""
        if not self._served:
            raise Problem(
                "not_found", "this server has no index: start it with --index FILE or --store URL", param="index"
            )
        if name is None:
            return next(iter(self))
        if name not in self._served:
            told = f"no index is called {name[:100]!r}; there is {', '.join(self._served)}"
            raise Problem("not_found", told, param="index")
        return self._served[name]

    def close(self) -> None:
        """Close all."""
        for served in self:
            served.close()
