"""The index as `gemlet index` sees it: what changed comes in, what is gone goes out.   (documents → rows)

A document enters whole, with its passages, vectors and words, in one transaction. One that no file has any more is
invisible at once and removed by collect(): until then a file that was moved finds it again.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

from gemlet.folders import Stamp
from gemlet.passages import Passage
from gemlet.store.rows import Entry, Root
from gemlet.store.schema import COUNTED, crc_of, guarded, roll_back
from gemlet.store.store import Store
from gemlet.store.words import words

_SEPARATOR = os.fsencode(os.sep)


class StoreWriter(Store):
    """An index opened to write, and made if there is none. One process writes at a time, see index.py; many may read.

    Changes go inside `with writer.transaction():`. Raises StoreError when the disk is full or the file cannot be
    written: what earlier transactions wrote stays.
    """

    _writes = True
    _changed = False
    _more: dict[str, int]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside, or nothing. Other threads that use this object wait."""
        with self._lock, guarded(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            self._changed = False
            self._more = dict.fromkeys(COUNTED, 0)
            try:
                yield
                if self._changed:
                    self._more["generation"] = 1
                for key, more in self._more.items():
                    if more:
                        self.set_meta(key, int(self.meta(key)) + more)
                self._connection.execute("COMMIT")
            except BaseException:
                roll_back(self._connection)
                raise

    def set_meta(self, key: str, value: str | int) -> None:
        """Remember a value under a key."""
        self._do("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", key, value, crc_of(key, value))

    def add_root(self, root: Root) -> None:
        """Remember that a file or folder was indexed, and how."""
        row = (root.path, int(root.hidden), int(root.follow), root.device)
        self._do("INSERT OR REPLACE INTO roots VALUES (?, ?, ?, ?)", *row)

    def drop_root(self, path: bytes) -> None:
        """Forget a root, and those that lie in it."""
        self._do(f"DELETE FROM roots WHERE {_BELOW}", *_below(path))

    def copy_to(self, other: "StoreWriter") -> None:
        """Make another index what this one is, in one transaction: its readers see the one or the other."""
        with self._lock, other._lock, guarded(other.path):
            self._connection.backup(other._connection)

    def write_scan(self) -> None:
        """Write the cache that searches scan, unless it is current; a disk without room for it is no error."""
        from gemlet.store.scanning import write_scan

        write_scan(self.path, self.generation, self._all_vectors)

    # Files that were found

    def begin_walk(self) -> None:
        """Forget what an earlier walk has seen."""
        self._do("CREATE TEMP TABLE IF NOT EXISTS seen(path BLOB PRIMARY KEY) WITHOUT ROWID")
        self._do("DELETE FROM temp.seen")

    def see(self, stamps: Sequence[Stamp]) -> tuple[int, list[Stamp]]:
        """Note that these files are there: (how many the walk had not met before, those new or perhaps changed)."""
        met, changed = 0, []
        with self._lock, guarded(self.path):
            for stamp in stamps:
                if not self._connection.execute("INSERT OR IGNORE INTO temp.seen VALUES (?)", (stamp.path,)).rowcount:
                    continue
                met += 1
                row = self._connection.execute(_KNOWN, (stamp.path, stamp.path)).fetchone()
                if row != (stamp.size, stamp.mtime_ns, stamp.inode, 1):
                    changed.append(stamp)
        return met, changed

    def document_of(self, path: bytes) -> int | None:
        """The document that the file had when it was last read; None when it is not in the index."""
        rows = self._rows("SELECT document_id FROM files WHERE path = ?", path)
        return int(rows[0][0]) if rows else None

    def met_below(self, root: bytes) -> bool:
        """Whether the walk met any file at or below a path."""
        return bool(self._rows(f"SELECT 1 FROM temp.seen WHERE {_BELOW} LIMIT 1", *_below(root)))

    def unseen(self, root: bytes, unlisted: Iterable[bytes] = ()) -> list[bytes]:
        """The files in `root` that the walk did not meet, but for those in `unlisted`, folders it could not list."""
        sql = (
            "SELECT path FROM (SELECT path FROM files UNION SELECT path FROM problems)"
            f" WHERE ({_BELOW}) AND path NOT IN (SELECT path FROM temp.seen) ORDER BY path"
        )
        found = [row[0] for row in self._rows(sql, *_below(root))]
        closed = list(unlisted)
        return [path for path in found if not any(is_below(path, folder) for folder in closed)]

    def below(self, root: bytes) -> list[bytes]:
        """The files in the index at or below a path, in order."""
        return [row[0] for row in self._rows(f"SELECT path FROM files WHERE {_BELOW} ORDER BY path", *_below(root))]

    # Changes

    def document_id(self, digest: bytes) -> int | None:
        """The document with this hash, if it is here."""
        rows = self._rows("SELECT id FROM documents WHERE hash = ?", digest)
        return int(rows[0][0]) if rows else None

    def other_files(self, document_id: int, path: bytes) -> list[bytes]:
        """The files that have this document, other than `path`."""
        return [
            r[0] for r in self._rows("SELECT path FROM files WHERE document_id = ? AND path <> ?", document_id, path)
        ]

    def known_vectors(self, passages: Sequence[Passage]) -> list[tuple[float, bytes] | None]:
        """For each passage the (scale, codes) of one with the same title and text, or None."""
        return [self._known_vector(passage) for passage in passages]

    def keep_vectors(self, vectors: Iterable[tuple[Passage, float, bytes]]) -> None:
        """Keep (passage, scale, codes) of a document that is not complete, for known_vectors() of a later run."""
        for passage, scale, codes in vectors:
            row = (_digest(passage, 16), scale, codes)
            self._do("INSERT OR REPLACE INTO spare VALUES (?, ?, ?, ?)", *row, crc_of(row[0], repr(scale), codes))

    def drop_kept_vectors(self) -> None:
        """Forget them: every document is complete."""
        self._do("DELETE FROM spare")

    def add_document(self, entry: Entry) -> int:
        """Put a document in, whole; returns its id. One with the same hash must not be there."""
        count = len(entry.passages)
        cursor = self._do(
            "INSERT INTO documents(hash, kind, language, title, passages, crc) VALUES (?, ?, ?, ?, ?, 0)",
            entry.hash, entry.kind, entry.language, entry.title, count,
        )  # fmt: skip
        document = int(cursor.lastrowid or 0)
        crc = crc_of(document, entry.hash, entry.kind, entry.language, entry.title, count)
        self._do("UPDATE documents SET crc = ? WHERE id = ?", crc, document)
        for ord_, passage in enumerate(entry.passages):
            self._add_passage(document, ord_, passage, float(entry.scales[ord_]), entry.codes[ord_].tobytes())
        self._changed = True
        return document

    def link(self, stamp: Stamp, document_id: int) -> None:
        """Say that a file has this document, instead of what it had."""
        row = (stamp.path, document_id, stamp.size, stamp.mtime_ns, stamp.inode, int(stamp.settled))
        self._more["files"] -= self._do("DELETE FROM files WHERE path = ?", stamp.path).rowcount
        self._more["files"] += self._do("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", *row, crc_of(*row)).rowcount
        self._do("DELETE FROM problems WHERE path = ?", stamp.path)
        self._changed = True

    def note_problem(self, stamp: Stamp, reason: str) -> None:
        """Say why a file cannot be read; a version of it that could be leaves with unlink()."""
        row = (stamp.path, reason, stamp.size, stamp.mtime_ns, stamp.inode, int(stamp.settled))
        self._do("INSERT OR REPLACE INTO problems VALUES (?, ?, ?, ?, ?, ?)", *row)

    def unlink(self, paths: Iterable[bytes]) -> int:
        """Take files out; returns how many of them were in. Their documents stay until collect()."""
        removed = 0
        for path in paths:
            removed += self._do("DELETE FROM files WHERE path = ?", path).rowcount
            self._do("DELETE FROM problems WHERE path = ?", path)
        self._more["files"] -= removed
        self._changed = self._changed or removed > 0
        return removed

    def unlink_below(self, path: bytes) -> int:
        """Take out a file, or all files of a folder; returns how many of them were in."""
        self._do(f"DELETE FROM problems WHERE {_BELOW}", *_below(path))
        removed = self._do(f"DELETE FROM files WHERE {_BELOW}", *_below(path)).rowcount
        self._more["files"] -= removed
        self._changed = self._changed or removed > 0
        return removed

    def orphans(self) -> list[int]:
        """The documents that no file has any more."""
        sql = "SELECT id FROM documents WHERE id NOT IN (SELECT document_id FROM files) ORDER BY id"
        return [row[0] for row in self._rows(sql)]

    def drop_document(self, document: int) -> None:
        """Remove a document whole: words, vectors, passages."""
        rows = self._rows("SELECT id, title, text FROM passages WHERE document_id = ?", document)
        for passage, title, text in rows:
            self._do(_FORGET_WORDS, passage, words(title or ""), words(text))
            self._more["vectors"] -= self._do("DELETE FROM vectors WHERE passage_id = ?", passage).rowcount
        self._do("DELETE FROM passages WHERE document_id = ?", document)
        self._do("DELETE FROM documents WHERE id = ?", document)
        self._changed = True

    # Inside

    def _add_passage(self, document: int, ord_: int, passage: Passage, scale: float, codes: bytes) -> None:
        key = _key(passage)
        place = (passage.first_line, passage.last_line, passage.page)
        cursor = self._do(
            "INSERT INTO passages(document_id, ord, title, text, first_line, last_line, page, key, crc)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
            document, ord_, passage.title, passage.text, *place, key,
        )  # fmt: skip
        row = int(cursor.lastrowid or 0)
        crc = crc_of(row, document, ord_, passage.title, passage.text, *place, key)
        self._do("UPDATE passages SET crc = ? WHERE id = ?", crc, row)
        vector = (row, document, scale, codes)
        self._do("INSERT INTO vectors VALUES (?, ?, ?, ?, ?)", *vector, crc_of(row, document, repr(scale), codes))
        self._more["vectors"] += 1
        self._do(
            "INSERT INTO passages_fts(rowid, title, text) VALUES (?, ?, ?)",
            row, words(passage.title or ""), words(passage.text),
        )  # fmt: skip

    def _known_vector(self, passage: Passage) -> tuple[float, bytes] | None:
        sql = (
            "SELECT v.passage_id, v.document_id, v.scale, v.codes, v.crc"
            " FROM passages p JOIN vectors v ON v.passage_id = p.id"
            " WHERE p.key = ? AND p.title IS ? AND p.text = ? LIMIT 1"
        )
        rows = self._rows(sql, _key(passage), passage.title, passage.text)
        if rows:
            scale, codes = self._vector(rows[0])
            return scale, codes.tobytes()
        for row in self._rows("SELECT digest, scale, codes, crc FROM spare WHERE digest = ?", _digest(passage, 16)):
            self._check("vector", (row[0], repr(row[1]), *row[2:]))
            return row[1], row[2]
        return None

    def _do(self, sql: str, *values: Any) -> sqlite3.Cursor:
        with self._lock, guarded(self.path):
            return self._connection.execute(sql, values)


_KNOWN = (
    "SELECT size, mtime_ns, inode, settled FROM files WHERE path = ?"
    " UNION ALL SELECT size, mtime_ns, inode, settled FROM problems WHERE path = ? LIMIT 1"
)
_FORGET_WORDS = "INSERT INTO passages_fts(passages_fts, rowid, title, text) VALUES ('delete', ?, ?, ?)"
_BELOW = "path = ? OR (path >= ? AND path < ?)"


def _below(path: bytes) -> tuple[bytes, bytes, bytes]:
    """Values for _BELOW: the path itself, and the range of what lies in it."""
    inside = path.rstrip(_SEPARATOR) + _SEPARATOR
    return path, inside, inside[:-1] + bytes([inside[-1] + 1])


def is_below(path: bytes, folder: bytes) -> bool:
    """Whether a path is the folder itself or lies in it."""
    same, begin, end = _below(folder)
    return path == same or begin <= path < end


def _key(passage: Passage) -> int:
    """Hash of title and text, as SQLite's integer."""
    return int.from_bytes(_digest(passage, 8), "big", signed=True)


def _digest(passage: Passage, size: int) -> bytes:
    title = "" if passage.title is None else f"t{passage.title}"
    return blake2b(f"{title}\0{passage.text}".encode(), digest_size=size).digest()
