"""A source → shards: which part of it makes which file of the output, the same on every run.   (Source → Shards)

A text file is read through once for that, some hundred times faster than it is embedded; of Parquet only the footer is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gemlet.bulk.lines import lines
from gemlet.bulk.sources import Source, filesystem, open_source, pyarrow
from gemlet.bulk.tables import Header, Records, check_encoding, skip_mark
from gemlet.errors import InputError

_READ = 1 << 22
_HEAD = 1 << 20


class Shard(NamedTuple):
    """A part of a source.

    source      its number
    part        number in its source
    begin, end  bytes of a text (of what is in it, if it is compressed), rows of Parquet
    first       1-based number of its first line or row
    rows        how many there are: of Parquet and tables rows, of other texts lines that are not empty
    """

    source: int
    part: int
    begin: int
    end: int
    first: int
    rows: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"part-{self.source:05}-{self.part:06}.parquet"


class BrokenSource(InputError):
    """A source, or a part of it, cannot be read."""


@dataclass(frozen=True)
class Part:
    """What the cutters yield: a Shard without its numbers."""

    begin: int
    end: int
    first: int
    rows: int


def cut(number: int, source: Source, rows: int) -> list[Shard]:
    """Cut a source into parts of at most `rows` rows or lines. Raises BrokenSource."""
    try:
        parts = list(_CUTTERS[source.kind](source, rows))
    except (OSError, pyarrow().ArrowException) as error:
        raise BrokenSource(f"cannot read {source.name}: {one_line(error)}") from None
    except InputError as error:
        raise BrokenSource(str(error)) from None
    return [Shard(number, i, part.begin, part.end, part.first, part.rows) for i, part in enumerate(parts)]


def open_parquet(source: Source) -> Any:
    """The file, read page by page. Raises OSError and ArrowException."""
    fs, inside = filesystem(source.path)
    file = fs.open_input_file(inside)
    return pyarrow().parquet.ParquetFile(file, buffer_size=_HEAD, pre_buffer=False)


def head_of(source: Source) -> bytes:
    """The first bytes of a text. Raises OSError."""
    with open_source(source.path, 0) as stream:
        return bytes(stream.read(_HEAD))


def one_line(error: BaseException) -> str:
    """What an error of the system or of pyarrow says."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).split("\n")[0][:200]


def _cut_parquet(source: Source, rows: int) -> Iterator[Part]:
    with open_parquet(source) as file:
        total = file.metadata.num_rows
    for begin in range(0, total, rows):
        end = min(begin + rows, total)
        yield Part(begin, end, begin + 1, end - begin)


def _cut_lines(source: Source, rows: int) -> Iterator[Part]:
    """Every `rows` lines; those that are empty count as lines, but not as rows."""
    head = head_of(source)
    check_encoding(head, source.name)
    begin = at = skip_mark(head)
    first, count, full, previous = 1, 0, 0, begin - 1
    with open_source(source.path, begin) as stream:
        while data := stream.read(_READ):
            feeds = at + np.flatnonzero(np.frombuffer(data, np.uint8) == 0x0A)
            empty = np.diff(feeds, prepend=previous) <= 1
            taken = 0
            while count + len(feeds) - taken >= rows:
                upto = taken + rows - count
                full += int((~empty[taken:upto]).sum())
                end = int(feeds[upto - 1]) + 1
                yield Part(begin, end, first, full)
                begin, first, count, full, taken = end, first + rows, 0, 0, upto
            count += len(feeds) - taken
            full += int((~empty[taken:]).sum())
            previous = int(feeds[-1]) if len(feeds) else previous
            at += len(data)
    if at > begin:
        yield Part(begin, at, first, full + (at > previous + 1))


def _cut_table(source: Source, rows: int) -> Iterator[Part]:
    header = Header(head_of(source), source.name, source.kind)
    begin = at = header.size
    first = line = header.lines + 1
    count = 0
    with open_source(source.path, begin) as stream:
        for record in Records(lines(stream), header.separator, source.name, line):
            at += record.size
            line += record.lines
            count += bool(record.cells)
            if count == rows:
                yield Part(begin, at, first, count)
                begin, first, count = at, line, 0
    if count:
        yield Part(begin, at, first, count)


_CUTTERS = {
    "parquet": _cut_parquet, "jsonl": _cut_lines, "text": _cut_lines, "csv": _cut_table, "tsv": _cut_table,
}  # fmt: skip
