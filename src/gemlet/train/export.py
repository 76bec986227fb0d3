"""A trained model → a folder that sentence-transformers and gemlet load.   (Student → folder)

Every file but the weights is the base checkpoint's own, byte for byte: its tokenizer, prompts, modules and settings.
What transformers would write instead says 257 of the window, and halves it at the next load.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gemlet.checkpoint import checkpoint_files, read_checkpoint
from gemlet.errors import TrainingError
from gemlet.train.checkpoints import writing

_ALSO = (
    "added_tokens.json", "generation_config.json", "special_tokens_map.json", "tokenizer.model",
    "tokenizer_config.json",
)  # fmt: skip
_WINDOW = 512
_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float32}


def export(student: Any, base: Path, target: Path, extra: dict[str, bytes], *, exact: bool = False) -> None:
    """Write the model into the new folder `target`, which appears only when it is whole.

    student  without LoRA (merged)
    base     the folder that it began with: its other files, and the names and types of its tensors
    extra    name → content of more files: the card, the curve
    exact    every number in float32, whatever the base has

    Raises TrainingError for a full disk, or numbers that are not finite.
    """
    partial = target.with_name(f".{target.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    with writing("the trained model", target.parent, "the run is kept; the same command writes it again", partial):
        partial.mkdir(parents=True)
        _copy(base, partial)
        modules = {module["path"]: module["name"] for module in json.loads((base / "modules.json").read_bytes())}
        state = student.state_dict()
        for file in [path for path in checkpoint_files(base) if path.name == "model.safetensors"]:
            path = file.relative_to(base)
            name = modules["" if path.parent == Path(".") else path.parent.as_posix()]
            prefix = f"{name}.model." if path.parent == Path(".") else f"{name}."
            _write_weights(file, partial / path, state, prefix, exact)
        for name, content in extra.items():
            (partial / name).write_bytes(content)
        read_checkpoint(partial)
        for file in partial.rglob("*"):
            if file.is_file():
                file.chmod(0o666 & ~_umask())
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        partial.rename(target)


def _copy(base: Path, partial: Path) -> None:
    names = [path.relative_to(base) for path in checkpoint_files(base) if path.name != "model.safetensors"]
    names += [Path(name) for name in _ALSO if (base / name).is_file()]
    for name in names:
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base / name, partial / name)
    config = json.loads((partial / "config.json").read_bytes())
    if config["sliding_window"] != _WINDOW:  # transformers saved it once
        config["sliding_window"] = _WINDOW
        (partial / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def _write_weights(file: Path, target: Path, state: dict[str, torch.Tensor], prefix: str, exact: bool) -> None:
    """The trained numbers under the names, and unless `exact` in the type, that the base's file has."""
    tensors = {}
    with safe_open(file, "pt") as opened:
        names = opened.keys()
        for name in names:
            value = state[prefix + name.removeprefix("model.")].detach().cpu()
            if not torch.isfinite(value).all():
                raise TrainingError(f"the trained {name} holds NaN or infinity: train with a lower --lr")
            tensors[name] = value.to(
                torch.float32 if exact else _DTYPES[opened.get_slice(name).get_dtype()]
            ).contiguous()
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target, metadata={"format": "pt"})


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
