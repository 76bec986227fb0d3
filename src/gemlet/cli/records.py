"""Arguments, lines, JSON lines and whole files → records."""

import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gemlet.errors import InputError


@dataclass(frozen=True)
class Record:
    """A text, its title if it has one, and the object that goes into the output beside the vector."""

    text: str
    title: str | None
    row: dict[str, Any]


def read_records(texts: Sequence[str], files: Sequence[str], *, whole: bool, field: str) -> Iterator[Record]:
    """Yield the texts of the arguments, then those of each file; stdin when there is neither.

    Raises InputError that names file and line for what is no text, and for a file that cannot be read.
    """
    if whole:
        return (_whole(path) for path in (*texts, *files))
    if not texts and not files:
        files = ("-",)
        if sys.stdin.isatty():
            click.echo("gemlet: reading texts from the terminal, one a line; Ctrl-D ends", err=True)
    return _stream(texts, files, field)


def _stream(texts: Sequence[str], files: Sequence[str], field: str) -> Iterator[Record]:
    for text in texts:
        yield Record(text, None, {"text": text})
    for path in files:
        for number, line in enumerate(_lines(path), 1):
            yield (
                _from_json(line, f"{path}:{number}", field)
                if _is_json(path, line)
                else Record(line, None, {"text": line})
            )


def _is_json(path: str, line: str) -> bool:
    return path.endswith(".jsonl") or (path == "-" and line.startswith(("{", '"')))


def _lines(path: str) -> Iterator[str]:
    """Lines without their ends; bytes that are no UTF-8 become U+FFFD."""
    try:
        raw = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    with io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="\n") as stream:
        for line in stream:
            yield line.rstrip("\r\n")


def _from_json(line: str, where: str, field: str) -> Record:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error}") from None
    if isinstance(row, str):
        return Record(row, None, {"text": row})
    if not isinstance(row, dict) or not isinstance(row.get(field), str):
        raise InputError(f"{where} has no text in {field!r}: name the field with --field")
    title = row.get("title")
    return Record(row[field], title if isinstance(title, str) else None, row)


def _whole(path: str) -> Record:
    try:
        text = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    return Record(text.decode("utf-8-sig", errors="replace"), None, {"file": path})
