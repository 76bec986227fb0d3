"""The ways to search that scan.py compares.   (unit float32 vectors → rows of the nearest)

Each takes vectors in pieces and is finished before it is asked; each imports its package when it is made.
"""

import tempfile
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gemlet.scan import ScanFile, quantise

Array = npt.NDArray[Any]


class Searcher(Protocol):
    """One way to search."""

    def __init__(self, dim: int, threads: int) -> None:
        """Make an empty one. Raises ImportError."""

    def add(self, vectors: Array) -> None:
        """Take more vectors: [n, dim] float32, unit length."""

    def finish(self) -> None:
        """Get ready: there are no more."""

    def search(self, query: Array, k: int) -> Array:
        """Return the rows that it takes for the k nearest."""


class Gemlet:
    """Our own: a mapped file. The pieces wait on the disk, as they do in an index."""

    exact = False

    def __init__(self, dim: int, threads: int) -> None:
        """Make an empty one."""
        self.dim, self.threads, self._pieces = dim, threads, 0
        self._folder = tempfile.TemporaryDirectory()

    def add(self, vectors: Array) -> None:
        """See Searcher."""
        codes, scales = quantise(vectors)
        np.savez(f"{self._folder.name}/{self._pieces}.npz", codes=codes, scales=scales)
        self._pieces += 1

    def finish(self) -> None:
        """See Searcher."""
        path = f"{self._folder.name}/bench.scan"
        ScanFile.write(path, 1, self.dim, self._numbered())
        found = ScanFile.open(path)
        assert found is not None
        self._scan = found

    def _numbered(self) -> Iterator[tuple[Array, Array, Array]]:
        row = 0
        for piece in range(self._pieces):
            with np.load(f"{self._folder.name}/{piece}.npz") as kept:
                codes, scales = kept["codes"], kept["scales"]
            yield np.arange(row, row + len(codes)), scales, codes
            row += len(codes)

    def search(self, query: Array, k: int) -> Array:
        """See Searcher."""
        return self._scan.search(query, k, threads=self.threads, exact=self.exact)[0]


class GemletExact(Gemlet):
    """All codes, where Gemlet looks at the bits first."""

    exact = True


class Usearch:
    """Exact search over int8."""

    def __init__(self, dim: int, threads: int) -> None:
        """Make an empty one."""
        self._usearch: Any = import_module("usearch.index")
        self._threads = threads
        self._parts: list[Array] = []

    def add(self, vectors: Array) -> None:
        """See Searcher."""
        self._parts.append(quantise(vectors)[0])

    def finish(self) -> None:
        """See Searcher."""
        self._codes = np.concatenate(self._parts)
        self._parts.clear()

    def search(self, query: Array, k: int) -> Array:
        """See Searcher."""
        code = quantise(query[None])[0]
        metric = self._usearch.MetricKind.Cos
        found = self._usearch.search(self._codes, code, k, metric, exact=True, threads=self._threads)
        return np.asarray(found.keys).ravel()


class Faiss:
    """Exact search over 8 bits a number."""

    def __init__(self, dim: int, threads: int) -> None:
        """Make an empty one."""
        faiss: Any = import_module("faiss")
        faiss.omp_set_num_threads(threads)
        kind = faiss.ScalarQuantizer.QT_8bit
        self._index: Any = faiss.IndexScalarQuantizer(dim, kind, faiss.METRIC_INNER_PRODUCT)

    def add(self, vectors: Array) -> None:
        """See Searcher."""
        if not self._index.is_trained:
            self._index.train(vectors)
        self._index.add(vectors)

    def finish(self) -> None:
        """See Searcher."""

    def search(self, query: Array, k: int) -> Array:
        """See Searcher."""
        found: Array = self._index.search(query[None], k)[1][0]
        return found


class FaissFloat(Faiss):
    """Exact search in float32: four times the memory."""

    def __init__(self, dim: int, threads: int) -> None:
        """Make an empty one."""
        faiss: Any = import_module("faiss")
        faiss.omp_set_num_threads(threads)
        self._index = faiss.IndexFlatIP(dim)


class SqliteVec:
    """Exact search over int8 in a virtual table."""

    def __init__(self, dim: int, threads: int) -> None:
        """Make an empty one, in memory."""
        apsw: Any = import_module("apsw")
        sqlite_vec: Any = import_module("sqlite_vec")
        self._connection = apsw.Connection(":memory:")
        self._connection.enable_load_extension(True)
        self._connection.load_extension(sqlite_vec.loadable_path())
        self._connection.execute(f"CREATE VIRTUAL TABLE v USING vec0(x int8[{dim}] distance_metric=cosine)")
        self._rows = 0

    def add(self, vectors: Array) -> None:
        """See Searcher."""
        rows = enumerate(quantise(vectors)[0], self._rows)
        with self._connection:
            self._connection.executemany(
                "INSERT INTO v(rowid, x) VALUES (?, vec_int8(?))", ((row, code.tobytes()) for row, code in rows)
            )
        self._rows += len(vectors)

    def finish(self) -> None:
        """See Searcher."""

    def search(self, query: Array, k: int) -> Array:
        """See Searcher."""
        code = quantise(query[None])[0].tobytes()
        sql = "SELECT rowid FROM v WHERE x MATCH vec_int8(?) AND k = ?"
        return np.array([row[0] for row in self._connection.execute(sql, (code, k))])


SEARCHERS: dict[str, type[Searcher]] = {
    "gemlet": Gemlet,
    "gemlet --exact": GemletExact,
    "usearch int8": Usearch,
    "faiss 8 bits": Faiss,
    "faiss float32": FaissFloat,
    "sqlite-vec int8": SqliteVec,
}
