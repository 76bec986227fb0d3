"""A checkpoint and calibration/ → what its matrices are multiplied by, one linear step at a time.

The model in NumPy and float32, all texts together, for those who must see or change what happens between its steps.
The engine itself gives only vectors.
"""

from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import cycle, pairwise
from math import pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet import _core
from gemlet.checkpoint import Checkpoint
from gemlet.packing import fit

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]

LAYER = (
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("self_attn.o_proj",),
    ("mlp.gate_proj", "mlp.up_proj"),
    ("mlp.down_proj",),
)
"""The matrices over one input, in the order in which a layer has them."""


def calibration_ids(checkpoint: Checkpoint) -> list[npt.NDArray[np.int32]]:
    """Return the ids of every calibration text, with the checkpoint's prompts in turn."""
    folder = files("gemlet") / "calibration"
    texts = sorted((file.name, file.read_text(encoding="utf-8")) for file in folder.iterdir())
    lines = [line.replace(r"\n", "\n").replace(r"\t", "\t") for _, text in texts for line in text.splitlines()]
    prompts = cycle(["", *dict.fromkeys(checkpoint.prompts.values())])
    ids, ends = checkpoint.tokenizer.encode(
        [prompt + line for prompt, line in zip(prompts, lines, strict=False)], False
    )
    return fit(
        [ids[begin:end] for begin, end in pairwise(ends)],
        lambda row: 0,
        limit=checkpoint.max_seq_length,
        truncation="right",
        bos=checkpoint.tokenizer.bos,
        eos=checkpoint.tokenizer.eos,
    ).input_ids


class Stream:
    """Texts on their way through the layers. `hidden` [tokens, hidden_size] is where they are.

    checkpoint  a folder's
    sequences   the ids of each text
    """

    def __init__(self, checkpoint: Checkpoint, sequences: list[npt.NDArray[np.int32]]) -> None:
        self.config = checkpoint.config
        self.file = _core.open_safetensors(checkpoint.weights[0][0])
        self.ends = np.cumsum([0, *(len(ids) for ids in sequences)])
        self.hidden = self._embed(np.concatenate(sequences))
        self.inner: Array = np.empty(0)

    def read(self, name: str) -> Array:
        """Return a tensor in float32."""
        name = name if name in self.file.tensors else f"model.{name}"
        shape = self.file.tensors[name][1]
        return self.file.read(name, "F32", 0, shape[0]).view(np.float32).reshape(shape)

    def inputs(self, layer: int, step: int) -> Array:
        """Return what the matrices LAYER[step] are multiplied by: [tokens, inputs]."""
        if step in (0, 2):
            norm = "input_layernorm" if step == 0 else "pre_feedforward_layernorm"
            return self.norm(self.hidden, f"layers.{layer}.{norm}")
        return self.inner

    def take(self, layer: int, step: int, outputs: list[Array]) -> None:
        """Go on with what they gave: each [tokens, outputs]."""
        if step == 0:
            self.inner = self._attend(layer, *outputs)
        elif step == 2:
            self.inner = gelu_tanh(outputs[0]) * outputs[1]
        else:
            norm = "post_attention_layernorm" if step == 1 else "post_feedforward_layernorm"
            self.hidden += self.norm(outputs[0], f"layers.{layer}.{norm}")

    def _embed(self, ids: Array) -> Array:
        name = "embed_tokens.weight"
        name = name if name in self.file.tensors else f"model.{name}"
        used, places = np.unique(ids, return_inverse=True)
        rows = np.stack([self.file.read(name, "F32", int(i), int(i) + 1).view(np.float32) for i in used])
        table: Array = rows[places] * np.float32(sqrt(self.config["hidden_size"]))
        return table

    def norm(self, x: Array, name: str) -> Array:
        """Return RMSNorm of x over its last axis, with the weight `name`."""
        weight = 1 + self.read(f"{name}.weight")
        scale = 1 / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(self.config["rms_norm_eps"]))
        normed: Array = x * scale * weight
        return normed

    def _attend(self, layer: int, q: Array, k: Array, v: Array) -> Array:
        width = self.config["head_dim"]
        mixed = np.empty_like(q)
        for head, texts, shares, _, _ in self.attention(layer, q, k):
            value = head // self.shared * width
            mixed[texts, head * width : (head + 1) * width] = shares @ v[texts, value : value + width]
        return mixed

    def attention(self, layer: int, q: Array, k: Array) -> Iterator[tuple[int, slice, Array, Array, Array]]:
        """Yield (head, the rows of a text, softmax's shares, rotated queries times the scale, rotated keys)."""
        width, name = self.config["head_dim"], f"layers.{layer}.self_attn."
        q, k = (x.reshape(len(x), -1, width) for x in (q, k))
        q, k = self.norm(q, f"{name}q_norm"), self.norm(k, f"{name}k_norm")
        q *= np.float32(self.config["query_pre_attn_scalar"] ** -0.5)
        for begin, end in pairwise(self.ends):
            angles, visible = self.angles(layer, end - begin), self._visible(layer, end - begin)
            rotated_q, rotated_k = rotate(q[begin:end], angles), rotate(k[begin:end], angles)
            for head in range(q.shape[1]):
                queries, keys = rotated_q[:, head], rotated_k[:, head // self.shared]
                scores = np.where(visible, queries @ keys.T, np.float32(-np.inf))
                shares = np.exp(scores - scores.max(axis=1, keepdims=True))
                shares /= shares.sum(axis=1, keepdims=True)
                yield head, slice(begin, end), shares, queries, keys

    @property
    def shared(self) -> int:
        """How many heads of queries look at the same keys and values."""
        heads, kinds = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        return int(heads // kinds)

    def angles(self, layer: int, tokens: int) -> Array:
        """Return RoPE's angles in a layer: [tokens, 1, head_dim / 2]."""
        sliding, width = self.config["sliding"][layer], self.config["head_dim"]
        theta = self.config["rope_local_base_freq" if sliding else "rope_theta"]
        frequencies = 1 / theta ** (np.arange(0, width, 2) / width)
        angles: Array = (np.arange(tokens)[:, None] * frequencies).astype(np.float32)
        return angles[:, None]

    def _visible(self, layer: int, tokens: int) -> Array:
        places = np.arange(tokens)
        reach = self.config["window"] if self.config["sliding"][layer] else tokens
        near: Array = np.abs(places[:, None] - places) <= reach
        return near


def rotate(x: Array, angles: Array) -> Array:
    """Return x [tokens, heads, head_dim], dimension i turned with dimension i + head_dim / 2."""
    cos, sin = np.cos(angles), np.sin(angles)
    low, high = np.split(x, 2, axis=-1)
    rotated: Array = np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)
    return rotated


def gelu_tanh(x: Array) -> Array:
    """Return what the MLP makes of its gate. Source: config hidden_activation."""
    gated: Array = x * (1 + np.tanh(np.float32(sqrt(2 / pi)) * (x + np.float32(0.044715) * x * x * x))) / 2
    return gated
