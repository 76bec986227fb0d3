"""CSV, TSV, JSON, JSON lines, Parquet, lines of text, folders → Dataset."""

import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gemlet.dataset.dataset import Dataset
from gemlet.documents import read_document
from gemlet.documents.decoding import decode
from gemlet.documents.document import Unreadable
from gemlet.documents.tables import SEPARATORS, separator_of
from gemlet.errors import InputError, MissingExtra, UnreadableDocument
from gemlet.folders import Walk, shown

Found = tuple[dict[str, Any], str]  # a row and its place


def read_dataset(paths: Sequence[str | os.PathLike[str]]) -> Dataset:
    """Read the rows of every path, one after the other.

    paths  a file's suffix says what it is: .csv and .tsv with a first row of names; .json, an array of objects or
           strings; .jsonl or .ndjson, one a line; .parquet (extra `table`); any other: each line that is not blank is a
           row with a `text`. A folder has a row for each file of it that can be read: `path`, `folder` (the
           first below it, "" for none), `text`. "-" is stdin: JSON lines, or lines of text

    Raises InputError for what is not there, not readable, not what its suffix says, or has no row.
    """
    columns: dict[str, None] = {}
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    skipped: list[tuple[str, str]] = []
    for path in [os.fspath(path) for path in paths]:
        for row, place in _read(path, columns, skipped):
            columns.update(dict.fromkeys(row))
            rows.append(row)
            places.append(place)
    if not rows:
        reason = f" ({skipped[0][0]} {skipped[0][1]})" if skipped else ""
        raise InputError(f"{', '.join(shown(os.fspath(path)) for path in paths)}: there is no row in it{reason}")
    return Dataset(list(columns), rows, places, skipped)


def _read(path: str, columns: dict[str, None], skipped: list[tuple[str, str]]) -> Iterator[Found]:
    if path == "-":
        text = _decoded(sys.stdin.buffer.read(), path)
        return _json_lines(text, path) if text.lstrip().startswith(("{", '"')) else _text_lines(text, path)
    if os.path.isdir(path):
        return _folder(path, skipped)
    suffix = Path(path).suffix.lower()
    if suffix == ".parquet":
        return _parquet(path, columns)
    try:
        text = _decoded(Path(path).read_bytes(), path)
    except OSError as error:
        raise InputError(f"cannot read {shown(path)}: {error.strerror}") from None
    if suffix in (".csv", ".tsv"):
        return _table(text, path, columns, "\t" if suffix == ".tsv" else "")
    if suffix == ".json":
        return _json_array(text, path)
    return _json_lines(text, path) if suffix in (".jsonl", ".ndjson") else _text_lines(text, path)


def _decoded(data: bytes, path: str) -> str:
    try:
        return decode(data)
    except Unreadable as error:
        raise InputError(f"{shown(path)} {error}") from None


def _text_lines(text: str, path: str) -> Iterator[Found]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield {"text": line}, f"{shown(path)}:{number}"


def _json_lines(text: str, path: str) -> Iterator[Found]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"{shown(path)}:{number}"
            yield _object(_parsed(line, place), place), place


def _json_array(text: str, path: str) -> Iterator[Found]:
    found = _parsed(text, shown(path))
    if not isinstance(found, list):
        raise InputError(f"{shown(path)} is no JSON array of rows, but a {type(found).__name__}")
    for number, value in enumerate(found, 1):
        place = f"{shown(path)}, row {number}"
        yield _object(value, place), place


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is not JSON: {error}") from None


def _object(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, dict):
        return value
    raise InputError(f"{place} is neither an object nor a string, but a {type(value).__name__}")


def _table(text: str, path: str, columns: dict[str, None], separator: str) -> Iterator[Found]:
    """Rows below a row of names."""
    limit = csv.field_size_limit(len(text) + 1)
    try:
        rows = _tab_separated(text) if separator == "\t" else None
        rows = rows or list(_cells(text, separator or separator_in(text)))
    except csv.Error as error:
        raise InputError(f"{shown(path)} is no table: {error}") from None
    finally:
        csv.field_size_limit(limit)
    if not rows:
        return
    (_, names), *rest = rows
    names = [name.strip() for name in names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{shown(path)}: two columns are called {twice!r} in its first row, which must name them")
    columns.update(dict.fromkeys(names))
    for line, cells in rest:
        place = f"{shown(path)}:{line}"
        if len(cells) > len(names):
            raise InputError(f"{place} has {len(cells)} cells, the first row names {len(names)}: is a quote missing?")
        yield dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=True)), place


def _cells(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row that has any."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    for cells in reader:
        if cells:
            yield line, cells
        line = reader.line_num + 1


def _tab_separated(text: str) -> list[tuple[int, list[str]]] | None:
    """The same where every line is a row, as most writers of TSV have it: quotes that do not match are characters."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line]
    if len({line.count("\t") for _, line in lines}) != 1:
        return None
    return [(number, tab_separated_cells(line)) for number, line in lines]


def tab_separated_cells(line: str) -> list[str]:
    """The cells of one line of TSV; quotes go where they enclose whole cells."""
    plain = line.split("\t")
    if '"' not in line:
        return plain
    try:
        quoted = next(_cells(line, "\t"))[1]
    except csv.Error:
        return plain
    return quoted if len(quoted) == len(plain) else plain


def separator_in(text: str) -> str:
    """One that the first row has; a file of one column has none."""
    names = text.split("\n", 1)[0]
    return separator_of(text) if any(mark in names for mark in SEPARATORS) else "\x1f"


def _parquet(path: str, columns: dict[str, None]) -> Iterator[Found]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("table", "Parquet") from None
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"cannot read {shown(path)}: {reason}") from None
    columns.update(dict.fromkeys(table.column_names))
    number = 0
    for batch in table.to_batches(max_chunksize=10_000):
        for row in batch.to_pylist():
            number += 1
            yield row, f"{shown(path)}, row {number}"


def _folder(path: str, skipped: list[tuple[str, str]]) -> Iterator[Found]:
    root = os.path.abspath(path)
    walk = Walk(root)
    for stamp in walk.stamps():
        inside = os.path.relpath(os.fsdecode(stamp.path), root)
        try:
            document = read_document(Path(os.fsdecode(stamp.path)))
        except UnreadableDocument as error:
            skipped.append((shown(inside), error.reason))
            continue
        text = "\n\n".join(block.text for block in document.blocks)
        first, *below = Path(inside).parts
        yield {"path": shown(inside), "folder": first if below else "", "text": text}, shown(inside)
    skipped += [(shown(folder), reason) for folder, reason in walk.unlisted]
