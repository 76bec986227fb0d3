"""A shard's part of its source → blocks of rows with texts, and the rows that are none.   (Shard → Blocks)

What is read at once is a block: a part of a file of any size passes through memory in these.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from gemlet.bulk.block import BLOCK_BYTES, BLOCK_ROWS, Bad, Block, problem, title_of
from gemlet.bulk.columns import to_table
from gemlet.bulk.cutting import Shard, head_of, one_line
from gemlet.bulk.lines import LINE_BYTES, is_too_long, lines
from gemlet.bulk.parquet import parquet_blocks
from gemlet.bulk.settings import Job
from gemlet.bulk.sources import Source, open_source, pyarrow
from gemlet.bulk.tables import Header, Records
from gemlet.errors import GemletError, InputError
from gemlet.texts import as_texts


class ReadError(GemletError):
    """A part of a source cannot be read; what was read before stands."""


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
            yield from parquet_blocks(shard, source, job)
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
        if rows >= BLOCK_ROWS or size >= BLOCK_BYTES:
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
    titles = [title_of(row.row.get(title)) if title else None for row in kept]
    ordered = [bad[id(row)] for row in part if id(row) in bad]
    fields: dict[str, int] = {}
    if job.settings.columns is None:
        known = {*job.schema.names, *job.settings.drop}
        for row in kept:
            for name in row.row.keys() - known:
                fields[name] = fields.get(name, 0) + 1
    return Block(table, texts, titles, [row.place for row in kept], ordered, rows, fields)
