"""A checkpoint's tensors on a device.   (Checkpoint → Weights)"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gemlet import _core
from gemlet.checkpoint import Checkpoint
from gemlet.errors import UnsupportedModel, WeightsError

_STORED = {torch.float32: ("F32", 4), torch.bfloat16: ("BF16", 2)}


@dataclass(frozen=True)
class Layer:
    """One layer. Matrices [outputs, inputs] of the computation's type; norms float32, 1 + w already."""

    sliding: bool
    input_layernorm: Tensor
    qkv_proj: Tensor  # q, k and v one below the other
    q_norm: Tensor
    k_norm: Tensor
    o_proj: Tensor
    post_attention_layernorm: Tensor
    pre_feedforward_layernorm: Tensor
    gate_up_proj: Tensor  # gate above up
    down_proj: Tensor
    post_feedforward_layernorm: Tensor


@dataclass(frozen=True)
class Weights:
    """embed_tokens [vocabulary, hidden] of the computation's type; norm and dense in float32."""

    embed_tokens: Tensor
    layers: list[Layer]
    norm: Tensor
    dense: list[Tensor]


def read_weights(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> Weights:
    """Bring them there, matrix by matrix; what a .gguf file holds in 8 or 4 bits is widened.

    Raises WeightsError for a tensor that is missing or of another shape.
    """
    reader = _Reader(checkpoint, device, dtype)
    config = checkpoint.config
    hidden, head, mlp = config["hidden_size"], config["head_dim"], config["intermediate_size"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    layers = []
    for number, sliding in enumerate(config["sliding"]):
        name = f"layers.{number}."
        attention, feed = f"{name}self_attn.", f"{name}mlp."
        layers.append(
            Layer(
                sliding,
                reader.norm(f"{name}input_layernorm", hidden),
                reader.matrices(
                    hidden,
                    (f"{attention}q_proj", queries), (f"{attention}k_proj", keys), (f"{attention}v_proj", keys),
                ),
                reader.norm(f"{attention}q_norm", head),
                reader.norm(f"{attention}k_norm", head),
                reader.matrices(queries, (f"{attention}o_proj", hidden)),
                reader.norm(f"{name}post_attention_layernorm", hidden),
                reader.norm(f"{name}pre_feedforward_layernorm", hidden),
                reader.matrices(hidden, (f"{feed}gate_proj", mlp), (f"{feed}up_proj", mlp)),
                reader.matrices(mlp, (f"{feed}down_proj", hidden)),
                reader.norm(f"{name}post_feedforward_layernorm", hidden),
            )
        )  # fmt: skip
    widths = [hidden, *config["dense"]]
    dense = [
        reader.matrix(f"dense.{i}.linear", [outputs, inputs], torch.float32)
        for i, (inputs, outputs) in enumerate(pairwise(widths))
    ]
    table = reader.matrix("embed_tokens", [config["vocab_size"], hidden], dtype)
    return Weights(table, layers, reader.norm("norm", hidden), dense)


class _Reader:
    """Finds tensors by the engine's names, in a folder's files or in the one file."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._add = 0.0 if checkpoint.gguf is not None else 1.0  # to a norm: a .gguf file holds 1 + w
        self._found: dict[str, tuple[_core.WeightFile, str]] = {}
        self._where = checkpoint.weights[0][0]
        files: list[tuple[_core.WeightFile, str]] = (
            [(checkpoint.gguf, "")] if checkpoint.gguf is not None
            else [(_core.open_safetensors(file), prefix) for file, prefix in checkpoint.weights]
        )  # fmt: skip
        for file, prefix in files:
            self._found |= {prefix + name.removeprefix("model."): (file, name) for name in file.tensors}

    def norm(self, name: str, width: int) -> Tensor:
        """[width] float32, 1 + w."""
        return self._read(f"{name}.weight", [width], torch.float32, self._add).to(self._device)

    def matrix(self, name: str, shape: list[int], dtype: torch.dtype) -> Tensor:
        """[outputs, inputs] in `dtype`."""
        return self._read(f"{name}.weight", shape, dtype).to(self._device)

    def matrices(self, inputs: int, *parts: tuple[str, int]) -> Tensor:
        """Several matrices over one input, given as (name, outputs), one below the other."""
        return torch.cat([self.matrix(name, [outputs, inputs], self._dtype) for name, outputs in parts])

    def _read(self, name: str, shape: list[int], dtype: torch.dtype, add: float = 0.0) -> Tensor:
        if name not in self._found:
            raise WeightsError(f"{self._where} has no tensor {name}: the checkpoint is incomplete", self._where)
        file, own_name = self._found[name]
        found: Any = file.tensors[own_name][1]
        if list(found) != shape:
            message = f"{file.path}: tensor {own_name} has the shape {list(found)}, not {shape}"
            raise UnsupportedModel(message, own_name, found)
        stored, size = _STORED[dtype]
        values = file.read(own_name, stored, 0, shape[0], add)
        assert values.nbytes == size * int(np.prod(shape))
        return torch.from_numpy(values).view(dtype).reshape(shape)
