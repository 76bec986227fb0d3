"""How INDEX.scan is laid out, and what tells a whole one from a damaged one.   (n, dim ↔ header, parts)

    header   4,096 bytes: magic, version, dim, generation, n, whether there are bits, the parts' checksums and its own
    codes    [n, dim] int8
    scales   [n] float32      a number of a vector is its code * scale
    ids      [n] int64        of the passages
    bits     [n, dim / 8]     of 200,000 vectors and more: 1 where a number is positive, the first in the highest bit

Each part begins at a multiple of 64 bytes; all numbers are little-endian.
"""

import struct
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet import _core
from gemlet.errors import InputError

Codes = npt.NDArray[np.int8]
Scales = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]

BINARY_FROM = 200_000
"""Vectors from which there are bits: of fewer, all codes are read in a few milliseconds."""

HEADER_BYTES = 4096
DTYPES: dict[str, np.dtype[Any]] = {
    "codes": np.dtype("i1"),
    "scales": np.dtype("<f4"),
    "ids": np.dtype("<i8"),
    "bits": np.dtype("u1"),
}
"""The parts, in their order."""

_HEADER = struct.Struct("<8sIIqQQ4Q")
_SEAL = struct.Struct("<Q")
_MAGIC, _VERSION = b"gemlscan", 1
_ALIGNMENT = 64
_WIDTH_UNIT, _MOST_NUMBERS = 32, 4096  # of a vector: what the engine takes


@dataclass(frozen=True)
class Layout:
    """Where the parts of n vectors of dim numbers lie. binary: whether there are bits."""

    n: int
    dim: int
    binary: bool

    def shape(self, part: str) -> tuple[int, ...]:
        """Of the part's array."""
        bits = (self.n if self.binary else 0, self.dim // 8)
        return {"codes": (self.n, self.dim), "bits": bits}.get(part, (self.n,))

    def offset(self, part: str | None) -> int:
        """Where the part begins; None: where the file ends."""
        offset = HEADER_BYTES
        for name, dtype in DTYPES.items():
            if name == part:
                break
            offset += -(-prod(self.shape(name)) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
        return offset

    def array(self, content: Any, part: str) -> npt.NDArray[Any]:
        """The part as it lies in the mapped file `content`."""
        shape = self.shape(part)
        flat: npt.NDArray[Any] = np.frombuffer(content, DTYPES[part], prod(shape), self.offset(part))
        return flat.reshape(shape)


@dataclass(frozen=True)
class Header:
    """What the file says of itself. checksums: of the parts, in their order."""

    generation: int
    layout: Layout
    checksums: tuple[int, ...]

    def pack(self) -> bytes:
        """As bytes, the last of which are the header's own checksum."""
        layout = self.layout
        head = _HEADER.pack(_MAGIC, _VERSION, layout.dim, self.generation, layout.n, layout.binary, *self.checksums)
        return head + _SEAL.pack(checksum(np.frombuffer(head, np.uint8)))

    def is_true(self, part: str, array: npt.NDArray[Any]) -> bool:
        """Whether the part's checksum is what it was."""
        return checksum(array) == self.checksums[list(DTYPES).index(part)]


def read_header(page: bytes) -> Header | None:
    """Unpack a file's first bytes; None when they are damaged, or by another version."""
    if len(page) < HEADER_BYTES:
        return None
    magic, version, dim, generation, n, binary, *checksums = _HEADER.unpack_from(page)
    if (magic, version) != (_MAGIC, _VERSION) or not is_searchable(dim, n):
        return None
    header = Header(generation, Layout(n, dim, binary == 1), tuple(checksums))
    return header if page.startswith(header.pack()) else None


def is_searchable(dim: int, n: int = 0) -> bool:
    """Whether the engine takes vectors of so many numbers; 0 where there are none."""
    return dim % _WIDTH_UNIT == 0 and (0 if n == 0 else 1) <= dim <= _MOST_NUMBERS


def check_dim(dim: int) -> None:
    """Raise InputError unless is_searchable()."""
    if not is_searchable(dim):
        raise InputError(f"vectors have {dim} numbers; a multiple of {_WIDTH_UNIT} up to {_MOST_NUMBERS} fit")


def checksum(part: npt.NDArray[Any]) -> int:
    """Of an array's bytes."""
    return _core.checksum(part.reshape(-1).view(np.uint8))
