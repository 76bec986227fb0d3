"""The index as a reader sees it: passages by id, by word and by file.   (questions → rows)"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from gemlet.errors import StoreCorrupt
from gemlet.store.filters import EVERYTHING, Filter, condition, path_matcher
from gemlet.store.opened import Opened
from gemlet.store.rows import Codes, Ids, Root, Scales, StoredFile, StoredPassage
from gemlet.store.schema import guarded
from gemlet.store.words import beginnings, match_terms
from gemlet.vectors import FloatArray

if TYPE_CHECKING:
    from gemlet.scan import ScanFile

MANY = 500
"""Rows asked for in one statement."""

LARGE = 20_000
"""Passages from which on a word that is everywhere finds none by itself."""

_BLOCK = 4096
"""Vectors handed on together."""


class Store(Opened):
    """An index opened to read. Any number of processes may have it open, and any number of threads may use one Store.

    Every method raises StoreError when the file cannot be read, and StoreCorrupt when what it holds is damaged: each
    row has a checksum.
    """

    _scan: "ScanFile | None" = None
    _allowed: tuple[Filter, int, Ids] | None = None

    # What the index is

    def roots(self) -> list[str]:
        """The files and folders that were indexed, in order; `gemlet index` without arguments takes them again."""
        return [os.fsdecode(root.path) for root in self.root_settings()]

    def root_settings(self) -> list[Root]:
        """The same, with how each is walked."""
        rows = self._rows("SELECT path, hidden, follow, device FROM roots ORDER BY path")
        return [Root(path, bool(hidden), bool(follow), device) for path, hidden, follow, device in rows]

    def problems(self) -> list[tuple[str, str]]:
        """(path, reason) of each file that could not be read, in order; not of those that are no documents at all."""
        sql = "SELECT path, reason FROM problems WHERE reason <> '' ORDER BY path"
        return [(os.fsdecode(path), reason) for path, reason in self._rows(sql)]

    def size(self) -> int:
        """How many passages there are."""
        return int(self._rows("SELECT count(*) FROM passages")[0][0])

    def counts(self) -> dict[str, int]:
        """How many files, documents, passages and problems there are."""
        tables = ("files", "documents", "passages", "problems WHERE reason <> ''")
        return {table.split()[0]: self._rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables}

    def kinds(self) -> list[str]:
        """The kinds of documents that there are, in order: what a Filter may ask for."""
        return self._values("kind")

    def languages(self) -> list[str]:
        """The languages of code that there are, in order."""
        return self._values("language")

    def files(self, wanted: Filter = EVERYTHING) -> list[StoredFile]:
        """The files that pass the filter, in order."""
        where, values = condition(wanted)
        sql = (
            "SELECT f.path, f.document_id, f.size, f.mtime_ns, f.inode, f.settled, f.crc,"
            " d.kind, d.language, d.title, d.passages FROM files f JOIN documents d ON d.id = f.document_id"
            f" WHERE {where} ORDER BY f.path"
        )
        with self._snapshot():
            rows = self._filtered(wanted, sql, values)
            if wanted.is_open():
                self._check_files([row[0] for row in rows])
        return [StoredFile(self._path(row), row[2], row[3] / 1e9, *row[7:]) for row in rows]

    # Passages

    def passages(self, ids: Iterable[int]) -> list[StoredPassage]:
        """The passages with these ids, in the order asked for; one that has left the index meanwhile is left out."""
        wanted = [int(i) for i in ids]
        with self._snapshot():
            found = {p.id: p for p in self._passages("p.id IN", wanted)}
        return [found[i] for i in wanted if i in found]

    def passages_of(self, path: str | os.PathLike[str]) -> list[StoredPassage]:
        """A file's passages from first to last, or those of a row by its name; none when it is not in the index."""
        names = [os.fsencode(os.path.abspath(path)), os.fsencode(path)]
        with self._snapshot():
            sql = "SELECT document_id FROM files WHERE path IN (?, ?) LIMIT 1"
            documents = [row[0] for row in self._rows(sql, *names)]
            found = sorted(self._passages("p.document_id IN", documents), key=lambda p: p.ord)
            counts = [row[0] for document in documents for row in self._rows(_PASSAGES, document)]
        if documents and (not counts or [p.ord for p in found] != list(range(counts[0]))):
            raise StoreCorrupt(str(self.path), f"passages of document {documents[0]} are missing")
        return found

    def vectors(self, ids: Sequence[int]) -> tuple[Scales, Codes]:
        """(scales [n] float32, codes [n, dim] int8) of these passages, in this order. Raises KeyError."""
        found = {}
        for part in _parts([int(i) for i in ids]):
            sql = f"SELECT passage_id, document_id, scale, codes, crc FROM vectors WHERE passage_id IN ({_marks(part)})"
            found.update({row[0]: self._vector(row) for row in self._rows(sql, *part)})
        rows = [found[int(i)] for i in ids]
        codes = np.array([codes for _, codes in rows], np.int8)
        return np.array([scale for scale, _ in rows], np.float32), codes.reshape(len(rows), -1)

    # Searching

    def nearest(
        self, vector: FloatArray, k: int, wanted: Filter = EVERYTHING, *, exact: bool = False
    ) -> list[tuple[int, float]]:
        """The k passages closest to a unit vector [dim] float32: (passage id, cosine), best first.

        exact  compare all codes even in an index so large that bits are compared first
        """
        scan = self.scan()
        allowed = self.allowed(wanted)
        mask = None if allowed is None else np.isin(scan.ids, allowed, assume_unique=True)
        ids, cosines = scan.search(vector, k, mask, exact=exact)
        return list(zip(ids.tolist(), cosines.tolist(), strict=True))

    def keyword(
        self, query: str, k: int, wanted: Filter = EVERYTHING, *, title_weight: float = 1.0
    ) -> list[tuple[int, float]]:
        """The k best passages that hold any word of the query: (passage id, BM25, more is better), best first.

        In a large index a passage needs one of the query's rarer words, and the others count where it has one: to rank
        every passage that says "the" takes a large part of a second, and changes next to nothing.
        """
        expression = self._expression(match_terms(query)) if k > 0 else ""
        if not expression:
            return []
        allowed = self.allowed(wanted)
        passing = None if allowed is None else set(allowed.tolist())
        sql = (
            "SELECT rowid, -bm25(passages_fts, ?, 1.0) AS score FROM passages_fts WHERE passages_fts MATCH ?"
            " ORDER BY score DESC, rowid"
        )
        best: list[tuple[int, float]] = []
        with self._lock, guarded(self.path):
            cursor = self._connection.execute(sql, (title_weight, expression))
            while len(best) < k and (rows := cursor.fetchmany(max(MANY, k))):
                live = self._live([row[0] for row in rows]) if passing is None else passing
                best += [row for row in rows if row[0] in live]
            cursor.close()
        return best[:k]

    def allowed(self, wanted: Filter) -> Ids | None:
        """The ids of the passages that pass the filter, ascending: [n] int64; None when all do."""
        if wanted.is_open():
            return None
        generation = self.generation
        if self._allowed is not None and self._allowed[:2] == (wanted, generation):
            return self._allowed[2]  # a search asks twice, and a glob over all names takes its time
        where, values = condition(wanted)
        sql = (
            "SELECT id FROM passages WHERE document_id IN"
            f" (SELECT f.document_id FROM files f JOIN documents d ON d.id = f.document_id WHERE {where})"
        )
        ids = np.sort(np.array([row[0] for row in self._filtered(wanted, sql, values)], np.int64))
        self._allowed = (wanted, generation, ids)
        return ids

    def scan(self) -> "ScanFile":
        """The vectors as the engine scans them, as current as this moment: the cache beside the index, or made anew."""
        from gemlet.store.scanning import current_scan

        with self._lock:
            self._scan = current_scan(self.path, self._scan, self.generation, self._all_vectors)
            return self._scan

    # Inside

    @contextmanager
    def _all_vectors(self) -> Iterator[tuple[int, int, Iterator[tuple[Ids, Scales, Codes]]]]:
        """(generation, dim, blocks of vectors by ascending id) of one state of the index."""
        with self._snapshot():
            self._check_files([row[0] for row in self._rows("SELECT path, crc FROM files ORDER BY path")])
            self._check_count("files", self._rows("SELECT count(*) FROM files INDEXED BY files_document")[0][0])
            self._check_count("vectors", count := self._rows("SELECT count(*) FROM vectors")[0][0])
            if (dim := self.meta("dim")) is None and count:
                raise StoreCorrupt(str(self.path), "the setting `dim` is missing")
            yield self.generation, int(dim or 0), self._blocks()

    def _blocks(self) -> Iterator[tuple[Ids, Scales, Codes]]:
        """Of the passages whose document some file has; the others are read too, to see whether they are sound."""
        live = {row[0] for row in self._rows("SELECT document_id FROM files")}
        cursor = self._connection.execute(
            "SELECT passage_id, document_id, scale, codes, crc FROM vectors ORDER BY passage_id"
        )
        while rows := cursor.fetchmany(_BLOCK):
            found = [(row[0], *self._vector(row)) for row in rows]
            kept = [vector for row, vector in zip(rows, found, strict=True) if row[1] in live]
            if kept:
                ids, scales, codes = zip(*kept, strict=True)
                yield np.array(ids, np.int64), np.array(scales, np.float32), np.stack(codes)

    def _values(self, column: str) -> list[str]:
        sql = f"SELECT DISTINCT {column} FROM documents WHERE {column} IS NOT NULL ORDER BY 1"
        return [str(row[0]) for row in self._rows(sql)]

    def _filtered(self, wanted: Filter, sql: str, values: list[Any]) -> list[Any]:
        with self._lock:
            if wanted.path_glob is not None:
                self._connection.create_function("path_matches", 1, path_matcher(wanted.path_glob, wanted.names))
            return self._rows(sql, *values)

    def _expression(self, terms: list[str]) -> str:
        """Any of the terms, or of their other forms; in a large index, where a rarer one is: "" when there is none."""
        forms = beginnings(terms)
        many = int(self.meta("vectors") or 0)
        if many < LARGE or len(terms) < 2:
            return " OR ".join(terms + forms)
        most = min(many // 20, _RARE)
        found = {term: self._rows(_COUNT, term, most + 1)[0][0] for term in terms + forms}
        rare = [term for term in found if 0 < found[term] <= most]
        if not rare:
            counts = {term: self._rows(_COUNT, term, many)[0][0] for term in terms if found[term]}
            if not counts or (len(counts) < len(terms) and min(counts.values()) > many // 4):
                return ""
            rare = [min(counts, key=counts.__getitem__)]
        others = [term for term in terms if found[term] > most]
        return f"({' OR '.join(rare)}) AND ({' OR '.join(dict.fromkeys(rare + others))})"

    def _live(self, ids: list[int]) -> set[int]:
        """Those passages whose document some file still has."""
        return {
            row[0]
            for part in _parts(ids)
            for row in self._rows(
                f"SELECT id FROM passages WHERE id IN ({_marks(part)})"
                " AND document_id IN (SELECT document_id FROM files)",
                *part,
            )
        }

    def _passages(self, which: str, keys: list[int]) -> Iterator[StoredPassage]:
        for part in _parts(keys):
            sql = (
                "SELECT p.id, p.document_id, p.ord, p.title, p.text, p.first_line, p.last_line, p.page, p.key, p.crc,"
                " d.kind, d.language, d.hash, d.title, d.passages, d.crc"
                f" FROM passages p JOIN documents d ON d.id = p.document_id WHERE {which} ({_marks(part)})"
            )
            rows = self._rows(sql, *part)
            paths = self._paths(sorted({row[1] for row in rows}))
            for row in rows:
                self._check("passage", row[:10])
                self._check("document", (row[1], row[12], *row[10:12], *row[13:]))
                if row[1] in paths:
                    fields: list[Any] = [*row[:8], *row[10:12], paths[row[1]]]
                    yield StoredPassage(*fields)

    def _paths(self, documents: list[int]) -> dict[int, tuple[str, ...]]:
        """The files of each document."""
        found: dict[int, tuple[str, ...]] = {}
        for part in _parts(documents):
            sql = (
                "SELECT path, document_id, size, mtime_ns, inode, settled, crc FROM files"
                f" WHERE document_id IN ({_marks(part)}) ORDER BY path"
            )
            for row in self._rows(sql, *part):
                found[row[1]] = (*found.get(row[1], ()), self._path(row))
            counted = f"SELECT count(*) FROM files INDEXED BY files_document WHERE document_id IN ({_marks(part)})"
            if self._rows(counted, *part)[0][0] != sum(len(found.get(document, ())) for document in part):
                raise StoreCorrupt(str(self.path), "files of a passage are missing")
        return found

    def _path(self, row: Sequence[Any]) -> str:
        """The path of a row of files, whose first seven columns are the table's."""
        self._check("file", row[:7])
        return os.fsdecode(row[0])

    def _vector(self, row: Sequence[Any]) -> tuple[float, Codes]:
        """(scale, codes) of a row of vectors."""
        passage, document, scale, codes, crc = row
        self._check("vector", (passage, document, repr(scale), codes, crc))
        return scale, np.frombuffer(codes, np.int8)


_RARE = 10_000  # passages that have a rarer word, at the most
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM passages_fts WHERE passages_fts MATCH ? LIMIT ?)"
_PASSAGES = "SELECT passages FROM documents WHERE id = ?"


def _parts(keys: list[int]) -> Iterator[list[int]]:
    return (keys[begin : begin + MANY] for begin in range(0, len(keys), MANY))


def _marks(keys: list[int]) -> str:
    return ",".join("?" * len(keys))
