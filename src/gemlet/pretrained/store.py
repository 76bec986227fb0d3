"""The local folder of checked files: stamps, atomic writes, the lock.   (bytes → checked file)

<cache>/models/google--embeddinggemma-300m/
├── 57c266a740f5/            the files under their final names, and verified.json
├── 57c266a740f5.partial/    what has arrived so far; removed when nothing is missing
├── 57c266a740f5.lock        held by the process that is fetching
└── GEMMA_TERMS.txt          the notice that has been shown

A file appears under its final name only whole, checked and flushed to disk. verified.json keeps the size, the
modification time and the SHA-256 of each, so that a later start reads no more than the directory entries.
"""

import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from gemlet.errors import ModelError
from gemlet.pretrained.pins import Pin, PinnedCheckpoint
from gemlet.pretrained.place import FileError
from gemlet.pretrained.progress import Meter

BLOCK = 1 << 20
"""Bytes read, hashed and written at a time."""

_SPARE_BYTES = 64 << 20
"""Asked for on top of the files themselves, so that a pull does not leave the disk with nothing."""

_LOCK_POLL_S = 0.2

STAMPS = "verified.json"
"""In the folder of checked files."""


class Store:
    """The checked files of one checkpoint in the user's cache."""

    def __init__(self, checkpoint: PinnedCheckpoint) -> None:
        base = cache_folder() / "models" / checkpoint.name.replace("/", "--")
        short = checkpoint.revision[:12]
        self.checkpoint = checkpoint
        self.folder = base / short
        self.partial = base / f"{short}.partial"
        self.lock_file = base / f"{short}.lock"
        self.terms_file = base / "GEMMA_TERMS.txt"
        self._stamp_file = self.folder / STAMPS
        self._stamps = self._read_stamps()

    def missing(self) -> list[Pin]:
        """The files that are not there, or not known to be good."""
        return [pin for pin in self.checkpoint.pins if not self._is_stamped(pin)]

    def is_complete(self) -> bool:
        """Whether every file that the engine needs is there and none is in doubt."""
        return not any(pin.required or (self.folder / pin.path).exists() for pin in self.missing())

    def recheck(self, meter: Meter) -> list[str]:
        """Hash every file in doubt: stamp the good, remove the bad. Returns a line for each that was removed."""
        self._stamps = self._read_stamps()  # another process may have finished while this one waited for the lock
        removed = []
        doubtful = [pin for pin in self.missing() if (self.folder / pin.path).is_file()]
        meter.expect(sum(pin.size for pin in doubtful))
        for pin in doubtful:
            path = self.folder / pin.path
            try:
                _check(pin, path.stat().st_size, partial(digest_of, path, meter))
            except FileError as failure:
                path.unlink()
                removed.append(f"the cache {self.folder}: {failure}; removed")
            else:
                self._stamp(pin)
        return removed

    def write(self, pin: Pin, blocks: Iterable[bytes], meter: Meter) -> None:
        """Write a file from its bytes, in order. Raises FileError, and leaves no trace, unless they match the pin."""
        import hashlib

        self.partial.mkdir(parents=True, exist_ok=True)
        temporary = self.partial / f"{uuid.uuid4().hex}.tmp"
        digest = hashlib.sha256()
        size = 0
        try:
            with open(temporary, "xb") as file:
                for block in blocks:
                    size += len(block)
                    if size > pin.size:
                        break
                    file.write(block)
                    digest.update(block)
                    meter.add(len(block))
                file.flush()
                os.fsync(file.fileno())
            _check(pin, size, digest.hexdigest)
            self._install(pin, temporary)
        finally:
            temporary.unlink(missing_ok=True)

    def adopt(self, pin: Pin, path: Path) -> None:
        """Take over a file of the same file system, or remove it and raise FileError if it is not as pinned."""
        try:
            _check(pin, path.stat().st_size, partial(digest_of, path))
            with open(path, "rb") as file:
                os.fsync(file.fileno())
            self._install(pin, path)
        finally:
            path.unlink(missing_ok=True)

    def link(self, pin: Pin, path: Path, meter: Meter) -> None:
        """Take in a file that belongs to somebody else: by a hard link where that is possible, else as a copy."""
        self.partial.mkdir(parents=True, exist_ok=True)
        temporary = self.partial / f"{uuid.uuid4().hex}.tmp"
        try:
            os.link(os.path.realpath(path), temporary)
        except OSError:
            self.require_space(pin.size)
            with open(path, "rb") as file:
                self.write(pin, iter(lambda: file.read(BLOCK), b""), meter)
        else:
            self.adopt(pin, temporary)
            meter.add(pin.size)

    def require_space(self, count: int) -> None:
        """Raise ModelError unless the disk has room for `count` more bytes."""
        self.partial.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.partial).free
        if free < count + _SPARE_BYTES:
            raise ModelError(
                f"not enough disk space in {self.partial.parent}: {count + _SPARE_BYTES:,} bytes needed, "
                f"{free:,} free; make room there, or set GEMLET_CACHE to a folder on another disk"
            )

    def drop_temporary(self) -> None:
        """Remove what a killed process left half-written and nobody can resume."""
        for path in self.partial.glob("*.tmp"):
            path.unlink(missing_ok=True)

    def drop_partial(self) -> None:
        """Remove everything that was kept for resuming."""
        shutil.rmtree(self.partial, ignore_errors=True)

    def _install(self, pin: Pin, temporary: Path) -> None:
        final = self.folder / pin.path
        final.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, final)
        for folder in {final.parent, self.folder, self.folder.parent}:
            _sync_folder(folder)
        self._stamp(pin)

    def _is_stamped(self, pin: Pin) -> bool:
        try:
            stamp = _stamp_of(self.folder / pin.path, pin.sha256)
        except OSError:
            return False
        return stamp["size"] == pin.size and self._stamps.get(pin.path) == stamp

    def _stamp(self, pin: Pin) -> None:
        self._stamps[pin.path] = _stamp_of(self.folder / pin.path, pin.sha256)
        temporary = self._stamp_file.with_name(f".{uuid.uuid4().hex}.tmp")
        with suppress(OSError):  # a read-only cache works too; it is hashed at every start
            temporary.write_text(json.dumps(self._stamps, indent=1), encoding="utf-8")
            os.replace(temporary, self._stamp_file)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)

    def _read_stamps(self) -> dict[str, Any]:
        return _read_stamps(self._stamp_file)


