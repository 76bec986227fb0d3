"""Texts → token ids → padded batches → vectors, for runtimes that take rectangles.   (str → [n, 768] float32)"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from rivals import LIMIT, FloatArray

Ids = npt.NDArray[np.int64]

PADDED_TOKENS = 2048  # of a batch; 1,024 to 8,192 and one text at a time are no faster on two cores


def load_tokenizer(folder: Path) -> Any:
    """Hugging Face's tokenizer, cutting at 2,048 tokens."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(LIMIT)
    return tokenizer


def encode_padded(tokenizer: Any, run: Callable[[Ids, Ids], FloatArray], texts: list[str]) -> FloatArray:
    """Vectors of all texts, in their order; `run` takes ids and mask [batch, longest]."""
    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    vectors = np.empty((len(texts), 768), np.float32)
    for rows in batches([len(row) for row in ids]):
        vectors[rows] = run(*pad([ids[row] for row in rows]))
    return vectors


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Rows by falling length, in groups of at most PADDED_TOKENS once padded."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if not groups or (len(groups[-1]) + 1) * lengths[groups[-1][0]] > PADDED_TOKENS:
            groups.append([])
        groups[-1].append(row)
    return groups


def pad(ids: Sequence[Sequence[int]], length: int | None = None) -> tuple[Ids, Ids]:
    """Ids and mask [texts, length], padded with zeros at the end; without `length`, to the longest."""
    shape = (len(ids), length or max(map(len, ids)))
    padded, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, text in enumerate(ids):
        padded[row, : len(text)], mask[row, : len(text)] = text, 1
    return padded, mask
