"""Vectors that are embedded once and kept in a folder, cut to any dimension.   (embedder + folder → embedder)"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet import Embedder, InputError
from gemlet.embedder import Usage
from gemlet.texts import Texts, as_texts
from gemlet.vectors import FloatArray, normalize

KEY = 16  # bytes
DIM = 768
STEP = 256  # texts that are embedded and written together


def evaluation_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with --data-dir, --cache, --model and --quantization: for who measures on published data."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="Published data, a folder for each set.")
    parser.add_argument("--cache", type=Path, required=True, help="Keeps the vectors of one model.")
    parser.add_argument("--model", default="google/embeddinggemma-300m")
    parser.add_argument("--quantization", help="Default: q8_0.")
    return parser


class Remembered(Embedder):
    """An Embedder that embeds a prompted text only the first time it is asked to."""

    def __init__(self, name_or_path: str, folder: Path, **options: Any) -> None:
        """Open an Embedder and its folder.

        folder  keeps `keys.bin` (16 bytes a text) and `vectors.bin` (768 float32 a text, of unit length), of one model;
                one process at a time writes them
        """
        super().__init__(name_or_path, **options)
        folder.mkdir(parents=True, exist_ok=True)
        self._keys, self._vectors = folder / "keys.bin", folder / "vectors.bin"
        self._rows: dict[bytes, int] = {}
        self._read()

    def encode(self, sentences: Texts, *, truncate_dim: int | None = None, **options: Any) -> Any:
        """Embedder.encode() as float32, for a prompt or its name; other options must be left as they are."""
        texts, single = as_texts(sentences)
        known = ("prompt", "prompt_name", "return_usage")
        unknown = {name for name, value in options.items() if name not in known and value not in (None, False)}
        if unknown:
            raise InputError(f"remembered vectors have no {', '.join(sorted(unknown))}")
        prompts = self._prompts_for(texts, options.get("prompt_name"), options.get("prompt"))
        rows = self._look_up(texts, prompts)
        dim = truncate_dim or self.truncate_dim
        rows = rows if dim == DIM else normalize(rows[:, :dim].copy())
        result = rows[0] if single else rows
        if not options.get("return_usage"):
            return result
        tokens = self.count_tokens([prompt + text for prompt, text in zip(prompts, texts, strict=True)])
        return result, Usage(tokens, np.zeros_like(tokens))

    def _look_up(self, texts: list[str], prompts: list[str]) -> FloatArray:
        """[n, 768] float32; what is missing is embedded, longest first, and written in steps."""
        keys = [_key(p + t) for p, t in zip(prompts, texts, strict=True)]
        missing = {key: i for i, key in enumerate(keys) if key not in self._rows}
        order = sorted(missing.items(), key=lambda item: -len(texts[item[1]]))
        for begin in range(0, len(order), STEP):
            step = order[begin : begin + STEP]
            vectors = super().encode([texts[i] for _, i in step], prompt=[prompts[i] for _, i in step])
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
