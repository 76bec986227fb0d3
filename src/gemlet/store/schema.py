"""The file itself: its tables, how it is opened, and what its errors mean.   (path → connection)"""

import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gemlet.errors import StoreCorrupt, StoreError, StoreNotFound
from gemlet.store.words import TOKENIZER, WORDS

APPLICATION_ID = 0x47454D4C  # "GEML"
SCHEMA = 100 + WORDS
COUNTED = ("files", "vectors")  # tables whose rows are counted in meta: damage can make rows vanish without a trace
BUSY_S = 60.0  # how long a writer waits for another: the longest transaction is one large document's

TABLES = f"""
CREATE TABLE meta(key TEXT PRIMARY KEY, value, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE roots(
    path BLOB PRIMARY KEY,                 -- a file or folder that somebody named
    hidden INTEGER NOT NULL, follow INTEGER NOT NULL,  -- how it is walked
    device INTEGER NOT NULL                -- that it lay on: an empty folder on another is a disk that is not there
) WITHOUT ROWID;
CREATE TABLE documents(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,             -- of the file's bytes and of what kind of file its name says
    kind TEXT NOT NULL, language TEXT, title TEXT,
    passages INTEGER NOT NULL,             -- how many there are: a document is here whole or not at all
    crc INTEGER NOT NULL
);
CREATE TABLE files(
    path BLOB PRIMARY KEY,                 -- absolute, the file system's own bytes
    document_id INTEGER NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    settled INTEGER NOT NULL,              -- 0: so new when it was read that its time may not tell of a later change
    crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX files_document ON files(document_id);
CREATE TABLE problems(
    path BLOB PRIMARY KEY, reason TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, settled INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE passages(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id INTEGER NOT NULL, ord INTEGER NOT NULL,
    title TEXT, text TEXT NOT NULL,
    first_line INTEGER NOT NULL, last_line INTEGER NOT NULL, page INTEGER,
    key INTEGER NOT NULL,                  -- hash of title and text: an equal passage has an equal vector
    crc INTEGER NOT NULL
);
CREATE UNIQUE INDEX passages_document ON passages(document_id, ord);
CREATE INDEX passages_key ON passages(key);
CREATE TABLE vectors(
    passage_id INTEGER PRIMARY KEY, document_id INTEGER NOT NULL,
    scale REAL NOT NULL, codes BLOB NOT NULL,   -- a number is its code, an int8, times the scale
    crc INTEGER NOT NULL
);
CREATE TABLE spare(                        -- vectors of a long document that is not complete yet: no search sees them
    digest BLOB PRIMARY KEY,               -- of title and text
    scale REAL NOT NULL, codes BLOB NOT NULL, crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE VIRTUAL TABLE passages_fts USING fts5(title, text, content='', tokenize="{TOKENIZER}");
"""


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open the index at `path`; with `write`, make it and its folder if they are not there.

    A reader opens the file for writing too where it may, as only then SQLite tidies up when it closes, and falls back
    to reading alone: in a read-only folder, or of a read-only file. Raises StoreError and its kin.
    """
    with guarded(path):
        if write:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"cannot make the folder {path.parent}: {error.strerror}; take another place with --index"
                ) from None
            return _prepared(_open(path, "mode=rwc"), path, write=True)
        with suppress(PermissionError):  # opening it will say so
            if not path.exists():
                raise StoreNotFound(str(path))
        return _open_to_read(path)


def _open_to_read(path: Path) -> sqlite3.Connection:
    for how in ("mode=rw", "mode=ro", "mode=ro&immutable=1"):
        if "immutable" in how and _size(path.with_name(path.name + "-wal")):
            raise StoreError(
                f"the index {path} has unfinished work beside it (-wal) in a folder that cannot be written: "
                "open it once where it can be, or copy both files to such a place"
            )
        connection = _open(path, how)
        try:
            return _prepared(connection, path, write=False)
        except sqlite3.OperationalError as error:
            connection.close()
            if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
    raise StoreError(f"cannot open the index {path}: it is not readable; look at its permissions")


def _open(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )


def _prepared(connection: sqlite3.Connection, path: Path, *, write: bool) -> sqlite3.Connection:
    """Set up and checked: whether it is ours, and of a version that this code reads; made when it is empty."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    found = connection.execute("PRAGMA application_id").fetchone()[0]  # after: both are made at one moment
    if write and not tables:
        _make(connection)
    elif not tables:  # somebody was about to make it
        connection.close()
        raise StoreNotFound(str(path))
    elif found != APPLICATION_ID:
        connection.close()
        raise StoreError(f"{path} is no gemlet index: name another file with --index")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA:
        connection.close()
        raise StoreError(
            f"the index {path} has format {version}, this gemlet reads {SCHEMA}: "
            "delete it and run `gemlet index` again, or use the gemlet that made it"
        )
    connection.execute("PRAGMA cache_size = -8000")
    connection.execute("PRAGMA temp_store = FILE")
    if write:
        connection.execute("PRAGMA synchronous = NORMAL")  # in WAL mode: a killed process loses nothing
    else:
        connection.execute("PRAGMA query_only = ON")
    return connection


def _make(connection: sqlite3.Connection) -> None:
    """Two processes may be here at once: the second finds the tables made."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in TABLES.split(";\n"):
                connection.execute(statement)
            # A random start: the vectors kept beside a deleted index are never taken for those of its successor.
            start = int.from_bytes(os.urandom(8)) >> 2
            for key, value in {"generation": start, **dict.fromkeys(COUNTED, 0)}.items():
                connection.execute("INSERT INTO meta VALUES (?, ?, ?)", (key, value, crc_of(key, value)))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction; after some errors, a full disk for one, SQLite itself has done so."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into gemlet's: one line that says what happened to which file and what to do."""
    try:
        yield
    except UnicodeDecodeError as error:  # SQLite quotes what it found, be it text or not
        raise StoreCorrupt(str(path), error.reason) from None
    except sqlite3.Error as error:
        code = _code(error)
        reason = str(error)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG) or "decode" in reason:
            raise StoreCorrupt(str(path), reason) from None
        raise StoreError(
            _CAUSES.get(code, "cannot use the index {path}: {reason}").format(path=path, reason=reason)
        ) from None


_KEPT = "what is in the index stays, and the same command goes on from there"
_CAUSES = {
    sqlite3.SQLITE_FULL: "no room left on the disk of the index {path}: make room; " + _KEPT,
    sqlite3.SQLITE_IOERR: "cannot read or write the index {path} ({reason}): is the disk full, or gone? " + _KEPT,
    sqlite3.SQLITE_READONLY: "cannot write the index {path}: look at its permissions, or take another with --index",
    sqlite3.SQLITE_CANTOPEN: "cannot open the index {path}: look at its permissions, or take another with --index",
    sqlite3.SQLITE_BUSY: "the index {path} has been busy for a minute: another process writes it; try again later",
}


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary code; 0 for what Python itself found."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def crc_of(*values: bytes | str | int | None) -> int:
    """Checksum of a row: SQLite sees damage to a page's structure, but not a changed byte within a value."""
    return zlib.crc32(b"\0".join(v if isinstance(v, bytes) else str(v).encode("utf-8", "replace") for v in values))
