"""`gemlet index --store`: the index beside a database, and what goes from the one into the other."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gemlet.errors import StoreNotFound
from gemlet.stores import address_of
from gemlet.stores.opened import StoreIndex
from gemlet.stores.publish import index_beside, publish, withdraw

if TYPE_CHECKING:
    from gemlet.index import Index


class Destination:
    """A database that `gemlet index` keeps up to date.

    index_path  of the index that is kept beside it
    made        model and dimension that its vectors are from, as Index takes them; empty when there is none yet
    """

    def __init__(self, url: str) -> None:
        """Reach the database: what cannot be is told before hours of work. Raises InputError, StoreError."""
        self.address = address_of(url)
        self.index_path = index_beside(self.address)
        self.made: dict[str, Any] = {}
        self._opened = StoreIndex(url)
        if dim := self._opened.store.meta("dim"):
            self.made = {"model": self._opened.store.meta("model"), "truncate_dim": dim}

    def close(self) -> None:
        """Give the connection back."""
        self._opened.close()

    def publish(self, index: "Index", *, anew: bool) -> dict[str, Any]:
        """Bring the database up to date; returns what was done, in JSON's types."""
        done = publish(index, self._opened.store, anew=anew)
        for path in done.skipped:
            click.echo(f"gemlet: {path}: its name is no UTF-8, which no database takes", err=True)
        return {"url": self.address.shown, **asdict(done)}

    def remove(self, index: "Index", paths: Sequence[str]) -> int:
        """Take files out of both."""
        return withdraw(index, self._opened.store, paths)

    def status(self, index: "Index") -> dict[str, Any]:
        """What the database holds, and where the index beside it is."""
        facts = self._opened.status()
        try:
            return {**facts, "roots": index.store.roots(), "index": str(index.path)}
        except StoreNotFound:
            return facts

    def told(self, done: dict[str, Any]) -> str:
        """What publish() did, for a reader."""
        parts = [f"{done['put']:,} put with {done['passages']:,} passages" if done["put"] else "nothing to put"]
        if done["removed"]:
            parts.append(f"{done['removed']:,} removed")
        return f"{self.address.shown}: {', '.join(parts)}"
