"""Files, folders, globs, addresses → the files to read, in a fixed order.   (inputs → Sources)"""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from gemlet.errors import InputError, MissingExtra
from gemlet.folders import shown

Kind = Literal["parquet", "jsonl", "csv", "tsv", "text"]

_KINDS: dict[str, Kind] = {
    ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".txt": "text",
}  # fmt: skip
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")


@dataclass(frozen=True)
class Source:
    """A file.

    path      absolute, or an address such as s3://bucket/key
    name      what messages and the output's `place` call it: as the caller spelled it
    kind      what its rows are, by its suffix: any other than those of tables is lines of text
    mtime_ns  0 where a file system does not tell
    """

    path: str
    name: str
    kind: Kind
    size: int
    mtime_ns: int


def pyarrow() -> Any:
    """The package. Raises MissingExtra."""
    try:
        import pyarrow
        import pyarrow.fs
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("table", "`gemlet bulk`") from None
    return pyarrow


def is_address(path: str) -> bool:
    """Whether a path is one of another file system than this machine's, such as s3://, gs://, hdfs://."""
    return re.match(r"[a-z][a-z0-9+.-]+://", path) is not None


def filesystem(path: str) -> tuple[Any, str]:
    """(pyarrow's file system, the path in it). Raises InputError for an address that pyarrow does not know."""
    fs = pyarrow().fs
    if not is_address(path):
        return fs.LocalFileSystem(), os.path.abspath(path)
    try:
        found: tuple[Any, str] = fs.FileSystem.from_uri(path)
    except (ValueError, OSError) as error:
        raise InputError(f"cannot open {path}: {_first_line(error)}") from None
    return found


def find_sources(inputs: Sequence[str]) -> list[Source]:
    """The files of every input: a file, a folder, a glob (** goes through folders), or an address of any of these.

    Of a folder, those whose suffix is of a table or a text. Each file once. Raises InputError for what is not there,
    matches nothing, or is "-" or a JSON array: what is to be resumed must be readable from any place on.
    """
    found: dict[str, Source] = {}
    for given in inputs:
        if given == "-":
            raise InputError("stdin cannot be read a second time from where a run stopped: write it to a file first")
        for source in _remote(given) if is_address(given) else _local(given):
            found.setdefault(source.path, source)
    return list(found.values())


def open_source(path: str, begin: int) -> Any:
    """A stream of a text file's bytes from `begin` on; of a compressed file, of the bytes in it. Raises OSError."""
    fs, inside = filesystem(path)
    if not path.lower().endswith(COMPRESSED):
        file = fs.open_input_file(inside)
        file.seek(begin)
        return file
    stream = fs.open_input_stream(inside)
    while begin:
        skipped = len(stream.read(min(begin, 1 << 22)))
        if not skipped:
            break
        begin -= skipped
    return stream


def _local(given: str) -> Iterator[Source]:
    path = os.path.expanduser(given)
    if os.path.isdir(path):
        paths = [p for p in sorted(glob.glob(os.path.join(glob.escape(path), "**"), recursive=True)) if _is_known(p)]
    elif os.path.exists(path):
        paths = [path]
    elif glob.has_magic(path):
        paths = sorted(p for p in glob.glob(path, recursive=True) if os.path.isfile(p))
    else:
        raise InputError(f"there is no {shown(given)}")
    if not paths:
        raise InputError(_nothing(given))
    for each in paths:
        try:
            stat = os.stat(each)
        except OSError as error:
            raise InputError(f"cannot read {shown(each)}: {error.strerror}") from None
        yield Source(os.path.abspath(each), shown(each), _kind(each), stat.st_size, stat.st_mtime_ns)


def _remote(given: str) -> Iterator[Source]:
    fs = pyarrow().fs
    scheme, _, rest = given.partition("://")
    query = rest.find("?") if scheme in ("s3", "gs", "hdfs", "abfs") else -1
    rest, options = (rest[:query], rest[query:]) if query >= 0 and "=" in rest[query:] else (rest, "")
    parts = rest.split("/")
    plain = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    place, inside = filesystem(f"{scheme}://{'/'.join(parts[:plain])}{options}")
    try:
        base = place.get_file_info(inside)
        if plain == len(parts) and base.type == fs.FileType.File:
            infos = [base]
        else:
            infos = place.get_file_info(fs.FileSelector(inside, recursive=True))
    except OSError as error:
        raise InputError(f"cannot list {given}: {_first_line(error)}") from None
    pattern = _regex(parts[plain:]) if plain < len(parts) else None
    beginning = inside.rstrip("/") + "/"
    found = [
        info
        for info in sorted(infos, key=lambda info: str(info.path))
        if info.type == fs.FileType.File
        and (pattern.fullmatch(info.path.removeprefix(beginning)) if pattern else info is base or _is_known(info.path))
    ]
    if not found:
        raise InputError(_nothing(given))
    for info in found:
        address = f"{scheme}://{'/'.join(parts[:plain])}".rstrip("/")
        address += "" if info is base else "/" + info.path.removeprefix(beginning)
        yield Source(address + options, address, _kind(info.path), info.size or 0, info.mtime_ns or 0)


def _regex(parts: list[str]) -> re.Pattern[str]:
    """A glob's parts: * and ? stay within one, ** is any number of them."""
    pieces = []
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if part == "**":
            pieces.append(".*" if last else "(?:.*/)?")
            continue
        piece = (
            re.escape(part)
            .replace(r"\*", "[^/]*")
            .replace(r"\?", "[^/]")
            .replace(r"\[", "[")
            .replace(r"\]", "]")
            .replace("[!", "[^")
        )
        pieces.append(piece + ("" if last else "/"))
    return re.compile("".join(pieces))


def _suffix(path: str) -> str:
    name = PurePosixPath(path.lower())
    return name.with_suffix("").suffix if name.suffix in COMPRESSED else name.suffix


def _is_known(path: str) -> bool:
    hidden = Path(path).name.startswith((".", "_"))
    return _suffix(path) in _KINDS and not hidden and (is_address(path) or not os.path.isdir(path))


def _kind(path: str) -> Kind:
    suffix = _suffix(path)
    if suffix == ".json":
        raise InputError(f"{shown(path)}: a JSON array cannot be read in parts: write it as JSON lines (.jsonl)")
    if suffix == ".parquet" and path.lower().endswith(COMPRESSED):
        raise InputError(f"{shown(path)}: a compressed Parquet file cannot be read in parts: unpack it first")
    return _KINDS.get(suffix, "text")


def _nothing(given: str) -> str:
    known = ", ".join(_KINDS)
    return f"{shown(given)} matches no file: quote a glob so that gemlet sees it; of a folder {known} are taken"


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0][:200]
