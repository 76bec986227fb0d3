"""One open index: its settings, statements, snapshots and checks.   (SQL → rows)"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gemlet.errors import StoreCorrupt
from gemlet.store.schema import connect, crc_of, guarded, roll_back


class Opened:
    """What Store and StoreWriter share. Any number of threads may use one: they take turns."""

    _writes = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the index. Raises StoreNotFound, StoreError, StoreCorrupt."""
        self.path = Path(path).expanduser().absolute()
        self._lock = threading.RLock()
        self._connection = connect(self.path, write=self._writes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. The last process that does so leaves nothing beside it but the scan's cache."""
        with self._lock, guarded(self.path):
            self._connection.close()

    @property
    def generation(self) -> int:
        """Another number after every change to the passages or to which files have them."""
        return int(self.meta("generation") or 0)

    def meta(self, key: str) -> Any:
        """What was written under the key: a str or int; None when nothing was."""
        rows = self._rows("SELECT key, value, crc FROM meta WHERE key = ?", key)
        for row in rows:
            self._check("setting", row)
        return rows[0][1] if rows else None

    # Inside

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._lock, guarded(self.path):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """One state of the index for several statements, whatever others write meanwhile."""
        with self._lock, guarded(self.path):
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                roll_back(self._connection)

    def _check_count(self, table: str, found: int) -> None:
        if found != (expected := self.meta(table)):
            raise StoreCorrupt(str(self.path), f"there are {found} {table}, not {expected}")

    def _check_files(self, paths: Sequence[bytes]) -> None:
        """All paths, in the order that looking for one relies on."""
        self._check_count("files", len(paths))
        if not all(isinstance(path, bytes) for path in paths) or any(a >= b for a, b in pairwise(paths)):
            raise StoreCorrupt(str(self.path), "the files are not in order")

    def _check(self, what: str, row: Sequence[Any]) -> None:
        if crc_of(*row[:-1]) != row[-1]:
            raise StoreCorrupt(str(self.path), f"the {what} {row[0]!r} does not have its checksum")
