"""PostgreSQL with pgvector.   (Items ↔ rows)

Vectors are in 16 bits. Few passages are compared one by one; of many an HNSW index finds the nearest: of the vectors,
or of their signs, whose best are then compared by the vectors.   Source: Malkov and Yashunin 2018, HNSW
"""

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gemlet.errors import InputError, StoreError
from gemlet.index.fingerprint import check
from gemlet.scan import quantise
from gemlet.store import EVERYTHING, Filter, StoredFile, StoredPassage
from gemlet.store.rows import Codes, Scales
from gemlet.stores.addresses import Address
from gemlet.stores.contract import Item, Writable, check_items, digest_of, together
from gemlet.stores.pgserver import PgServer
from gemlet.stores.pgtables import (
    EXACT,
    FEW,
    INDEX,
    INDEXED_FROM,
    NEAREST,
    PUT_FILES,
    PUT_PASSAGES,
    SEEING,
    SEEN,
    TABLES,
    condition,
    inside,
)
from gemlet.stores.pgwords import by_words
from gemlet.stores.terms import AVERAGE, tokens, tsvector
from gemlet.vectors import FloatArray

COUNTED = 200_000
"""Rows from which on their number is PostgreSQL's own estimate."""

_MOST_SEEN = 1000  # what pgvector's ef_search may be
_MOST_MEMORY = 2 << 30  # bytes that building an index may take of the server's
_VERSION = (0, 8)


