"""A checkpoint and calibration/ → its matrices in few bits, errors made good.   (chapter 7)

Rounding to nearest makes the least error in a matrix W; what counts is the error of W x. Its square, summed over the
inputs x of calibration texts, is (W - Q) H (W - Q)^T with H = sum(x x^T). Column by column, what a column loses is made
good by the columns that are still free, as H tells how they go together; the heaviest inputs come first. Each matrix
sees the inputs that the rounded ones before it give.   Source: Frantar et al. 2022, GPTQ (arXiv 2210.17323).

The scales are chosen before: of several for a block, the one that loses least where a column's loss weighs as much as
the others cannot make good.
"""

from collections.abc import Callable
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

BLOCK = 32
"""Numbers that share a scale."""

DAMPING = 0.01
"""Added to H's diagonal, as a share of its mean: what keeps the texts' chance patterns out of W."""

STRIDE = 128
"""Columns that are rounded before the rest of the matrix hears of it."""

SCALES = 1 / np.array([-8.6, -8.3, -8, -7.7, -7.4, -7.1, -6.8, -6.4, -6, -5.6, -5.2, 7.7, 7.4, 7.1, 6.8, 6.4, 6, 5.6])
"""Tried for 4 bits, times the number of largest magnitude: -8 to 7 reach further down than up."""

ROW_SCALES = 1 / np.outer([-1, 1], np.geomspace(6, 40, 24)).ravel()
"""Tried where a whole row has one scale: its largest number may be far from all others."""

LAYER = (
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("self_attn.o_proj",),
    ("mlp.gate_proj", "mlp.up_proj"),
    ("mlp.down_proj",),
)
"""The matrices over one input, in the order in which a layer has them."""


def round_with_feedback(
    checkpoint: Checkpoint, dtypes: dict[str, str], *, whole_rows: bool = False, progress: Progress | None = None
) -> dict[str, npt.NDArray[np.uint8]]:
    """Return each matrix of the layers as the bytes of its blocks: [outputs, inputs / 32 * bytes of a block].

    checkpoint  a folder's
    dtypes      "Q4_0" or "Q8_0" for each of them, by its name in the checkpoint
    whole_rows  all blocks of a row in 4 bits have one scale
    progress    called with (layers done, layers in all)

    Raises WeightsError where a tensor is missing.
    """
    stream = _Stream(checkpoint)
    rounded = {}
    layers = len(checkpoint.config["sliding"])
    for index in range(layers):
        for step, names in enumerate(LAYER):
            inputs = stream.inputs(index, step)
            gram = (inputs.T @ inputs).astype(np.float64)
            outputs = []
            for name in (f"layers.{index}.{name}.weight" for name in names):
                blocks, weights = _round(stream.read(name), gram, dtypes[name], whole_rows)
                rounded[name] = blocks
                outputs.append(inputs @ weights.T)
            stream.take(index, step, outputs)
        if progress:
            progress(index + 1, layers)
    return rounded


