"""A checkpoint's tensors on a device.   (Checkpoint → Weights)"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from gemlet import _core
from gemlet.checkpoint import Checkpoint
from gemlet.errors import UnsupportedModel, WeightsError

_STORED = {torch.float32: "F32", torch.bfloat16: "BF16"}


@dataclass(frozen=True)
class Layer:
    """One layer. Matrices [outputs, inputs] of the computation's type; norms float32, 1 + w already.

    The rows of q and k, and their norms, are paired(): no product of a query and a key depends on their order.
    """

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

    Raises WeightsError for a tensor that is missing, UnsupportedModel for one of another shape.
    """
    reader = _Reader(checkpoint, device)
    config = checkpoint.config
    widths = [config["hidden_size"], *config["dense"]]
    dense = [
        reader.matrix(f"dense.{i}.linear", outputs, inputs, torch.float32)
        for i, (inputs, outputs) in enumerate(pairwise(widths))
    ]
    layers = [_layer(reader, config, number, dtype) for number in range(len(config["sliding"]))]
    table = reader.matrix("embed_tokens", config["vocab_size"], config["hidden_size"], dtype)
    return Weights(table, layers, reader.norm("norm", config["hidden_size"]), dense)


def _layer(reader: "_Reader", config: dict[str, Any], number: int, dtype: torch.dtype) -> Layer:
    name = f"layers.{number}."
    attention, feed = f"{name}self_attn.", f"{name}mlp."
    hidden, head, mlp = config["hidden_size"], config["head_dim"], config["intermediate_size"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    q = paired(reader.matrix(f"{attention}q_proj", queries, hidden, dtype), head)
    k = paired(reader.matrix(f"{attention}k_proj", keys, hidden, dtype), head)
    v = reader.matrix(f"{attention}v_proj", keys, hidden, dtype)
    return Layer(
        sliding=config["sliding"][number],
        input_layernorm=reader.norm(f"{name}input_layernorm", hidden),
        qkv_proj=torch.cat([q, k, v]),
        q_norm=paired(reader.norm(f"{attention}q_norm", head), head),
        k_norm=paired(reader.norm(f"{attention}k_norm", head), head),
        o_proj=reader.matrix(f"{attention}o_proj", hidden, queries, dtype),
        post_attention_layernorm=reader.norm(f"{name}post_attention_layernorm", hidden),
        pre_feedforward_layernorm=reader.norm(f"{name}pre_feedforward_layernorm", hidden),
        gate_up_proj=torch.cat([reader.matrix(f"{feed}{part}_proj", mlp, hidden, dtype) for part in ("gate", "up")]),
        down_proj=reader.matrix(f"{feed}down_proj", hidden, mlp, dtype),
        post_feedforward_layernorm=reader.norm(f"{name}post_feedforward_layernorm", hidden),
    )


def paired(rows: Tensor, head: int) -> Tensor:
    """[heads * head, ...] with the two rows that RoPE turns together, i and i + head / 2, side by side in each head."""
    halves = rows.unflatten(0, (-1, 2, head // 2))
    return halves.transpose(1, 2).flatten(0, 2).contiguous()


class _Reader:
    """Finds tensors by the engine's names, in a folder's files or in the one file."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self._device = device
        self._add = 0.0 if checkpoint.gguf is not None else 1.0  # to a norm: a .gguf file holds 1 + w
        self._found: dict[str, tuple[_core.WeightFile, str]] = {}
        self._where = checkpoint.weights[0][0]
        for file, prefix in checkpoint.files():
            self._found |= {prefix + name.removeprefix("model."): (file, name) for name in file.tensors}

    def norm(self, name: str, width: int) -> Tensor:
        """[width] float32, 1 + w."""
        return self._read(f"{name}.weight", [width], torch.float32, self._add).to(self._device)

    def matrix(self, name: str, outputs: int, inputs: int, dtype: torch.dtype) -> Tensor:
        """[outputs, inputs] in `dtype`."""
        return self._read(f"{name}.weight", [outputs, inputs], dtype).to(self._device)

    def _read(self, name: str, shape: list[int], dtype: torch.dtype, add: float = 0.0) -> Tensor:
        if name not in self._found:
            raise WeightsError(f"{self._where} has no tensor {name}: the checkpoint is incomplete", self._where)
        file, own_name = self._found[name]
        found: Any = file.tensors[own_name][1]
        if list(found) != shape:
            message = f"{file.path}: tensor {own_name} has the shape {list(found)}, not {shape}"
            raise UnsupportedModel(message, own_name, found)
        values = file.read(own_name, _STORED[dtype], 0, shape[0], add)
        return torch.from_numpy(values).view(dtype).reshape(shape)
