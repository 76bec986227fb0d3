"""The cache that the engine scans, beside the index and as current as it.   (vectors → ScanFile)"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from gemlet.errors import StoreError
from gemlet.scan import ScanFile
from gemlet.store.rows import Codes, Ids, Scales

Vectors = AbstractContextManager[tuple[int, int, Iterator[tuple[Ids, Scales, Codes]]]]


def scan_path(index: Path) -> Path:
    """Where the cache of an index lies. It may be deleted: the next search writes it again."""
    return index.with_name(index.name + ".scan")


def current_scan(index: Path, held: ScanFile | None, generation: int, vectors: Callable[[], Vectors]) -> ScanFile:
    """The scan of this generation: what is held, or the file beside the index, or a new one made from `vectors`.

    Where the folder cannot be written the file is made in the system's temporary folder, for this process alone.
    Raises StoreError when there is no room there either.
    """
    if held is not None and held.generation == generation:
        return held
    path = scan_path(index)
    found = ScanFile.open(path)
    if found is not None and found.generation == generation:
        return found
    try:
        return _made(path, vectors)
    except OSError:
        return _made_elsewhere(index, vectors)


def write_scan(index: Path, generation: int, vectors: Callable[[], Vectors]) -> None:
    """Make the file beside the index current, so that the next search need not; where it cannot be, do nothing."""
    path = scan_path(index)
    with suppress(OSError):
        found = ScanFile.open(path)
        if found is None or found.generation != generation:
            _made(path, vectors)


def _made(path: Path, vectors: Callable[[], Vectors]) -> ScanFile:
    with vectors() as (generation, dim, blocks):
        ScanFile.write(path, generation, dim, blocks)
    made = ScanFile.open(path)
    if made is None:
        raise OSError(f"{path} does not hold what was written")
    return made


def _made_elsewhere(index: Path, vectors: Callable[[], Vectors]) -> ScanFile:
    try:
        folder = tempfile.mkdtemp(prefix="gemlet-")
        try:
            return _made(Path(folder) / "scan", vectors)  # the mapping outlives the name
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(
            f"cannot write the scan of the index {index}, neither beside it nor in {tempfile.gettempdir()}: {reason}; "
            "make room in one of them"
        ) from None
