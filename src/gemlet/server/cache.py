"""Vectors of texts that came before, exact, up to a number of bytes.   (token ids → vector)"""

from collections import OrderedDict

from gemlet.vectors import FloatArray

_OVERHEAD = 320  # bytes of Python's objects for an entry: the key's, the array's and the table's


class Cache:
    """The vectors that were used last. The key is the whole sequence of ids: no two texts share one.

    It is used by one thread, the event loop's.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._rows: OrderedDict[bytes, FloatArray] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: bytes) -> FloatArray | None:
        """Return the vector, which is not to be written into, or None."""
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
        return row

    def put(self, key: bytes, row: FloatArray) -> None:
        """Keep a copy; what was not asked for longest makes room."""
        size = _size(key, row)
        if key in self._rows or size > self._limit:
            return
        self._rows[key] = row.copy()
        self.size_bytes += size
        while self.size_bytes > self._limit:
            self.size_bytes -= _size(*self._rows.popitem(last=False))


def _size(key: bytes, row: FloatArray) -> int:
    return len(key) + row.nbytes + _OVERHEAD
