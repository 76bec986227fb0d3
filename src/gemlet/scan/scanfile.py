"""The mapped INDEX.scan, and the search in it.   (query → passage ids, cosines)

The file is a cache of the vectors that the index holds, in the types that the engine reads in place. Up to 200,000
vectors a search compares the query with all codes. Beyond, it compares the query's bits with all bits, and then the
query with the codes of those rows that differ in the fewest.
"""

import mmap
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemlet import _core
from gemlet.errors import InputError, StoreError
from gemlet.scan.layout import DTYPES, HEADER_BYTES, Bits, Codes, Header, Ids, Scales, read_header
from gemlet.scan.writing import Chunks, write_scan
from gemlet.vectors import FloatArray, quantize

CANDIDATES = 4_000
"""How many rows are compared by their codes after their bits, at the least."""

SHARE = 50
"""And one row in so many."""

MOST_THREADS = 8
"""More of them do not make memory any faster."""


def quantise(vectors: FloatArray) -> tuple[Codes, Scales]:
    """Store vectors [n, dim] float32 in bytes: (codes [n, dim] int8, scales [n] float32), vector ≈ codes * scale.

    A vector's largest number becomes ±127, and its scale gives the codes its length: that of a cosine is exact, and
    only the direction is rounded. A row's result depends on that row alone.
    """
    codes = quantize(vectors, "int8")
    length, steps = (np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64)) for x in (vectors, codes))
    return codes, np.divide(length, steps, out=np.zeros_like(steps), where=steps > 0).astype(np.float32)


class ScanFile:
    """The vectors of one state of an index. Any number of threads may search at once; the file never changes.

    path        of the file
    generation  of the index when it was written: no other state of any index that was in its place has this number
    dim         numbers of a vector
    ids         [n] int64, the passage of each row
    """

    def __init__(self, path: Path, content: mmap.mmap, header: Header) -> None:
        """Of what open() has checked."""
        layout = header.layout
        self.path = path
        self.generation = header.generation
        self.dim = layout.dim
        self.ids: Ids = layout.array(content, "ids")
        self._codes: Codes = layout.array(content, "codes")
        self._scales: Scales = layout.array(content, "scales")
        self._bits: Bits = layout.array(content, "bits")
        self._map, self._header = content, header
        self._scanners: dict[int, _core.Scanner] = {}

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def write(path: str | os.PathLike[str], generation: int, dim: int, chunks: Chunks) -> None:
        """Write the file anew, whole or not at all; who has the old one open keeps that.

        chunks  (ids [m] int64, scales [m] float32, codes [m, dim] int8) of some vectors each

        Needs memory for ids and scales, not for the codes. Raises OSError, and InputError for arrays that do not fit
        together or a dim that the engine does not take.
        """
        write_scan(Path(path), generation, dim, chunks)

    @staticmethod
    def open(path: str | os.PathLike[str]) -> "ScanFile | None":
        """Map the file; None where there is none that is whole: it is then to be written again.

        What every search reads is checked against its checksum, which takes about as long as one search; of codes
        behind bits a search reads few, and verify() checks them.
        """
        path = Path(path)
        try:
            with open(path, "rb") as file:
                header = read_header(file.read(HEADER_BYTES))
                if header is None or os.fstat(file.fileno()).st_size != header.layout.offset(None):
                    return None
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError:
            return None
        found = ScanFile(path, content, header)
        return (
            found
            if all(found._is_true(part) for part in DTYPES if part != "codes" or not header.layout.binary)
            else None
        )

    def verify(self) -> bool:
        """Whether the whole file is as it was written."""
        return all(self._is_true(part) for part in DTYPES)

    def search(
        self,
        query: npt.ArrayLike,
        k: int,
        allowed: npt.NDArray[np.bool_] | None = None,
        threads: int | None = None,
        *,
        exact: bool = False,
    ) -> tuple[Ids, Scales]:
        """Return (passage ids [<= k] int64, cosines [<= k] float32), best first; of equal ones the earlier row.

        query    [dim] float32, of length 1
        allowed  [n] bool: the rows that may be found, all if None
        threads  how many may work, as many as make sense if None; the result is the same
        exact    compare all codes even where there are bits

        Raises InputError when arrays do not fit or the query is not finite, StoreError when the file was cut short.
        """
        vector = np.ascontiguousarray(query, np.float32)
        if vector.shape != (self.dim,):
            raise InputError(f"the query has the shape {vector.shape}; the index holds vectors of {self.dim} numbers")
        if k < 0:
            raise InputError(f"k is {k}")
        mask = None if allowed is None else self._packed(allowed)
        if not len(self):
            return self.ids, self._scales
        if self._map.size() < self._header.layout.offset(None):  # reading what is not there would end the process
            raise StoreError(f"{self.path} has become shorter while it was in use: search again, and it is made anew")
        scanner = self._scanner(_threads() if threads is None else threads)
        if exact or not self._header.layout.binary:
            rows, scores = scanner.int8(self._codes, self._scales, vector, k, mask)
        else:
            bits, many = np.packbits(vector > 0), self.candidates(k)
            rows, scores = scanner.rescored(self._bits, self._codes, self._scales, bits, vector, k, many, mask)
        return self.ids[rows], scores

    def candidates(self, k: int) -> int:
        """How many rows a search for k compares by their codes after it has compared all by their bits."""
        return max(CANDIDATES, len(self) // SHARE, 20 * k)

    def _scanner(self, threads: int) -> _core.Scanner:
        """The file's own pool of threads: one that outlives the last user of the module would be reported as a leak."""
        if threads not in self._scanners:
            self._scanners[threads] = _core.Scanner(threads)
        return self._scanners[threads]

    def _is_true(self, part: str) -> bool:
        return self._header.is_true(part, self._header.layout.array(self._map, part))

    def _packed(self, allowed: npt.NDArray[np.bool_]) -> Bits:
        """One bit for each row, the first in the lowest bit."""
        if allowed.shape != self.ids.shape or allowed.dtype != np.bool_:
            raise InputError(f"`allowed` is {allowed.dtype} {allowed.shape}: pass bool ({len(self)},)")
        return np.packbits(allowed, bitorder="little")


def _threads() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return min(MOST_THREADS, len(affinity(0)) if affinity else os.cpu_count() or 1)
