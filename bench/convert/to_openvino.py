"""Checkpoint → OpenVINO IR with 8-bit weights.   (checkpoint folder → folder)

    python bench/convert/to_openvino.py CHECKPOINT FOLDER

bench/rivals/README.md has the environment that it needs.
"""

import shutil
import sys
from pathlib import Path

import nncf
import openvino
import torch
from torch_model import EmbeddingGemma


def main(checkpoint: Path, folder: Path) -> None:
    """Trace with both axes free, compress each matrix to 8 bits (asymmetric, a scale for each row), save."""
    dynamic = [(name, [-1, -1], openvino.Type.i64) for name in ("input_ids", "attention_mask")]
    example = {"input_ids": torch.randint(5, 1000, (2, 16)), "attention_mask": torch.ones(2, 16, dtype=torch.int64)}
    with torch.no_grad():
        model = openvino.convert_model(EmbeddingGemma(checkpoint).eval(), example_input=example, input=dynamic)
    model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    folder.mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    shutil.copy(checkpoint / "tokenizer.json", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
