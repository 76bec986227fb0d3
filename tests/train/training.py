"""A tiny checkpoint to train, and rows that it can learn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tiny_model import write_tiny_checkpoint

from gemlet.train import LossSettings, Settings

DIMS = (64, 32)


def write_student(folder: Path, **config: Any) -> Path:
    """Two heads instead of three: transformers 5 wants a width that they divide."""
    return write_tiny_checkpoint(folder, num_attention_heads=2, **config)


def settings(**choices: Any) -> Settings:
    """For the tiny model, whose vectors have 64 numbers."""
    loss = choices.pop("loss", {})
    return Settings(**({"batch": 8, "learning_rate": 1e-3} | choices), loss=LossSettings(**({"dims": DIMS} | loss)))


def words(rng: np.random.Generator, count: int) -> str:
    return " ".join("".join(rng.choice(list("abcdefghij"), 4)) for _ in range(count))


def pairs(count: int, negatives: int = 0, seed: int = 0) -> list[dict[str, Any]]:
    """A positive has its anchor's first word among others; lengths differ."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        anchor = words(rng, int(rng.integers(1, 5)))
        row = {"anchor": anchor, "positive": f"{anchor.split()[0]} {words(rng, int(rng.integers(1, 12)))}"}
        rows.append(row | {f"negative_{i}": words(rng, 4) for i in range(1, negatives + 1)})
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def curve(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
