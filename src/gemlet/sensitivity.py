"""A checkpoint → how much its vectors feel an error in each direction of an embedding.

A text reads a few rows of the table of token embeddings. What an error e in one of them does to the text's vector is
e^T M e with M = mean(J^T J), J being what the vector makes of the embedding. M comes from going back through the model
with the gradient of the vector along a random direction, a text at a time: the mean of such gradients' outer products.
It stands in for the inputs' Gram matrix where error feedback rounds the table (feedback.py).
"""

from itertools import pairwise
from math import pi, sqrt

import numpy as np
import numpy.typing as npt

from gemlet import _core
from gemlet.checkpoint import Checkpoint
from gemlet.stream import LAYER, Array, Progress, Stream, calibration_ids, gelu_tanh, rotate

EVERY = 8
"""One calibration text of so many is enough: each token gives a gradient."""

TOKENS = 48
"""Of a text. What attention sees further away tells nothing new."""

SEED = 0
"""Of the directions."""


def sensitivity(checkpoint: Checkpoint, progress: Progress | None = None) -> npt.NDArray[np.float64]:
    """Return M [hidden_size, hidden_size], symmetric; only the ratios of its elements mean something.

    checkpoint  a folder's
    progress    called with (steps done, steps in all)

    Raises WeightsError where a tensor is missing.
    """
    stream = Stream(checkpoint, [ids[:TOKENS] for ids in calibration_ids(checkpoint)[::EVERY]])
    layers = len(checkpoint.config["sliding"])
    states = []
    for layer in range(layers):
        states.append(stream.hidden.copy())
        _Step(stream, layer).forward()
        if progress:
            progress(layer + 1, 2 * layers)
    gradient = _of_the_vectors(stream, checkpoint)
    for layer in reversed(range(layers)):
        stream.hidden = states.pop()
        gradient = _Step(stream, layer).backward(gradient)
        if progress:
            progress(2 * layers - layer, 2 * layers)
    ends = [*stream.ends[:-1], *(stream.ends[1:] - 1)]  # <bos> and <eos> are unlike all others
    inner = np.delete(gradient, ends, axis=0)
    return (inner.T @ inner).astype(np.float64)


def _of_the_vectors(stream: Stream, checkpoint: Checkpoint) -> Array:
    """The gradient of each text's unit vector along a random direction, at the states behind the last layer."""
    first, second = (_read(file, "linear.weight") for file, _ in checkpoint.weights[1:])
    normed = stream.norm(stream.hidden, "norm")
    random = np.random.default_rng(SEED)
    gradient = np.empty_like(normed)
    for begin, end in pairwise(stream.ends):
        vector = second @ (first @ normed[begin:end].mean(axis=0))
        length = np.sqrt(vector @ vector)
        direction = random.standard_normal(len(vector), np.float32)
        along = direction - vector * (vector @ direction) / length**2
        gradient[begin:end] = (along / length) @ second @ first / (end - begin)
    return _back_through_norm(stream.hidden, 1 + stream.read("norm.weight"), stream.config["rms_norm_eps"], gradient)


def _read(path: str, name: str) -> Array:
    file = _core.open_safetensors(path)
    shape = file.tensors[name][1]
    return file.read(name, "F32", 0, shape[0]).view(np.float32).reshape(shape)


class _Step:
    """A layer, forth and back. The names are the checkpoint's."""

    def __init__(self, stream: Stream, layer: int) -> None:
        self.stream, self.layer = stream, layer
        self.name = f"layers.{layer}."
        self.weights = {
            name.partition(".")[2]: stream.read(f"{self.name}{name}.weight") for names in LAYER for name in names
        }

    def forward(self) -> list[tuple[Array, list[Array]]]:
        """Take the stream through the layer; return (inputs, outputs) of its four linear steps."""
        steps = []
        for step, names in enumerate(LAYER):
            inputs = self.stream.inputs(self.layer, step)
            outputs = [inputs @ self.weights[name.partition(".")[2]].T for name in names]
            self.stream.take(self.layer, step, outputs)
            steps.append((inputs, outputs))
        return steps

    def backward(self, gradient: Array) -> Array:
        """Return the gradient before the layer, from the one behind it; the stream stands before it."""
        before, weights = self.stream.hidden.copy(), self.weights
        (_, (q, k, v)), (_, (o,)), (_, (gate, up)), (_, (down,)) = self.forward()
        middle = before + self.stream.norm(o, f"{self.name}post_attention_layernorm")

        product = self._norm(down, "post_feedforward_layernorm", gradient) @ weights["down_proj"]
        inner = product * up * _gelu_slope(gate) @ weights["gate_proj"] + product * gelu_tanh(gate) @ weights["up_proj"]
        gradient = gradient + self._norm(middle, "pre_feedforward_layernorm", inner)

        mixed = self._norm(o, "post_attention_layernorm", gradient) @ weights["o_proj"]
        to_q, to_k, to_v = self._attention(q, k, v, mixed)
        inner = to_q @ weights["q_proj"] + to_k @ weights["k_proj"] + to_v @ weights["v_proj"]
        return gradient + self._norm(before, "input_layernorm", inner)

    def _attention(self, q: Array, k: Array, v: Array, mixed: Array) -> tuple[Array, Array, Array]:
        """The gradients of q, k and v."""
        stream, width = self.stream, self.stream.config["head_dim"]
        to_q, to_k, to_v = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
        for head, texts, shares, queries, keys in stream.attention(self.layer, q, k):
            own = slice(head * width, (head + 1) * width)
            common = slice(head // stream.shared * width, (head // stream.shared + 1) * width)
            to_v[texts, common] += shares.T @ mixed[texts, own]
            to_shares = mixed[texts, own] @ v[texts, common].T
            to_scores = shares * (to_shares - (to_shares * shares).sum(axis=1, keepdims=True))
            to_q[texts, own] = to_scores @ keys
            to_k[texts, common] += to_scores.T @ queries
        to_q *= np.float32(stream.config["query_pre_attn_scalar"] ** -0.5)
        return self._heads(q, "q_norm", to_q), self._heads(k, "k_norm", to_k), to_v

    def _heads(self, x: Array, norm: str, gradient: Array) -> Array:
        """Back through RoPE and the norm of queries or keys."""
        width = self.stream.config["head_dim"]
        x, turned = (array.reshape(len(x), -1, width) for array in (x, gradient))
        for begin, end in pairwise(self.stream.ends):
            turned[begin:end] = rotate(turned[begin:end], -self.stream.angles(self.layer, end - begin))
        return self._norm(x, f"self_attn.{norm}", turned).reshape(len(x), -1)

    def _norm(self, x: Array, name: str, gradient: Array) -> Array:
        weight = 1 + self.stream.read(f"{self.name}{name}.weight")
        return _back_through_norm(x, weight, self.stream.config["rms_norm_eps"], gradient)


def _back_through_norm(x: Array, weight: Array, eps: float, gradient: Array) -> Array:
    """The gradient of x, from the one of weight * x / sqrt(mean(x^2) + eps)."""
    scale = 1 / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(eps))
    gradient = gradient * weight
    back: Array = scale * (gradient - x * np.square(scale) * (x * gradient).mean(axis=-1, keepdims=True))
    return back


def _gelu_slope(x: Array) -> Array:
    """The derivative of gelu_tanh."""
    factor, cubic = np.float32(sqrt(2 / pi)), np.float32(0.044715)
    tanh = np.tanh(factor * (x + cubic * x * x * x))
    slope: Array = (1 + tanh) / 2 + x * (1 - tanh * tanh) / 2 * factor * (1 + 3 * cubic * x * x)
    return slope
