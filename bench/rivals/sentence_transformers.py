"""sentence-transformers, float32: the publisher's own stack, and the truth of the cosines.   (a checkpoint folder)"""

import numpy as np
import sentence_transformers
import torch

from rivals import FloatArray
from rivals.batching import batches


class Rival:
    """Batches by the padded tokens, as the other runtimes that pad."""

    version = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}, float32"

    def __init__(self, model: str, threads: int) -> None:
        torch.set_num_threads(threads)
        options = {"dtype": torch.float32}
        self.model = sentence_transformers.SentenceTransformer(model, device="cpu", model_kwargs=options)

    def encode(self, texts: list[str]) -> FloatArray:
        """Return unit vectors [n, 768]."""
        if len(texts) == 1:
            return self._run(texts)
        lengths = [len(ids) for ids in self.model.tokenizer(texts, truncation=True)["input_ids"]]
        vectors = np.empty((len(texts), 768), np.float32)
        for rows in batches(lengths):
            vectors[rows] = self._run([texts[row] for row in rows])
        return vectors

    def _run(self, texts: list[str]) -> FloatArray:
        vectors: FloatArray = self.model.encode(texts, batch_size=len(texts), show_progress_bar=False)
        return vectors
