"""OpenVINO, 8-bit weights, dynamic quantisation of the inputs.   (a folder from convert/to_openvino.py)"""

from pathlib import Path
from typing import Any

import openvino

from rivals import FloatArray
from rivals.batching import Ids, encode_padded, load_tokenizer


class Rival:
    """One latency stream; what is not 8-bit is computed in `precision`: bf16, or f32."""

    version = f"OpenVINO {openvino.__version__.split('-')[0]}"

    def __init__(self, model: str, threads: int, precision: str = "bf16", group: str = "64") -> None:
        self.version += f", int8 weights, {precision}"
        self.tokenizer = load_tokenizer(Path(model))
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
            "INFERENCE_NUM_THREADS": str(threads),
            "NUM_STREAMS": "1",
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = openvino.Core().compile_model(Path(model) / "model.xml", "CPU", settings)
        self.request = compiled.create_infer_request()

    def encode(self, texts: list[str]) -> FloatArray:
        """Return unit vectors [n, 768]."""
        return encode_padded(self.tokenizer, self._run, texts)

    def _run(self, ids: Ids, mask: Ids) -> FloatArray:
        vectors: FloatArray = self.request.infer([ids, mask], share_inputs=True)[0]
        return vectors.copy()
