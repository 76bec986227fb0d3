"""Vectors that are embedded once and kept in a folder.   (prompted texts → [n, dim] float32, from the folder or anew)

keys.bin     16 bytes a text: a hash of it with its prompt
vectors.bin  its vector, dim float32 of unit length

Both only grow. What a killed process left half written is cut off when the folder is opened again, so that whoever
starts a second time goes on where the first one stopped.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemlet.vectors import FloatArray

KEY_BYTES = 16
STEP = 256
"""Texts that are embedded and written together."""

Progress = Callable[[int], None]
"""Is told how many texts have been embedded since it was last told."""


class KeptVectors:
    """The vectors of one model. One process at a time writes a folder; any number may read it."""

    def __init__(
        self,
        folder: Path,
        embed: Callable[[list[str]], FloatArray],
        *,
        dim: int = 768,
        progress: Progress = lambda count: None,
    ) -> None:
        """Open the folder, made where it is missing.

        embed  prompted texts → [n, dim] float32
        """
        self.folder, self.progress = folder, progress
        self._embed, self._dim = embed, dim
        folder.mkdir(parents=True, exist_ok=True)
        self._keys, self._vectors = folder / "keys.bin", folder / "vectors.bin"
        self._rows = self._read()

    def missing(self, prompted: Sequence[str]) -> list[str]:
        """The texts that are not kept, each once."""
        return [text for text in dict.fromkeys(prompted) if _key(text) not in self._rows]

    def of(self, prompted: Sequence[str]) -> FloatArray:
        """[n, dim] float32; what is missing is embedded, the longest first, and written in steps."""
        new = sorted(self.missing(prompted), key=len, reverse=True)
        for begin in range(0, len(new), STEP):
            step = new[begin : begin + STEP]
            self._write([_key(text) for text in step], self._embed(step))
            self.progress(len(step))
        if not prompted:
            return np.empty((0, self._dim), np.float32)
        stored: npt.NDArray[np.float32] = np.memmap(self._vectors, np.float32, "r").reshape(-1, self._dim)
        return np.array(stored[[self._rows[_key(text)] for text in prompted]])

    def _read(self) -> dict[bytes, int]:
        for path in (self._keys, self._vectors):
            path.touch()
        row_bytes = 4 * self._dim
        data = self._keys.read_bytes()
        count = min(len(data) // KEY_BYTES, self._vectors.stat().st_size // row_bytes)
        for path, size in ((self._keys, KEY_BYTES), (self._vectors, row_bytes)):
            if path.stat().st_size != count * size:  # a kill came in between
                with path.open("r+b") as file:
                    file.truncate(count * size)
        return {data[i * KEY_BYTES : (i + 1) * KEY_BYTES]: i for i in range(count)}

    def _write(self, keys: list[bytes], vectors: FloatArray) -> None:
        with self._vectors.open("ab") as file:
            file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
        with self._keys.open("ab") as file:
            file.write(b"".join(keys))
        for key in keys:
            self._rows[key] = len(self._rows)


def _key(prompted: str) -> bytes:
    return hashlib.blake2b(prompted.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()
