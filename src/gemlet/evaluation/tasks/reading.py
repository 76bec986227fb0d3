"""Files of published data → rows; what is missing or broken is one line that says where and what was there."""

import csv
import gzip
import io
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gemlet.errors import InputError

_BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error, tarfile.TarError)


def data_of(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is a .gz."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: --data-dir has no such file of this data set") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if path.suffix != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except _BROKEN as error:
        raise InputError(f"{path} cannot be unpacked: {error}") from None


def text_of(path: Path) -> str:
    """The text of a file; a byte order mark is not part of it."""
    return _decoded(path, data_of(path))


def lines_of(path: Path) -> list[str]:
    """Lines, without their ends; only a line feed ends one, since texts hold other separators."""
    return _lines(text_of(path))


def members(path: Path) -> dict[str, bytes]:
    """The files of a tar archive: name → bytes."""
    if not path.exists():
        raise InputError(f"{path} is missing: --data-dir has no such file of this data set")
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if (file := archive.extractfile(member)) is not None:
                    found[member.name] = file.read()
    except _BROKEN as error:
        raise InputError(f"{path} cannot be unpacked: {error}") from None
    return found


def member_of(path: Path, files: dict[str, bytes], name: str) -> str:
    """The text of one file of members(path). Raises InputError where it is not there."""
    if name not in files:
        raise InputError(f"{path} has no file {name}")
    return _decoded(path / name, files[name])


def rows_of(path: Path, separator: str, columns: int, *, quoted: bool = True, header: bool = False) -> list[list[str]]:
    """Rows with at least `columns` columns; the line of the names is left out where there is a `header`."""
    return table(path, text_of(path), separator, columns, quoted=quoted, header=header)


def table(
    path: Path, text: str, separator: str, columns: int, *, quoted: bool = True, header: bool = False
) -> list[list[str]]:
    """rows_of() for the text of a file; `path` is what a complaint names."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    rows = []
    try:
        for row in reader:
            if row and len(row) < columns:
                raise InputError(
                    f"{path}, line {reader.line_num}: found {len(row)} columns, expected {columns} or more"
                )
            if row:
                rows.append(row)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from None
    return rows[1:] if header else rows


def named_rows(path: Path, separator: str, names: Sequence[str], *, quoted: bool = True) -> list[list[str]]:
    """The columns with these names, by the file's first line."""
    return named_table(path, text_of(path), separator, names, quoted=quoted)


def named_table(path: Path, text: str, separator: str, names: Sequence[str], *, quoted: bool = True) -> list[list[str]]:
    """named_rows() for the text of a file; `path` is what a complaint names."""
    rows = table(path, text, separator, 1, quoted=quoted)
    known = rows[0] if rows else []
    if absent := [name for name in names if name not in known]:
        raise InputError(f"{path} has no column {absent[0]!r}; found {', '.join(known) or 'nothing'}")
    places = [known.index(name) for name in names]
    full = table(path, text, separator, max(places) + 1, quoted=quoted, header=True)
    return [[row[place] for place in places] for row in full]


def number(path: Path, line: int, text: str) -> float:
    """A finite number. Raises InputError for anything else; the first line is 1."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise InputError(f"{path}, row {line}: {text!r} is no number")
    return value


def json_of(path: Path) -> Any:
    """What a JSON file holds."""
    try:
        return json.loads(text_of(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from None


def json_lines(path: Path, *names: str) -> Iterator[dict[str, Any]]:
    """Objects that have these names, one a line; empty lines do not count."""
    for place, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {place} is no JSON: {error}") from None
        yield fields(path, row, *names, line=place)


def fields(path: Path, row: Any, *names: str, line: int | None = None) -> dict[str, Any]:
    """The object, if it has these names. Raises InputError otherwise."""
    where = f"{path}, line {line}" if line else f"{path}"
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected an object, found {type(row).__name__}")
    for name in names:
        if name not in row:
            raise InputError(f"{where} has no {name!r}")
    return row


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: byte {error.start}") from None
