"""What a classifier's file says of itself, checked.   (file → Settings, arrays)"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from gemlet.classify.safefile import damaged, read
from gemlet.embedder import Embedder
from gemlet.errors import InputError
from gemlet.index.fingerprint import model_digest
from gemlet.prompts import find_prompt
from gemlet.vectors import MATRYOSHKA_DIMS, FloatArray

_TYPES: dict[str, type | tuple[type, ...]] = {
    "model": str, "model_name": str, "prompt": str, "task": str, "method": str, "multi_label": bool,
    "unsure_below": (float, int, type(None)), "classes": list,
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Of one classifier; `model` is the SHA-256 of the weights that its vectors came from."""

    model: str
    model_name: str
    prompt: str
    task: str
    method: str
    multi_label: bool
    unsure_below: float | None
    classes: list[Any]

    def check(self, path: str | os.PathLike[str], embedder: Embedder, dim: int) -> None:
        """Raise InputError unless the embedder is the one that the classifier learned with, `dim` numbers a vector."""
        digest, _ = model_digest(embedder.checkpoint, None)
        if digest != self.model:
            raise InputError(
                f"the classifier {os.fspath(path)} learned from vectors of {self.model_name} ({self.model[:12]}), and "
                f"{embedder.name} is another model ({digest[:12]}): take that one with --model, or train it anew"
            )
        prompt = find_prompt(embedder.prompts, self.task)
        if prompt != self.prompt:
            raise InputError(
                f"the classifier {os.fspath(path)} learned from texts behind the prompt {self.prompt!r}, and this "
                f"model's is {prompt!r}: train it anew"
            )
        full = embedder.checkpoint.config["dense"][-1]
        allowed = [full, *(smaller for smaller in MATRYOSHKA_DIMS if smaller < full)]
        if dim not in allowed:
            raise damaged(
                path, f"it wants vectors of {dim} numbers, and the model gives {', '.join(map(str, allowed))}"
            )


def read_settings(path: str | os.PathLike[str]) -> tuple[Settings, dict[str, FloatArray]]:
    """Read a classifier's file. Raises InputError for one that does not fit together; see safefile.read()."""
    said, arrays = read(path)
    for key, kind in _TYPES.items():
        if not isinstance(said, dict) or not isinstance(said.get(key, ...), kind):
            raise damaged(path, f"its {key} is missing or of another kind")
    settings = Settings(**{key: said[key] for key in _TYPES})
    count = len(settings.classes)
    shapes = {name: array.shape for name, array in arrays.items()}
    weights = shapes.get("weights", ())
    if (
        not count
        or len(weights) != 2
        or shapes != {"weights": (weights[0], count), "bias": (count,), "thresholds": (count,)}
    ):
        raise damaged(path, f"it has {count} classes and numbers for others")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise damaged(path, "some of its numbers are not finite")
    if not all(isinstance(label, str | int) for label in settings.classes) or len(set(settings.classes)) != count:
        raise damaged(path, "its labels are not text or numbers, or one is there twice")
    return settings, arrays
