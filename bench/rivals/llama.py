"""llama.cpp through llama-cpp-python.   (a .gguf file with the dense head in it, Q8_0 unless you say otherwise)"""

from pathlib import Path

import llama_cpp
import numpy as np

from rivals import LIMIT, FloatArray


class Rival:
    """It packs texts without padding, up to 2,048 tokens at once."""

    def __init__(self, model: str, threads: int) -> None:
        self.version = f"llama-cpp-python {llama_cpp.__version__}, {Path(model).name}"
        self.model = llama_cpp.Llama(
            model_path=model,
            embedding=True,
            n_ctx=LIMIT,
            n_batch=LIMIT,
            n_ubatch=LIMIT,
            n_threads=threads,
            n_threads_batch=threads,
            flash_attn=True,
            verbose=False,
        )

    def encode(self, texts: list[str]) -> FloatArray:
        """Return unit vectors [n, 768]."""
        return np.asarray(self.model.embed(texts, normalize=True), np.float32)
