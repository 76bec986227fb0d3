"""Vectors that are embedded once and kept in a folder, cut to any dimension.   (embedder + folder → embedder)"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet import Embedder
from gemlet.prompts import document_prompts
from gemlet.vectors import FloatArray, normalize

KEY = 16  # bytes
DIM = 768
STEP = 256  # texts that are embedded and written together


class Remembered:
    """Stands where an Embedder stands, and embeds a prompted text only the first time.

    folder  keeps `keys.bin` (16 bytes a text) and `vectors.bin` (768 float32 a text, of unit length); one process at a
            time writes them
    """

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        self.embedder = embedder
        folder.mkdir(parents=True, exist_ok=True)
        self._keys, self._vectors = folder / "keys.bin", folder / "vectors.bin"
        self._rows: dict[bytes, int] = {}
        self._read()

    def __getattr__(self, name: str) -> Any:
        """Everything but encoding is the embedder's own."""
        return getattr(self.embedder, name)

    def encode(
        self,
        sentences: str | Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | Sequence[str] | None = None,
        truncate_dim: int | None = None,
        **options: Any,
    ) -> Any:
        """Embedder.encode() for str or a list of str, as float32."""
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        if prompt is None:
            prompt = self.embedder.prompts[prompt_name] if prompt_name is not None else ""
        prompts = [prompt] * len(texts) if isinstance(prompt, str) else list(prompt)
        rows = self._look_up(texts, prompts)
        dim = truncate_dim or self.embedder.truncate_dim
        rows = rows if dim == DIM else normalize(rows[:, :dim].copy())
        result = rows[0] if isinstance(sentences, str) else rows
        if options.get("return_usage"):
            from gemlet.embedder import Usage

            tokens = self.embedder.count_tokens([p + t for p, t in zip(prompts, texts, strict=True)])
            return result, Usage(tokens, np.zeros_like(tokens))
        return result

    def encode_query(self, sentences: Any, *, prompt_name: str = "query", **options: Any) -> Any:
        """Embedder.encode_query()."""
        return self.encode(sentences, prompt_name=prompt_name, **options)

    def encode_document(self, sentences: Any, *, titles: Any = None, **options: Any) -> Any:
        """Embedder.encode_document()."""
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        titles = [titles] if isinstance(titles, str) else titles or [None] * len(texts)
        return self.encode(sentences, prompt=document_prompts(titles, len(texts)), **options)

    def _look_up(self, texts: list[str], prompts: list[str]) -> FloatArray:
        """[n, 768] float32; what is missing is embedded, longest first, and written in steps."""
        keys = [_key(p + t) for p, t in zip(prompts, texts, strict=True)]
        missing = {key: i for i, key in enumerate(keys) if key not in self._rows}
        order = sorted(missing.items(), key=lambda item: -len(texts[item[1]]))
        for begin in range(0, len(order), STEP):
            step = order[begin : begin + STEP]
            vectors = self.embedder.encode([texts[i] for _, i in step], prompt=[prompts[i] for _, i in step])
            self._write([key for key, _ in step], vectors)
            if len(order) > STEP:
                print(f"  embedded {begin + len(step)} of {len(order)} texts", flush=True)
        stored: npt.NDArray[np.float32] = np.memmap(self._vectors, np.float32, "r").reshape(-1, DIM)
        return np.array(stored[[self._rows[key] for key in keys]])

    def _read(self) -> None:
        self._keys.touch()
        self._vectors.touch()
        data = self._keys.read_bytes()
        count = min(len(data) // KEY, self._vectors.stat().st_size // (4 * DIM))
        with self._keys.open("r+b") as keys, self._vectors.open("r+b") as vectors:  # drop what a kill left half
            keys.truncate(count * KEY)
            vectors.truncate(count * 4 * DIM)
        self._rows = {data[i * KEY : (i + 1) * KEY]: i for i in range(count)}

    def _write(self, keys: list[bytes], vectors: FloatArray) -> None:
        with self._vectors.open("ab") as file:
            file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
        with self._keys.open("ab") as file:
            file.write(b"".join(keys))
        for key in keys:
            self._rows[key] = len(self._rows)


def _key(prompted: str) -> bytes:
    return hashlib.blake2b(prompted.encode("utf-8", "surrogatepass"), digest_size=KEY).digest()
