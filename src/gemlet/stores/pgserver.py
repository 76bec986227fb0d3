"""A connection to PostgreSQL, made when it is needed and again when it was lost.   (Address → connection)"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gemlet.errors import MissingExtra, StoreError, StoreNotFound
from gemlet.stores.addresses import Address

if TYPE_CHECKING:
    from psycopg import Connection

_WAIT_S = 10  # for an answer to a first hello


class PgServer:
    """One connection; threads take turns."""

    def __init__(self, address: Address) -> None:
        """Raises MissingExtra; the server is asked for nothing yet."""
        try:
            import pgvector.psycopg
            import psycopg
        except ImportError:
            raise MissingExtra("pgvector", "PostgreSQL") from None
        self.address = address
        self._psycopg, self._pgvector = psycopg, pgvector.psycopg
        self._connection: Connection[Any] | None = None
        self._lock = threading.RLock()

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextmanager
    def transaction(self, *, alone: bool = False) -> "Iterator[Connection[Any]]":
        """All that is done inside, or nothing.

        alone  who else asks to be alone waits: writers of one schema take turns

        Raises StoreError and its kin for whatever PostgreSQL says.
        """
        with self._lock, self._guarded():
            connection = self._connected()
            with connection.transaction():
                if alone:
                    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", [self.address.name])
                yield connection

    def rows(self, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        with self._lock, self._guarded():
            found: list[tuple[Any, ...]] = self._connected().execute(sql, values or None).fetchall()
            return found

    def learn_types(self) -> None:
        """See where the extension lies, which may be in any schema, and how its types are sent."""
        with self._lock:
            connection = self._connection
            assert connection is not None
            found = connection.execute(_EXTENSION).fetchone()
            if found is not None:
                sql = "SELECT set_config('search_path', quote_ident(%s) || ', public, pg_catalog', false)"
                connection.execute(sql, [found[0]])
                self._pgvector.register_vector(connection)

    def _connected(self) -> "Connection[Any]":
        if self._connection is None or self._connection.broken or self._connection.closed:
            try:
                self._connection = self._psycopg.connect(
                    self.address.where, autocommit=True, connect_timeout=_WAIT_S, application_name="gemlet",
                    prepare_threshold=None,
                )  # fmt: skip
                self._connection.execute("SET jit = off")  # compiling takes longer than any of our queries
            except self._psycopg.Error as error:
                reason = self.address.clean(str(error)).removeprefix("connection failed: ")
                raise StoreError(f"cannot reach {self.address.shown}: {reason}; {_CHECK}") from None
            self.learn_types()
        return self._connection

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn PostgreSQL's errors into gemlet's."""
        try:
            yield
        except self._psycopg.Error as error:
            raise self._told(error) from None

    def _told(self, error: Any) -> StoreError:
        """One line: what happened, where, and what to do."""
        shown, codes = self.address.shown, self._psycopg.errors
        reason = self.address.clean(getattr(getattr(error, "diag", None), "message_primary", None) or str(error))
        if isinstance(error, codes.UndefinedTable | codes.InvalidSchemaName):
            return StoreNotFound(shown, f"make it with `gemlet index FOLDER --store '{shown}'`, or look at its schema")
        if isinstance(error, codes.InsufficientPrivilege):
            return StoreError(f"{shown} does not allow this: {reason}; ask whoever runs the database for the right")
        if isinstance(error, codes.DiskFull):
            return StoreError(f"no room left at {shown} ({reason}): make room; {_KEPT}")
        if isinstance(error, codes.UndefinedFile | codes.FeatureNotSupported) and "extension" in reason:
            return StoreError(f"{shown} has no pgvector: install the extension `vector`, 0.8 or later, on that server")
        connection = self._connection
        if connection is None or connection.broken or connection.closed:
            return StoreError(f"lost the connection to {shown} ({reason}): is the server running? {_KEPT}")
        return StoreError(f"{shown} refused: {reason}")


_EXTENSION = (
    "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
)
_CHECK = "check host, port, database, user and password (a password may stand in PGPASSWORD or ~/.pgpass, too)"
_KEPT = "what was complete is in it, and the same command goes on from there"