def known_digest(folder: Path, path: str) -> str | None:
    """SHA-256 of a file that a Store has checked and nobody has changed since; None for any other."""
    stamp = _read_stamps(folder / STAMPS).get(path, {})
    try:
        known = str(stamp["sha256"])
        return known if stamp == _stamp_of(folder / path, known) else None
    except (OSError, KeyError, TypeError):
        return None


def cache_folder() -> Path:
    """Where gemlet keeps what it fetches: $GEMLET_CACHE, or the platform's cache folder of the user."""
    if given := os.environ.get("GEMLET_CACHE"):
        return Path(given).expanduser().absolute()
    if sys.platform == "linux":  # as platformdirs says, which takes 18 ms to import
        base = os.environ.get("XDG_CACHE_HOME", "")
        return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "gemlet"
    import platformdirs

    return Path(platformdirs.user_cache_dir("gemlet", appauthor=False))


def digest_of(path: Path, meter: Meter | None = None) -> str:
    """SHA-256 of a file, in hex."""
    import hashlib  # 5 ms, and most starts hash nothing

    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            if meter:
                meter.add(len(block))
    return digest.hexdigest()


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path`, waiting for as long as another process holds it; `on_wait` is called once then.

    It is the operating system's advisory lock: it ends with the process that holds it, even by kill -9. In a folder
    that cannot be written, or on a file system without locks, there is none; every write is atomic all the same.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(path, "ab"))
            if not _try_lock(file):
                on_wait()
                while not _try_lock(file):
                    time.sleep(_LOCK_POLL_S)
        yield


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        except OSError:
            return True
        return True
else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:
            return True
        return True


def _stamp_of(path: Path, sha256: str) -> dict[str, Any]:
    found = path.stat()
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": sha256}


def _read_stamps(path: Path) -> dict[str, Any]:
    try:
        stamps = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _check(pin: Pin, size: int, digest: Callable[[], str]) -> None:
    if size != pin.size:
        found = f"more than {pin.size:,}" if size > pin.size else f"{size:,}"
        raise FileError(f"{pin.path} has {found} bytes, expected {pin.size:,}")
    if (found := digest()) != pin.sha256:
        raise FileError(f"{pin.path} has SHA-256 {found}, expected {pin.sha256}")


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power failure; Windows does so by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems refuse it
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
