"""The tiny model as a SentenceTransformer, and batches for it."""

from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tiny_model import write_tiny_checkpoint

DIMS = (64, 32, 16)
HALF = 3
QUERIES = [
    "red planet",
    "who wrote it",
    "the red planet",
    "a b c",
    "red planet",
    "how long is a longer question like this",
]
POSITIVES = ["Mars", "the author of the book", "Mars is red", "d e f", "the planet Mars", "quite long"]
NEGATIVES = ["Venus is not", "a reader", "the moon", "1 2 3", "a red apple and other fruit of the garden", "short"]
LABELS = torch.tensor([4, 1, 4, 2, 1, 4])


def write_tiny(folder: Path) -> Path:
    """Two heads instead of three: transformers 5 wants a width that they divide."""
    return write_tiny_checkpoint(folder, num_attention_heads=2)


def load(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu")


def columns(model: SentenceTransformer, rows: slice = slice(None)) -> list[dict[str, torch.Tensor]]:
    """Query, positive, two hard negatives, each padded to the longest of these rows; two queries are the same."""
    texts = (QUERIES, POSITIVES, NEGATIVES, POSITIVES[::-1])
    return [model.preprocess(column[rows]) for column in texts]


def teacher(rows: slice = slice(None)) -> torch.Tensor:
    """[B, 4 · 64] float32."""
    return torch.from_numpy(np.random.default_rng(5).standard_normal((6, 4 * 64)).astype(np.float32))[rows]


def backward(parts: dict[str, torch.Tensor], factor: float = 1.0) -> float:
    """What the trainer does: the parts' sum goes back; returns it."""
    loss = torch.stack(list(parts.values())).sum()
    (loss * factor).backward()
    return loss.item()


def gradients(model: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: p.grad.double().numpy().copy() for name, p in model.named_parameters()}


def furthest(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> float:
    """The largest difference of any gradient, as a share of the largest gradient of its tensor."""
    assert some.keys() == others.keys()
    return max(np.abs(some[name] - others[name]).max() / np.abs(others[name]).max() for name in some)
