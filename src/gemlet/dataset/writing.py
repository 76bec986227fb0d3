"""Rows → CSV, TSV, JSON, JSON lines or Parquet, whole or not at all."""

import contextlib
import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from gemlet.errors import InputError, MissingExtra


class Rows(Protocol):
    """Takes rows, one after the other."""

    def write(self, row: dict[str, Any]) -> None:
        """Append one; a column that it lacks is empty."""


@contextlib.contextmanager
def open_rows(output: str, columns: Sequence[str]) -> Iterator[Rows]:
    """Yield what writes rows to `output`: its suffix says how, and "-" is JSON lines on stdout.

    columns  the names, in order; JSON and JSON lines take whatever a row has

    Raises InputError for another suffix or a folder that cannot be written, MissingExtra for .parquet.
    """
    if output == "-":
        yield _JsonLines(sys.stdout.buffer)
        sys.stdout.flush()
        return
    kind = _KINDS.get(Path(output).suffix.lower())
    if kind is None:
        raise InputError(f"cannot tell what to write from {output!r}: name a {', '.join(_KINDS)} file")
    with whole_file(output) as file:
        writer = kind(file, columns)
        yield writer
        writer.finish()


@contextlib.contextmanager
def whole_file(output: str) -> Iterator[IO[bytes]]:
    """Yield a file that appears under its name when everything has been written and synced, or not at all.

    Until then it is a temporary beside it. Raises InputError for a folder that cannot be written.
    """
    path = Path(output)
    try:
        file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror}") from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(file.name, 0o666 & ~_umask())
        os.replace(file.name, path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise


class _JsonLines:
    def __init__(self, file: IO[bytes], columns: Sequence[str] = ()) -> None:
        self._file = file

    def write(self, row: dict[str, Any]) -> None:
        self._file.write((_as_json(row) + "\n").encode("utf-8", "replace"))

    def finish(self) -> None:
        """Nothing is left to do."""


class _Json(_JsonLines):
    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        super().__init__(file)
        self._rows = 0

    def write(self, row: dict[str, Any]) -> None:
        self._file.write((("[\n" if self._rows == 0 else ",\n") + _as_json(row)).encode("utf-8", "replace"))
        self._rows += 1

    def finish(self) -> None:
        self._file.write(b"\n]\n" if self._rows else b"[]\n")


class _Csv:
    separator = ","

    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        self._file, self._columns = file, list(columns)
        self._line(self._columns)

    def write(self, row: dict[str, Any]) -> None:
        self._line([_cell(row.get(column)) for column in self._columns])

    def finish(self) -> None:
        """Nothing is left to do."""

    def _line(self, cells: list[str]) -> None:
        line = io.StringIO(newline="")
        csv.writer(line, delimiter=self.separator, lineterminator="\n").writerow(cells)
        self._file.write(line.getvalue().encode("utf-8", "replace"))


class _Tsv(_Csv):
    separator = "\t"


class _Parquet:
    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        try:
            import pyarrow.parquet  # noqa: F401 - before there is anything to lose
        except ImportError:
            raise MissingExtra("table", "Parquet") from None
        self._file, self._columns = file, list(columns)
        self._rows: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)

    def finish(self) -> None:
        import pyarrow
        import pyarrow.parquet

        columns = {name: [row.get(name) for row in self._rows] for name in self._columns}
        try:
            table = pyarrow.table(columns)
        except pyarrow.ArrowException as error:
            raise InputError(f"these rows are no Parquet table: {str(error).splitlines()[0]}") from None
        pyarrow.parquet.write_table(table, self._file)


_KINDS: dict[str, Any] = {
    ".csv": _Csv,
    ".tsv": _Tsv,
    ".jsonl": _JsonLines,
    ".ndjson": _JsonLines,
    ".json": _Json,
    ".parquet": _Parquet,
}


def _as_json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, default=str)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else "|".join(map(str, value)) if isinstance(value, list) else str(value)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
