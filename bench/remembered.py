"""Vectors that are embedded once and kept in a folder, cut to any dimension.   (embedder + folder → embedder)"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from gemlet import Embedder, InputError
from gemlet.embedder import Usage
from gemlet.evaluation.kept import STEP, KeptVectors
from gemlet.texts import Texts, as_texts
from gemlet.vectors import normalize

DIM = 768


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

        folder  of KeptVectors, of one model; one process at a time writes it
        """
        super().__init__(name_or_path, **options)
        self._kept = KeptVectors(folder, super().encode, progress=_tell)

    def encode(self, sentences: Texts, *, truncate_dim: int | None = None, **options: Any) -> Any:
        """Embedder.encode() as float32, for a prompt or its name; other options must be left as they are."""
        texts, single = as_texts(sentences)
        known = ("prompt", "prompt_name", "return_usage")
        unknown = {name for name, value in options.items() if name not in known and value not in (None, False)}
        if unknown:
            raise InputError(f"remembered vectors have no {', '.join(sorted(unknown))}")
        prompts = self._prompts_for(texts, options.get("prompt_name"), options.get("prompt"))
        rows = self._kept.of([prompt + text for prompt, text in zip(prompts, texts, strict=True)])
        dim = truncate_dim or self.truncate_dim
        rows = rows if dim == DIM else normalize(rows[:, :dim].copy())
        result = rows[0] if single else rows
        if not options.get("return_usage"):
            return result
        tokens = self.count_tokens([prompt + text for prompt, text in zip(prompts, texts, strict=True)])
        return result, Usage(tokens, np.zeros_like(tokens))


def _tell(count: int) -> None:
    if count == STEP:
        print(f"  embedded {count} more texts", flush=True)
