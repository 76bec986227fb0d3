"""The folder that a run writes: files that are there whole or not at all, and one writer.   (name, bytes → files)

_manifest.json      what the output is made from and with; written first
part-*.parquet      shards
_bad/part-*.jsonl   of a shard that has any: rows without a vector, each with its reason
_stored-*.json      which shards are in a store, a file for each store
_lock               held by the driver, on a disk of this machine

What begins with "_" is left out by those who read a folder of Parquet files as one table.
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from gemlet.bulk.cutting import one_line
from gemlet.bulk.sources import filesystem, is_address, pyarrow
from gemlet.dataset import whole_file
from gemlet.errors import BulkError, InputError
from gemlet.folders import shown
from gemlet.pretrained import exclusive

MANIFEST, BAD, STORED, LOCK = "_manifest.json", "_bad", "_stored-", "_lock"
_TEMPORARY = ".tmp-"


class Folder:
    """On a disk, or wherever pyarrow writes: there a file appears whole by itself, and there are no locks."""

    def __init__(self, output: str) -> None:
        """Raises InputError for an address that pyarrow does not know."""
        self.is_local = not is_address(output)
        self.path = os.path.abspath(os.path.expanduser(output)) if self.is_local else output.rstrip("/")
        self.name = shown(output)
        self._fs, self._root = filesystem(self.path)

    def make(self) -> None:
        """Raises BulkError when it cannot be made."""
        with self.told():
            self._fs.create_dir(f"{self._root}/{BAD}", recursive=True)

    def names(self, under: str = "") -> dict[str, int]:
        """Name and bytes of the files in it; none if it is not there. Raises InputError where a file is instead."""
        fs = pyarrow().fs
        selector = fs.FileSelector(f"{self._root}/{under}".rstrip("/"), allow_not_found=True)
        with self.told():
            if self._fs.get_file_info(self._root).type == fs.FileType.File:
                raise InputError(f"{self.name} is a file: name a folder for the output")
            infos = self._fs.get_file_info(selector)
        return {info.base_name: info.size or 0 for info in infos if info.type == fs.FileType.File}

    def size(self, name: str) -> int:
        """Bytes of a file; 0 when it is not there."""
        with self.told():
            return int(self._fs.get_file_info(f"{self._root}/{name}").size or 0)

    def open(self, name: str) -> Any:
        """A file of it, for reading. Raises OSError."""
        return self._fs.open_input_file(f"{self._root}/{name}")

    @contextlib.contextmanager
    def whole(self, name: str) -> Iterator[IO[bytes]]:
        """Yield a file that appears under its name when all is written, or not at all. Raises BulkError."""
        with self.told():
            if self.is_local:
                with whole_file(os.path.join(self._root, name)) as file:
                    yield file
                return
            temporary = f"{self._root}/{_TEMPORARY}{secrets.token_hex(8)}"
            try:
                with self._fs.open_output_stream(temporary) as file:
                    yield file
                self._fs.move(temporary, f"{self._root}/{name}")
            except BaseException:
                with contextlib.suppress(OSError):
                    self._fs.delete_file(temporary)
                raise

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with self.told():
            if self._fs.get_file_info(f"{self._root}/{name}").type == pyarrow().fs.FileType.File:
                self._fs.delete_file(f"{self._root}/{name}")

    def clear(self) -> None:
        """Remove what killed writers have left half-written."""
        for under in ("", BAD):
            for name in self.names(under):
                if name.startswith((".part-", f".{MANIFEST}", f".{STORED}", _TEMPORARY)):
                    self.remove(f"{under}/{name}" if under else name)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only one that writes it; the lock ends with the process. Raises BulkError where another one is."""
        if not self.is_local:
            yield
            return
        with exclusive(Path(self._root) / LOCK, self._refuse):
            yield

    def holds(self, path: str) -> bool:
        """Whether a path or an address is in this folder."""
        return path.startswith(self.path.rstrip("/") + "/") or path == self.path

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Raise a BulkError for what the system says about writing here."""
        try:
            yield
        except InputError as error:
            if "cannot write" in str(error):  # whole_file()'s
                raise BulkError(f"{error}; finished files stay") from None
            raise
        except OSError as error:
            raise BulkError(_cannot_write(self.name, error)) from None

    def _refuse(self) -> None:
        raise BulkError(f"another process writes {self.name}: wait until it has ended, or name another folder")


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no room left."""
    full = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
    return isinstance(error, OSError) and error.errno in full


def _cannot_write(name: str, error: OSError) -> str:
    reason = "there is no room left on the disk: make room" if is_full(error) else f"{one_line(error)}: see to it"
    return f"cannot write {name}: {reason}, and run the same command again: finished files stay"
