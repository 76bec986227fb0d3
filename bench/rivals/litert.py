"""LiteRT, 8-bit weights, fixed lengths.   (a folder from convert/to_litert.py)"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from rivals import FloatArray
from rivals.batching import load_tokenizer, pad


class Rival:
    """One text at a time, padded to the shortest length that holds it; a length's file is opened when first needed."""

    version = f"LiteRT {version('ai-edge-litert')}, int8"

    def __init__(self, model: str, threads: int) -> None:
        self.tokenizer = load_tokenizer(Path(model))
        self.threads = threads
        self.files = {int(path.stem): path for path in Path(model).glob("*.tflite")}
        self.runners: dict[int, Any] = {}
        self.version += f" ({', '.join(map(str, sorted(self.files)))} tokens)"

    def encode(self, texts: list[str]) -> FloatArray:
        """Return unit vectors [n, 768]."""
        return np.stack([self._run(encoding.ids) for encoding in self.tokenizer.encode_batch_fast(texts)])

    def _run(self, ids: list[int]) -> FloatArray:
        length = min(length for length in self.files if length >= len(ids))
        if length not in self.runners:
            interpreter = Interpreter(str(self.files[length]), num_threads=self.threads)
            self.runners[length] = interpreter.get_signature_runner()
        padded, mask = (array.astype(np.int32) for array in pad([ids], length))
        outputs = self.runners[length](args_0=padded, args_1=mask)
        vector: FloatArray = next(iter(outputs.values()))[0]
        return vector
