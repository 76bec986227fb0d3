"""Vectors in pieces → INDEX.scan, whole or not at all.   (ids, scales, codes → file)"""

import mmap
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np

from gemlet.errors import InputError
from gemlet.scan.layout import (
    BINARY_FROM,
    DTYPES,
    HEADER_BYTES,
    Codes,
    Header,
    Ids,
    Layout,
    Scales,
    check_dim,
    checksum,
)

Chunks = Iterable[tuple[Ids, Scales, Codes]]

_BLOCK = 65_536  # vectors whose bits are made at a time
_ABANDONED_S = 3600.0  # a file that is being written does not rest for so long


def write_scan(path: Path, generation: int, dim: int, chunks: Chunks) -> None:
    """See ScanFile.write."""
    check_dim(dim)
    _clear_abandoned(path)
    with _replacing(path) as file:
        file.write(bytes(HEADER_BYTES))
        ids, scales = _write_codes(file, dim, chunks)
        layout = Layout(len(ids), dim, binary=len(ids) >= BINARY_FROM)
        for part, array in (("scales", scales), ("ids", ids)):
            _pad_to(file, layout.offset(part))
            file.write(array.data)
        _pad_to(file, layout.offset("bits"))
        if layout.binary:
            _write_bits(file, layout)
        _pad_to(file, layout.offset(None))
        content = _mapped(file)
        checksums = tuple(checksum(layout.array(content, part)) for part in DTYPES)
        file.seek(0)
        file.write(Header(generation, layout, checksums).pack())


def _write_codes(file: IO[bytes], dim: int, chunks: Chunks) -> tuple[Ids, Scales]:
    """Write all codes; returns all ids and scales."""
    all_ids, all_scales = [np.empty(0, DTYPES["ids"])], [np.empty(0, DTYPES["scales"])]
    for ids, scales, codes in chunks:
        if codes.dtype != np.int8 or codes.shape != (len(ids), dim) or ids.shape != scales.shape:
            raise InputError(
                f"codes are {codes.dtype} {codes.shape}, ids {ids.shape}, scales {scales.shape}: "
                f"pass int8 [n, {dim}], [n] and [n]"
            )
        all_ids.append(ids)
        all_scales.append(scales)
        file.write(np.ascontiguousarray(codes).data)
    return np.concatenate(all_ids, dtype=DTYPES["ids"]), np.concatenate(all_scales, dtype=DTYPES["scales"])


def _write_bits(file: IO[bytes], layout: Layout) -> None:
    """Write the sign of each code that the file holds."""
    codes = layout.array(_mapped(file), "codes")
    for begin in range(0, layout.n, _BLOCK):
        file.write(np.packbits(codes[begin : begin + _BLOCK] > 0, axis=1).data)


def _mapped(file: IO[bytes]) -> mmap.mmap:
    """What has been written; it is unmapped with the last array over it."""
    file.flush()
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _pad_to(file: IO[bytes], offset: int) -> None:
    file.write(bytes(offset - file.tell()))


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when all went well, on the disk by then; else nothing is left of it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _clear_abandoned(path: Path) -> None:
    """Remove what killed processes left half-written."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()
