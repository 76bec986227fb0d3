"""llama.cpp through xllamacpp, which comes as a wheel.   (a .gguf file with the dense head in it)"""

import json
from pathlib import Path

import numpy as np
import xllamacpp

from rivals import LIMIT, FloatArray


class Rival:
    """It packs texts without padding, up to 2,048 tokens at once."""

    def __init__(self, model: str, threads: int) -> None:
        self.version = f"xllamacpp {xllamacpp.__version__}, {Path(model).name}"
        params = xllamacpp.CommonParams()
        params.model.path = model
        params.embedding = True
        params.n_ctx = params.n_batch = params.n_ubatch = LIMIT
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.n_parallel = 1
        params.warmup = False
        self.server = xllamacpp.Server(params)

    def encode(self, texts: list[str]) -> FloatArray:
        """Return unit vectors [n, 768]."""
        rows = [self._one(text) for text in texts]
        return np.asarray(rows, np.float32)

    def _one(self, text: str) -> list[float]:
        answer = self.server.handle_embeddings({"input": text})
        answer = json.loads(answer) if isinstance(answer, str) else answer
        return answer["data"][0]["embedding"]
