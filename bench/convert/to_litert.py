"""Checkpoint → LiteRT files of fixed lengths with 8-bit weights.   (checkpoint folder → folder)

    python bench/convert/to_litert.py CHECKPOINT FOLDER [LENGTH ...]

bench/rivals/README.md has the environment that it needs.
"""

import shutil
import sys
from pathlib import Path

import litert_torch
import torch
from ai_edge_quantizer import quantizer, recipe
from torch_model import EmbeddingGemma

LENGTHS = [32, 128, 256, 512, 1024, 2048]


def main(checkpoint: Path, folder: Path, lengths: list[int]) -> None:
    """One file for each length, since LiteRT runs shapes that are known beforehand."""
    model = EmbeddingGemma(checkpoint).eval()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(checkpoint / "tokenizer.json", folder)
    for length in lengths:
        example = (torch.randint(5, 1000, (1, length)), torch.ones(1, length, dtype=torch.int64))
        path = folder / f"{length}.tflite"
        whole = folder / f"{length}-f32.tflite"
        litert_torch.convert(model, example).export(str(whole))
        quantizer.Quantizer(str(whole), recipe.dynamic_wi8_afp32()).quantize().export_model(str(path))
        whole.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(length) for length in sys.argv[3:]] or LENGTHS)
