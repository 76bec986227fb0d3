"""CSV and TSV as a stream: records with the bytes that they take, so that a later reader can begin at any.

What a record is, is decided here alone: whoever cuts a file and whoever reads a part of it see the same rows.
"""

import csv
from collections.abc import Iterator
from typing import Any

from gemlet.bulk.lines import LINE_BYTES, is_too_long, lines
from gemlet.dataset.reading import separator_in, tab_separated_cells
from gemlet.errors import InputError

_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_HEAD = 20_000


class Header:
    """The first row of a table, which names its columns.

    names      of the columns
    separator  between cells
    size       bytes that it takes; `lines` of the file that it takes
    """

    def __init__(self, head: bytes, name: str, kind: str) -> None:
        """head: the file's first bytes. Raises InputError for no or doubled names, and for UTF-16."""
        check_encoding(head, name)
        mark = len(_BOM) if head.startswith(_BOM) else 0
        text = head[mark:].decode("utf-8", "surrogateescape")
        self.separator = "\t" if kind == "tsv" else separator_in(text.replace("\r\n", "\n")[:_HEAD])
        records = Records([(line, size) for line, size in lines(_Bytes(head[mark:]))], self.separator, name)
        first = next(iter(records), None)
        if first is None or not any(cell.strip() for cell in first.cells):
            raise InputError(f"{name} has no first row that names its columns")
        self.names = [cell.strip() for cell in first.cells]
        self.size, self.lines = mark + first.size, first.lines
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise InputError(f"{name}: two columns are called {twice!r} in its first row, which must name them")


class Record:
    """Cells of a row; the bytes and lines of the file that it takes; whether it is too long to be read."""

    __slots__ = ("cells", "lines", "size", "too_long")

    def __init__(self, cells: list[str], size: int, lines: int, too_long: bool) -> None:
        self.cells, self.size, self.lines, self.too_long = cells, size, lines, too_long


class Records:
    """Iterate over the records of a run of lines. Bytes that are no UTF-8 come as lone surrogates."""

    def __init__(self, found: Any, separator: str, name: str, line: int = 1) -> None:
        """found: what lines() yields, from the beginning of a record on, which stands in `line` of the file."""
        self._lines, self._separator, self._name, self._line = iter(found), separator, name, line
        self._size = self._count = 0
        self._too_long = False

    def __iter__(self) -> Iterator[Record]:
        """Raises InputError for a record that never ends."""
        if self._separator == "\t":
            for text in self._texts():
                yield self._record(tab_separated_cells(text.rstrip("\r\n")) if text.strip("\r\n") else [])
            return
        reader = csv.reader(self._texts(), delimiter=self._separator, strict=True)
        while True:
            limit = csv.field_size_limit(LINE_BYTES)  # the process has one, and other readers rely on theirs
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise InputError(
                    f"{self._name}:{self._line} is no row of a table: {error}: is a quote missing?"
                ) from None
            finally:
                csv.field_size_limit(limit)
            if cells is None:
                return
            yield self._record(cells)

    def _texts(self) -> Iterator[str]:
        for line, size in self._lines:
            self._size += size
            self._count += 1
            self._too_long |= is_too_long(line, size)
            yield ("" if is_too_long(line, size) else line.decode("utf-8", "surrogateescape")) + "\n"

    def _record(self, cells: list[str]) -> Record:
        record = Record(cells, self._size, self._count, self._too_long)
        self._line += self._count
        self._size = self._count = 0
        self._too_long = False
        return record


def check_encoding(head: bytes, name: str) -> None:
    """Raise InputError for a text in UTF-16, by the mark that it begins with."""
    if head.startswith(_WIDE):
        raise InputError(f"{name} is UTF-16, which is not read in parts: write it as UTF-8")


def skip_mark(head: bytes) -> int:
    """Bytes of the mark that a text in UTF-8 may begin with."""
    return len(_BOM) if head.startswith(_BOM) else 0


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data