def round_rows(weights: Array) -> npt.NDArray[np.uint8]:
    """Return weights [n, k] to nearest as the bytes of Q4_0 blocks, one scale a row: [n, k / 32 * 18]."""
    scales = _best_scales(weights[:, None], np.ones((1, weights.shape[1]), np.float32), ROW_SCALES)
    numbers = np.rint(weights * _inverted(scales)).clip(*_limits("Q4_0"))
    return _blocks(numbers, np.repeat(scales, weights.shape[1] // BLOCK, axis=1), "Q4_0")


def _round(weights: Array, gram: Array, dtype: str, whole_rows: bool = False) -> tuple[npt.NDArray[np.uint8], Array]:
    """(blocks as a file holds them, what they mean) of weights [outputs, inputs]."""
    order = np.argsort(-gram.diagonal(), kind="stable")
    inverse = _inverse_root(gram, order)
    scales = np.repeat(_scales(weights, gram, dtype, whole_rows), BLOCK, axis=1).T
    numbers = np.empty(weights.shape[::-1], np.float32)
    numbers[order] = _feed_back(weights.T[order], scales[order], inverse, _limits(dtype))
    return _blocks(numbers.T, scales.T[:, ::BLOCK], dtype), np.ascontiguousarray((numbers * scales).T)


def _limits(dtype: str) -> tuple[int, int]:
    return (-8, 7) if dtype == "Q4_0" else (-127, 127)


def _damped(gram: Array) -> Array:
    diagonal = gram.diagonal()
    return gram + np.diag(np.full(len(gram), DAMPING * diagonal.mean() + np.finfo(np.float32).tiny))


def _inverse_root(gram: Array, order: Array) -> Array:
    """U, upper triangular, with H^-1 = U^T U, in the order of rounding: [inputs, inputs] float32."""
    damped = _damped(gram)[np.ix_(order, order)]
    lower: Array = np.linalg.cholesky(np.linalg.inv(damped))
    return np.ascontiguousarray(lower.T.astype(np.float32))


def _scales(weights: Array, gram: Array, dtype: str, whole_rows: bool) -> Array:
    """One scale for each block, as half precision holds it: [outputs, inputs / 32] float32."""
    outputs, inputs = weights.shape
    if dtype == "Q8_0":
        return _half(np.abs(weights.reshape(outputs, -1, BLOCK)).max(axis=2) / 127)
    size, factors = (inputs, ROW_SCALES) if whole_rows else (BLOCK, SCALES)
    importance = (1 / np.linalg.inv(_damped(gram)).diagonal()).astype(np.float32)
    scales = _best_scales(weights.reshape(outputs, -1, size), importance.reshape(-1, size), factors)
    return np.repeat(scales, size // BLOCK, axis=1)


def _best_scales(groups: Array, importance: Array, factors: Array) -> Array:
    """For each group the scale that loses least, of the largest number times `factors`.

    groups [rows, n, size], importance [n, size] of their numbers → [rows, n].
    """
    largest = np.take_along_axis(groups, np.abs(groups).argmax(axis=2, keepdims=True), axis=2)[..., 0]
    best, least = np.zeros_like(largest), np.full(largest.shape, np.inf, np.float32)
    for factor in factors.astype(np.float32):
        scale = _half(largest * factor)
        numbers = np.rint(groups * _inverted(scale)[..., None]).clip(*_limits("Q4_0"))
        lost = np.einsum("nbi,bi->nb", np.square(groups - numbers * scale[..., None]), importance)
        better = lost < least
        best[better], least[better] = scale[better], lost[better]
    return best


def _half(x: Array) -> Array:
    return x.astype(np.float16).astype(np.float32)


def _inverted(scales: Array) -> Array:
    return np.divide(1, scales, out=np.zeros_like(scales), where=scales != 0)


def _feed_back(weights: Array, scales: Array, inverse: Array, limits: tuple[int, int]) -> Array:
    """Round weights [inputs, outputs] row by row; every row below hears of what a row lost."""
    weights, inverted = np.ascontiguousarray(weights), _inverted(scales)
    numbers = np.empty_like(weights)
    for begin in range(0, len(weights), STRIDE):
        end = min(begin + STRIDE, len(weights))
        errors = np.empty((end - begin, weights.shape[1]), np.float32)
        for row in range(begin, end):
            numbers[row] = np.rint(weights[row] * inverted[row]).clip(*limits)
            error = (weights[row] - numbers[row] * scales[row]) / inverse[row, row]
            weights[row + 1 : end] -= inverse[row, row + 1 : end, None] * error
            errors[row - begin] = error
        weights[end:] -= inverse[begin:end, end:].T @ errors
    return numbers


def _blocks(numbers: Array, scales: Array, dtype: str) -> npt.NDArray[np.uint8]:
    """Blocks as ggml has them: a half-precision scale, then 32 bytes, or 16, of which byte i holds i and i + 16."""
    stored = numbers.reshape(len(numbers), -1, BLOCK).astype(np.int8)
    heads = scales.astype("<f2")[..., None].view(np.uint8)
    if dtype == "Q4_0":
        halves = (stored + 8).view(np.uint8)
        bodies = halves[..., : BLOCK // 2] | halves[..., BLOCK // 2 :] << 4
    else:
        bodies = stored.view(np.uint8)
    return np.concatenate([heads, bodies], axis=2).reshape(len(numbers), -1)


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


class _Stream:
    """The calibration texts on their way through the layers, one linear step at a time, in float32."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.config = checkpoint.config
        self.file = _core.open_safetensors(checkpoint.weights[0][0])
        sequences = calibration_ids(checkpoint)
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
            return self._norm(self.hidden, f"layers.{layer}.{norm}")
        return self.inner

    def take(self, layer: int, step: int, outputs: list[Array]) -> None:
        """Go on with what they gave: each [tokens, outputs]."""
        if step == 0:
            self.inner = self._attend(layer, *outputs)
        elif step == 2:
            self.inner = _gelu_tanh(outputs[0]) * outputs[1]
        else:
            norm = "post_attention_layernorm" if step == 1 else "post_feedforward_layernorm"
            self.hidden += self._norm(outputs[0], f"layers.{layer}.{norm}")

    def _embed(self, ids: Array) -> Array:
        name = "embed_tokens.weight"
        name = name if name in self.file.tensors else f"model.{name}"
        used, places = np.unique(ids, return_inverse=True)
        rows = np.stack([self.file.read(name, "F32", int(i), int(i) + 1).view(np.float32) for i in used])
        table: Array = rows[places] * np.float32(sqrt(self.config["hidden_size"]))
        return table

    def _norm(self, x: Array, name: str) -> Array:
        weight = 1 + self.read(f"{name}.weight")
        scale = 1 / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(self.config["rms_norm_eps"]))
        normed: Array = x * scale * weight
        return normed

    def _attend(self, layer: int, q: Array, k: Array, v: Array) -> Array:
        width, name = self.config["head_dim"], f"layers.{layer}.self_attn."
        q, k, v = (x.reshape(len(x), -1, width) for x in (q, k, v))
        q, k = self._norm(q, f"{name}q_norm"), self._norm(k, f"{name}k_norm")
        shared = q.shape[1] // k.shape[1]
        mixed = np.empty_like(q)
        for begin, end in pairwise(self.ends):
            angles, visible = self._angles(layer, end - begin), self._visible(layer, end - begin)
            rotated_q, rotated_k = _rotate(q[begin:end], angles), _rotate(k[begin:end], angles)
            for head in range(q.shape[1]):
                scores = rotated_q[:, head] @ rotated_k[:, head // shared].T
                scores *= np.float32(self.config["query_pre_attn_scalar"] ** -0.5)
                scores = np.where(visible, scores, np.float32(-np.inf))
                shares = np.exp(scores - scores.max(axis=1, keepdims=True))
                shares /= shares.sum(axis=1, keepdims=True)
                mixed[begin:end, head] = shares @ v[begin:end, head // shared]
        return mixed.reshape(len(mixed), -1)

    def _angles(self, layer: int, tokens: int) -> Array:
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


def _rotate(x: Array, angles: Array) -> Array:
    cos, sin = np.cos(angles), np.sin(angles)
    low, high = np.split(x, 2, axis=-1)
    rotated: Array = np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)
    return rotated


def _gelu_tanh(x: Array) -> Array:
    gated: Array = x * (1 + np.tanh(np.float32(sqrt(2 / pi)) * (x + np.float32(0.044715) * x * x * x))) / 2
    return gated
