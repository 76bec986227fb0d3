"""A shard's part of its source → blocks of rows with texts, and the rows that are none.   (Shard → Blocks)

What is read at once is a block: a part of a file of any size passes through memory in these.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from gemlet.bulk.columns import to_table
from gemlet.bulk.cutting import Shard, head_of, one_line, open_parquet
from gemlet.bulk.lines import LINE_BYTES, is_too_long, lines
from gemlet.bulk.settings import Job
from gemlet.bulk.sources import Source, open_source, pyarrow
from gemlet.bulk.tables import Header, Records
from gemlet.errors import GemletError, InputError
from gemlet.texts import as_texts

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 256
_BLOCK_BYTES = 1 << 20  # a block ends where its texts have as many, whatever the number of rows


class ReadError(GemletError):
    """A part of a source cannot be read; what was read before stands."""


class Bad(NamedTuple):
    """A row that gets no vector: where it stands, why, and what is known of it."""

    place: str
    reason: str
    row: Any


@dataclass
class Block:
    """Rows of one source.

    table   the columns that are read, a row for each text
    texts   and titles, places: one for each row
    bad     rows that are not in the table
    rows    of the source that this covers, as Shard.rows counts them
    fields  of JSON lines that the first rows did not have, with the number of rows that lost them
    """

    table: "pa.Table"
    texts: list[str]
    titles: list[str | None]
    places: list[str]
    bad: list[Bad]
    rows: int
    fields: dict[str, int] = field(default_factory=dict)


class _Found(NamedTuple):
    """A row as it was read: its place, its cells, or why it has none and how it begins."""

    place: str
    row: dict[str, Any]
    reason: str | None = None
    size: int = 0


def read_blocks(shard: Shard, job: Job) -> Iterator[Block]:
    """Yield the rows of a shard in order. Raises ReadError."""
    source = job.sources[shard.source]
    try:
        if source.kind == "parquet":
            yield from _parquet_blocks(shard, source, job)
        else:
            reader = _table_rows if source.kind in ("csv", "tsv") else _line_rows
            yield from _blocks(reader(shard, source, job), job)
    except (OSError, pyarrow().ArrowException) as error:
        raise ReadError(f"cannot read {part_of(shard, source)}: {one_line(error)}") from None
    except InputError as error:
        raise ReadError(str(error)) from None


def part_of(shard: Shard, source: Source) -> str:
    """How messages call the part of a source that a shard is made from."""
    if source.kind == "parquet":
        return f"{source.name}, rows {shard.first} to {shard.first + shard.rows - 1}"
    return f"{source.name} from line {shard.first} on"


def problem(text: Any, column: str) -> str | None:
    """Why a value is no text to embed; None: it is one."""
    if isinstance(text, str):
        return None if text.strip() else f"{column!r} is empty"
    return f"{column!r} is {json.dumps(text, default=str)[:60]}, no text"


def _line_rows(shard: Shard, source: Source, job: Job) -> Iterator[_Found | None]:
    """A row for each line that has one; None for a line of white space."""
    parse = _json_row if source.kind == "jsonl" else _text_row
    with open_source(source.path, shard.begin) as stream:
        for number, (line, size) in enumerate(lines(stream, shard.end - shard.begin), shard.first):
            place = f"{source.name}:{number}"
            if is_too_long(line, size):
                yield _Found(place, {}, f"the line has {size:,} bytes, the limit is {LINE_BYTES:,}")
            elif not line.strip():
                if line:
                    yield None
            else:
                try:
                    yield parse(line.rstrip(b"\r").decode("utf-8"), place, size)
                except UnicodeDecodeError as error:
                    shown = line[:1000].decode("utf-8", "replace")
                    yield _Found(place, {"line": shown}, f"is not UTF-8 at byte {error.start + 1}: convert the file")


def _text_row(line: str, place: str, size: int) -> _Found:
    return _Found(place, {"text": line}, None, size)


def _json_row(line: str, place: str, size: int) -> _Found:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _Found(place, {"line": line[:1000]}, f"is not JSON: {error}")
    if isinstance(value, str):
        return _Found(place, {"text": value}, None, size)
    if isinstance(value, dict):
        return _Found(place, value, None, size)
    return _Found(place, {"line": line[:1000]}, f"is neither an object nor a string, but a {type(value).__name__}")


def _table_rows(shard: Shard, source: Source, job: Job) -> Iterator[_Found]:
    header = Header(head_of(source), source.name, source.kind)
    names, line = header.names, shard.first
    with open_source(source.path, shard.begin) as stream:
        found = lines(stream, shard.end - shard.begin)
        for record in Records(found, header.separator, source.name, line):
            place, cells = f"{source.name}:{line}", record.cells
            line += record.lines
            if record.too_long:
                yield _Found(place, {}, f"the row has {record.size:,} bytes, the limit is {LINE_BYTES:,}")
            elif len(cells) > len(names):
                reason = f"has {len(cells)} cells, the first row names {len(names)}: is a quote missing?"
                yield _Found(place, {"cells": [_shown(cell) for cell in cells]}, reason)
            elif any(map(_is_broken, cells)):
                row = dict(zip(names, map(_shown, cells), strict=False))
                yield _Found(place, row, "is not UTF-8: convert the file")
            elif cells:
                cells = cells + [""] * (len(names) - len(cells))
                yield _Found(place, dict(zip(names, cells, strict=True)), None, record.size)


def _is_broken(cell: str) -> bool:
    return not cell.isascii() and any(0xDC80 <= ord(character) <= 0xDCFF for character in cell)


def _shown(cell: str) -> str:
    return cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:1000]


def _blocks(found: Iterator[_Found | None], job: Job) -> Iterator[Block]:
    part: list[_Found] = []
    rows = size = 0
    for row in found:
        rows += 1
        if row is not None:
            part.append(row)
            size += row.size
        if rows >= BLOCK_ROWS or size >= _BLOCK_BYTES:
            yield _block(part, rows, job)
            part, rows, size = [], 0, 0
    if rows:
        yield _block(part, rows, job)


def _block(part: list[_Found], rows: int, job: Job) -> Block:
    """Rows as dicts → a block: what is no text, or does not fit its column, is bad."""
    text, title = job.settings.text or "", job.settings.title
    reasons = [row.reason or problem(row.row.get(text), text) for row in part]
    good = [row for row, reason in zip(part, reasons, strict=True) if reason is None]
    table, misfits = to_table([row.row for row in good], job.schema)
    bad = {id(row): Bad(row.place, reason, row.row) for row, reason in zip(part, reasons, strict=True) if reason}
    bad |= {id(good[i]): Bad(good[i].place, reason, good[i].row) for i, reason in misfits.items()}
    kept = [row for i, row in enumerate(good) if i not in misfits]
    texts, _ = as_texts([row.row[text] for row in kept])
    titles = [_title(row.row.get(title)) if title else None for row in kept]
    ordered = [bad[id(row)] for row in part if id(row) in bad]
    fields: dict[str, int] = {}
    if job.settings.columns is None:
        known = {*job.schema.names, *job.settings.drop}
        for row in kept:
            for name in row.row.keys() - known:
                fields[name] = fields.get(name, 0) + 1
    return Block(table, texts, titles, [row.place for row in kept], ordered, rows, fields)


def _title(value: Any) -> str | None:
    return as_texts(value)[0][0] if isinstance(value, str) and value.strip() else None


def _parquet_blocks(shard: Shard, source: Source, job: Job) -> Iterator[Block]:
    pa = pyarrow()
    number = shard.begin
    with open_parquet(source) as file:
        names = [name for name in job.schema.names if name in file.schema_arrow.names]
        for batch in _row_range(file, names, shard.begin, shard.end):
            table = pa.Table.from_batches([batch])
            for name in job.schema.names:
                if name not in names:
                    table = table.append_column(name, pa.nulls(len(table), job.schema.field(name).type))
            table = table.select(job.schema.names).cast(job.schema)
            yield from _slices(table, number, source, job)
            number += len(table)


def _row_range(file: Any, names: list[str], begin: int, end: int) -> Iterator[Any]:
    """Batches of the rows [begin, end): groups of rows before it are not read, of one that it begins in the rest is."""
    groups: list[int] = []
    start = at = 0
    for number in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if at + rows > begin and at < end:
            start = at if not groups else start
            groups.append(number)
        at += rows
    at = start
    for batch in file.iter_batches(BLOCK_ROWS, row_groups=groups, columns=names):
        first, last = max(begin - at, 0), min(end - at, len(batch))
        if first < last:
            yield batch.slice(first, last - first)
        at += len(batch)
        if at >= end:
            return


def _slices(table: "pa.Table", number: int, source: Source, job: Job) -> Iterator[Block]:
    """A batch in blocks: one of long texts in several."""
    text, title = job.settings.text or "", job.settings.title
    values = [_value(cell) for cell in table.column(text)]
    titles = [_value(cell) for cell in table.column(title)] if title else [None] * len(table)
    begin = size = 0
    for i, value in enumerate(values, 1):
        size += len(value) if isinstance(value, str) else 0
        if size < _BLOCK_BYTES and i < len(values):
            continue
        places = [f"{source.name}, row {number + row + 1}" for row in range(begin, i)]
        reasons = [problem(value, text) for value in values[begin:i]]
        part = table.slice(begin, i - begin)
        bad = [
            Bad(places[row], reason, _as_dict(part.slice(row, 1)))
            for row, reason in enumerate(reasons)
            if reason is not None
        ]
        kept = [row for row, reason in enumerate(reasons) if reason is None]
        yield Block(
            part.take(kept) if bad else part,
            [values[begin + row] for row in kept],
            [_title(titles[begin + row]) for row in kept],
            [places[row] for row in kept],
            bad,
            i - begin,
        )
        begin, size = i, 0


def _value(cell: Any) -> Any:
    """What a cell holds; bytes where it says that it is a text and is no UTF-8."""
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return bytes(cell.as_buffer())


def _as_dict(row: "pa.Table") -> dict[str, Any]:
    return {name: _value(row.column(name)[0]) for name in row.column_names}
