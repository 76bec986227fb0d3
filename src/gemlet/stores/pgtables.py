"""What lies in PostgreSQL: the tables, and conditions over them.   (SQL)"""

import os
import re
from typing import Any

from gemlet.errors import InputError
from gemlet.store import Filter
from gemlet.store.filters import path_pattern

FEW = 20_000
"""Passages up to which all that a filter lets through are compared, and no index is asked."""

INDEXED_FROM = 10_000
"""Passages from which finish() makes an index: fewer are compared one by one in some 10 ms."""

# A vector stays in its row (PLAIN): moved out of it, as PostgreSQL would, each comparison costs a second look-up.
TABLES = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE {schema}.settings(key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE {schema}.files(
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path text COLLATE "C" NOT NULL UNIQUE,
    document bigint NOT NULL,              -- a hash of what is in it: two files that hold the same have the same
    size bigint NOT NULL, mtime double precision NOT NULL,
    kind text NOT NULL, language text, title text, passages integer NOT NULL
);
CREATE INDEX files_document ON {schema}.files(document);
CREATE TABLE {schema}.passages(
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file_id bigint NOT NULL REFERENCES {schema}.files ON DELETE CASCADE,
    ord integer NOT NULL,
    title text, text text NOT NULL,
    first_line integer NOT NULL, last_line integer NOT NULL, page integer,
    length integer NOT NULL,               -- in words
    words tsvector NOT NULL,
    embedding halfvec({dim}) NOT NULL,
    UNIQUE (file_id, ord)
);
ALTER TABLE {schema}.passages ALTER COLUMN embedding SET STORAGE PLAIN;
CREATE INDEX passages_words ON {schema}.passages USING gin(words);
"""

INDEX = {
    "halfvec": "CREATE INDEX IF NOT EXISTS passages_embedding ON {schema}.passages"
    " USING hnsw (embedding halfvec_ip_ops)",
    "bit": "CREATE INDEX IF NOT EXISTS passages_embedding ON {schema}.passages"
    " USING hnsw ((binary_quantize(embedding)::bit({dim})) bit_hamming_ops)",
}

# The index gives the nearest almost in order (relaxed_order), so that they are put in order again.
NEAREST = {
    "halfvec": "SELECT p.id, -(p.embedding <#> %(query)s) AS cosine FROM {schema}.passages p {which}"
    " ORDER BY p.embedding <#> %(query)s LIMIT %(seen)s",
    "bit": "SELECT id, -(embedding <#> %(query)s) AS cosine FROM (SELECT p.id, p.embedding FROM {schema}.passages p"
    " {which} ORDER BY binary_quantize(p.embedding)::bit({dim}) <~> binary_quantize(%(query)s)::bit({dim})"
    " LIMIT %(seen)s) x",
}
EXACT = (
    "SELECT p.id, -(p.embedding <#> %(query)s) AS cosine FROM {schema}.passages p"
    " JOIN {schema}.files f ON f.id = p.file_id WHERE {where}"
)
SEEN = {"halfvec": 400, "bit": 1000}
"""Candidates that the index is asked for, at the least: pgvector's ef_search, which is 1000 at the most."""

SEEING = (
    "SELECT set_config('hnsw.ef_search', (%(seen)s)::text, true),"
    " set_config('hnsw.iterative_scan', 'relaxed_order', true)"
)
PUT_FILES = (
    "INSERT INTO {schema}.files(path, document, size, mtime, kind, language, title, passages)"
    " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::float8[], %s::text[], %s::text[], %s::text[],"
    " %s::int[]) RETURNING path, id"
)
PUT_PASSAGES = (
    "INSERT INTO {schema}.passages(file_id, ord, title, text, first_line, last_line, page, length, words, embedding)"
    " SELECT a, b, c, d, e, f, g, h, i::tsvector, j FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::text[],"
    " %s::int[], %s::int[], %s::int[], %s::int[], %s::text[], %b::halfvec[]) AS x(a, b, c, d, e, f, g, h, i, j)"
)

_NAMED = re.compile(r"\(\?P<\w+>")


def condition(wanted: Filter) -> tuple[str, dict[str, Any]]:
    """An SQL condition over files f, and its values. The database itself holds paths against the glob."""
    if wanted.names is not None:
        raise InputError("a store in a database has no names for files: leave `names` out")
    parts: list[str] = []
    values: dict[str, Any] = {}
    for column, allowed in (("kind", wanted.kinds), ("language", wanted.languages)):
        if allowed:
            parts.append(f"f.{column} = ANY(%({column})s)")
            values[column] = list(allowed)
    for operator, name, seconds in ((">=", "after", wanted.after), ("<", "before", wanted.before)):
        if seconds is not None:
            parts.append(f"f.mtime {operator} %({name})s")
            values[name] = seconds
    if wanted.path_glob is not None:
        expression = path_pattern(wanted.path_glob)
        parts.append("ltrim(f.path, '/') ~ %(glob)s" if expression else "false")
        values["glob"] = _NAMED.sub("(?:", expression or "")
    return " AND ".join(parts) or "true", values


def inside(path: str) -> tuple[str, str, str]:
    """Values of "path = %s OR (path >= %s AND path < %s)": a path itself, and the range of what lies in it."""
    begin = path.rstrip(os.sep) + os.sep
    return path, begin, begin[:-1] + chr(ord(begin[-1]) + 1)