class PgStore(Writable):
    """See contract.Writable. Writers take turns, one transaction each; readers never wait."""

    def __init__(self, address: Address) -> None:
        """Raises MissingExtra."""
        self.shown = address.shown
        self._server = PgServer(address)
        self._schema = address.name
        self._known: dict[str, Any] = {}

    def close(self) -> None:
        """See Writable."""
        self._server.close()

    # What is here

    def meta(self, key: str) -> Any:
        """See Writable."""
        if not self._server.rows(
            "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'settings'", [self._schema]
        ):
            return None
        found = self._server.rows(f"SELECT value FROM {self._schema}.settings WHERE key = %s", [key])
        return json.loads(found[0][0]) if found else None

    def files(self, below: str | None = None) -> list[StoredFile]:
        """See Writable."""
        where = "true" if below is None else "path = %s OR (path >= %s AND path < %s)"
        columns = "path, size, mtime, kind, language, title, passages"
        sql = f"SELECT {columns} FROM {self._schema}.files WHERE {where} ORDER BY path"
        return [StoredFile(*row) for row in self._server.rows(sql, () if below is None else inside(below))]

    def counts(self) -> dict[str, int]:
        """See Writable."""
        return {name: self._count(name) for name in ("files", "passages")}

    def size(self) -> int:
        """See Searched. Of very many passages it is an estimate."""
        return self._count("passages")

    def nearest(
        self, vector: FloatArray, k: int, wanted: Filter = EVERYTHING, *, exact: bool = False
    ) -> list[tuple[int, float]]:
        """See Searched."""
        where, values = condition(wanted)
        index = self._setting("index")
        names = {"schema": self._schema, "dim": self._setting("dim"), "where": where, "which": ""}
        if not wanted.is_open():
            names["which"] = f"WHERE p.file_id IN (SELECT f.id FROM {self._schema}.files f WHERE {where})"
        values |= {"query": self._half(vector), "k": k, "seen": max(SEEN[index], min(2 * k, _MOST_SEEN))}
        with self._server.transaction() as connection:
            if exact or (not wanted.is_open() and self._few(where, values)):
                sql = EXACT
            else:
                sql = NEAREST[index]
                connection.execute(SEEING, values)
            whole = f"WITH found AS MATERIALIZED ({sql.format(**names)}) SELECT * FROM found"
            rows = connection.execute(f"{whole} ORDER BY cosine DESC, id LIMIT %(k)s", values).fetchall()
        return [(int(row[0]), float(row[1])) for row in rows]

    def keyword(self, query: str, k: int, wanted: Filter = EVERYTHING) -> list[tuple[int, float]]:
        """See Searched."""
        return by_words(self._server, query, k, condition(wanted), self.size(), self._average())

    def passages(self, ids: Iterable[int]) -> list[StoredPassage]:
        """See Searched."""
        wanted = [int(i) for i in ids]
        found = {p.id: p for p in self._passages("p.id = ANY(%s)", wanted)}
        return [found[i] for i in wanted if i in found]

    def passages_of(self, path: str | os.PathLike[str]) -> list[StoredPassage]:
        """See Searched. A row is found by its name, a file from any folder."""
        for name in dict.fromkeys((os.fspath(path), os.path.abspath(path))):
            if found := self._passages("f.path = %s", name):
                return found
        return []

    def vectors(self, ids: Sequence[int]) -> tuple[Scales, Codes]:
        """See Searched."""
        wanted = [int(i) for i in ids]
        sql = f"SELECT id, embedding FROM {self._schema}.passages WHERE id = ANY(%s)"
        found = {row[0]: row[1].to_numpy() for row in self._server.rows(sql, [wanted])}
        rows = np.array([found[i] for i in wanted], np.float32).reshape(len(wanted), self._setting("dim"))
        codes, scales = quantise(rows)
        return scales, codes

    # Changes

    def prepare(self, made: dict[str, Any], model: str) -> None:
        """See Writable."""
        with self._server.transaction(alone=True) as connection:
            if stored := self.meta("fingerprint"):
                check(self.shown, stored, made)
                return
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            self._server.learn_types()
            self._check_version()
            connection.execute(TABLES.format(schema=self._schema, dim=int(made["dim"])))
            first = self._server.address.first
            settings = {"fingerprint": json.dumps(made), "dim": int(made["dim"]), "model": model, "index": first}
            sql = f"INSERT INTO {self._schema}.settings SELECT * FROM unnest(%s::text[], %s::text[])"
            connection.execute(sql, [list(settings), [json.dumps(value) for value in settings.values()]])

    def put(self, items: Iterable[Item]) -> None:
        """See Writable."""
        for batch in together(check_items(items, self._setting("dim"), self.shown)):
            with self._server.transaction(alone=True) as connection:
                self._put(connection, batch)

    def remove(self, paths: Iterable[str]) -> int:
        """See Writable."""
        with self._server.transaction(alone=True) as connection:
            sql = f"DELETE FROM {self._schema}.files WHERE path = ANY(%s)"
            return int(connection.execute(sql, [list(paths)]).rowcount)

    def finish(self) -> None:
        """See Writable. An index of a million passages takes minutes to build."""
        passages = int(self._server.rows(f"SELECT count(*) FROM {self._schema}.passages")[0][0])
        if passages >= INDEXED_FROM:
            try:
                self._build(passages, workers=2)
            except StoreError as error:
                if "shared memory" not in str(error):  # a container has little of it, and one worker needs none
                    raise
                self._build(passages, workers=0)
        with self._server.transaction() as connection:
            connection.execute(f"ANALYZE {self._schema}.files, {self._schema}.passages")

    def drop(self) -> None:
        """See Writable."""
        with self._server.transaction(alone=True) as connection:
            schema = self._schema
            connection.execute(f"DROP TABLE IF EXISTS {schema}.passages, {schema}.files, {schema}.settings")
        self._known.clear()

    # Inside

    def _count(self, table: str) -> int:
        sql = "SELECT reltuples FROM pg_class WHERE oid = %s::regclass"
        about = int(self._server.rows(sql, [f"{self._schema}.{table}"])[0][0])
        return (
            about if about >= COUNTED else int(self._server.rows(f"SELECT count(*) FROM {self._schema}.{table}")[0][0])
        )

    def _setting(self, key: str) -> Any:
        """What prepare() wrote, and nobody changes. Raises StoreNotFound before that."""
        if key not in self._known:
            found = self._server.rows(f"SELECT key, value FROM {self._schema}.settings")
            self._known = {name: json.loads(value) for name, value in found}
        return self._known[key]

    def _half(self, vector: FloatArray) -> Any:
        """A query as pgvector takes it. Raises InputError for one of another dimension."""
        from pgvector import HalfVector

        if vector.shape != ((dim := self._setting("dim")),):
            raise InputError(f"the query has the shape {vector.shape}; {self.shown} holds vectors of {dim} numbers")
        return HalfVector(vector)

    def _few(self, where: str, values: dict[str, Any]) -> bool:
        """Whether a filter lets through so few that each can be compared."""
        sql = (
            f"SELECT count(*) FROM (SELECT 1 FROM {self._schema}.passages p"
            f" JOIN {self._schema}.files f ON f.id = p.file_id WHERE {where} LIMIT {FEW + 1}) x"
        )
        return bool(self._server.rows(sql, values)[0][0] <= FEW)

    def _average(self) -> float:
        """Words of a passage, of the first some thousand."""
        sql = f"SELECT avg(length) FROM (SELECT length FROM {self._schema}.passages LIMIT 5000) x"
        return float(self._server.rows(sql)[0][0] or AVERAGE)

    def _passages(self, which: str, value: Any) -> list[StoredPassage]:
        sql = (
            "SELECT p.id, f.document, p.ord, p.title, p.text, p.first_line, p.last_line, p.page, f.kind, f.language,"
            f" ARRAY(SELECT g.path FROM {self._schema}.files g WHERE g.document = f.document ORDER BY g.path)"
            f" FROM {self._schema}.passages p JOIN {self._schema}.files f ON f.id = p.file_id"
            f" WHERE {which} ORDER BY f.path, p.ord"
        )
        found = self._server.rows(sql, [value])
        fields: list[list[Any]] = [[*row[:10], tuple(row[10])] for row in found]
        return [StoredPassage(*one) for one in fields]

    def _put(self, connection: Any, batch: list[Item]) -> None:
        """Write some files; those that were there under their paths go, with their passages."""
        from pgvector import HalfVector

        files = [item.file for item in batch]
        paths = [file.path for file in files]
        connection.execute(f"DELETE FROM {self._schema}.files WHERE path = ANY(%s)", [paths])
        columns: list[list[Any]] = [
            paths, [digest_of(item) for item in batch], [file.size for file in files], [file.mtime for file in files],
            [file.kind for file in files], [file.language for file in files], [_clean(file.title) for file in files],
            [file.passages for file in files],
        ]  # fmt: skip
        ids = dict(connection.execute(PUT_FILES.format(schema=self._schema), columns).fetchall())
        rows = []
        for item in batch:
            for ord_, (p, vector) in enumerate(zip(item.passages, item.vectors, strict=True)):
                found = tokens(f"{p.title or ''}\n{p.text}")
                place = (p.first_line, p.last_line, p.page, len(found), tsvector(found), HalfVector(vector))
                rows.append((ids[item.file.path], ord_, _clean(p.title), _clean(p.text), *place))
        if rows:
            connection.execute(
                PUT_PASSAGES.format(schema=self._schema), [list(column) for column in zip(*rows, strict=True)]
            )

    def _build(self, passages: int, workers: int) -> None:
        """Make the HNSW index, in memory if it may have so much."""
        kilobytes = min(_MOST_MEMORY, passages * (2 * self._setting("dim") + 600)) >> 10
        settings = {"maintenance_work_mem": f"{max(65536, kilobytes)}kB", "max_parallel_maintenance_workers": workers}
        with self._server.transaction(alone=True) as connection:
            for name, value in settings.items():
                connection.execute("SELECT set_config(%s, %s, true)", [name, str(value)])
            sql = INDEX[self._setting("index")]
            connection.execute(sql.format(schema=self._schema, dim=self._setting("dim")))

    def _check_version(self) -> None:
        version = str(self._server.rows("SELECT extversion FROM pg_extension WHERE extname = 'vector'")[0][0])
        if tuple(map(int, version.split(".")[:2])) < _VERSION:
            raise StoreError(
                f"{self.shown} has pgvector {version}: it takes 0.8 or later; ALTER EXTENSION vector UPDATE"
            )


def _clean(text: str | None) -> str | None:
    """PostgreSQL's text holds no NUL."""
    return text if text is None else text.replace("\0", "\ufffd")
