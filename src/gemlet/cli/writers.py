"""Vectors → JSON lines or a .npy file, written as they come, whole or not at all."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from gemlet.cli.records import Record
from gemlet.errors import InputError


class Writer(Protocol):
    """Takes records and their vectors, chunk by chunk."""

    def write(self, records: Sequence[Record], vectors: Any) -> None:
        """Append one vector for each record."""


@contextlib.contextmanager
def open_writer(output: str) -> Iterator[Writer]:
    """Yield the writer for `output`: "-" is stdout, else the suffix decides.

    A file appears under its name when everything has been written and synced; until then it is a temporary beside it.
    Raises InputError for another suffix, or a folder that cannot be written.
    """
    if output == "-":
        yield JsonLines(sys.stdout.buffer)
        sys.stdout.flush()
        return
    kinds: dict[str, type[JsonLines] | type[Npy]] = {".jsonl": JsonLines, ".npy": Npy}
    path = Path(output)
    if path.suffix not in kinds:
        raise InputError(f"cannot tell what to write from {output!r}: name a .npy or .jsonl file")
    from gemlet.dataset import whole_file

    with whole_file(output) as file:
        writer = kinds[path.suffix](file)
        yield writer
        writer.finish()


class JsonLines:
    """One object a line: the record's own fields, then "embedding"; numbers as short as float32 allows."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, records: Sequence[Record], vectors: Any) -> None:
        """Append one line for each record."""
        for record, vector in zip(records, vectors, strict=True):
            head = json.dumps(record.row | {"embedding": None}, ensure_ascii=False)
            numbers = ", ".join(map(str, vector))
            line = f"{head.removesuffix('null}')}[{numbers}]}}\n"
            self._file.write(line.encode("utf-8", "replace"))

    def finish(self) -> None:
        """Nothing is left to do."""


class Npy:
    """A NumPy array [texts, dim]. Its header, as long for any count, is written again at the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._rows = 0
        self._like = np.empty((0, 0), np.float32)

    def write(self, records: Sequence[Record], vectors: Any) -> None:
        """Append the rows."""
        if not self._rows:
            self._like = vectors[:0]
            self._header()
        self._file.write(np.ascontiguousarray(vectors).tobytes())
        self._rows += len(vectors)

    def finish(self) -> None:
        """Write the header with the final count."""
        self._file.seek(0)
        self._header()

    def _header(self) -> None:
        header = np.lib.format.header_data_from_array_1_0(self._like)
        header["shape"] = (self._rows, *self._like.shape[1:])
        np.lib.format.write_array_header_1_0(self._file, header)
