"""Checkpoint → OpenVINO IR with 8-bit weights, or 4-bit ones.   (checkpoint folder → folder)

    python bench/convert/to_openvino.py CHECKPOINT FOLDER [int4]

bench/rivals/README.md has the environment that it needs.
"""

import shutil
import sys
from pathlib import Path

import nncf
import openvino
import torch
from torch_model import EmbeddingGemma

MODES = {
    "int8": {"mode": nncf.CompressWeightsMode.INT8_ASYM},  # a scale for each row
    "int4": {"mode": nncf.CompressWeightsMode.INT4_ASYM, "group_size": 64, "all_layers": True},  # divides every width
}


def main(checkpoint: Path, folder: Path, mode: str) -> None:
    """Trace with both axes free, compress each matrix, save."""
    dynamic = [(name, [-1, -1], openvino.Type.i64) for name in ("input_ids", "attention_mask")]
    example = {"input_ids": torch.randint(5, 1000, (2, 16)), "attention_mask": torch.ones(2, 16, dtype=torch.int64)}
    with torch.no_grad():
        model = openvino.convert_model(EmbeddingGemma(checkpoint).eval(), example_input=example, input=dynamic)
    model = nncf.compress_weights(model, **MODES[mode])
    folder.mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    shutil.copy(checkpoint / "tokenizer.json", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "int8")
