"""ONNX Runtime, 8-bit weights in blocks of 32.   (a folder from convert/to_onnx.py)"""

from pathlib import Path

import onnxruntime

from rivals import FloatArray
from rivals.batching import Ids, encode_padded, load_tokenizer


class Rival:
    """Every graph optimisation on."""

    version = f"ONNX Runtime {onnxruntime.__version__}, q8"

    def __init__(self, model: str, threads: int) -> None:
        self.tokenizer = load_tokenizer(Path(model))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        path = str(Path(model) / "model.onnx")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def encode(self, texts: list[str]) -> FloatArray:
        """Return unit vectors [n, 768]."""
        return encode_padded(self.tokenizer, self._run, texts)

    def _run(self, ids: Ids, mask: Ids) -> FloatArray:
        vectors: FloatArray = self.session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return vectors
