"""The forward pass in PyTorch.   (input_ids, cu_seqlens → vectors)

The same steps as native/model and reference/. The residual stream, norms, RoPE, the mean and the dense head are in
float32 whatever the matrices are in: the stream's outliers reach 8e5, and bfloat16 has eight significant bits.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding, linear

from gemlet.checkpoint import Checkpoint
from gemlet.errors import InputError
from gemlet.gpu import FloatArray, IntArray, steps
from gemlet.gpu.attention import choose_attention, kernels_for
from gemlet.gpu.layout import Layout
from gemlet.gpu.weights import Layer, Weights, read_weights

_BUDGET_ON_CPU = 2048
_LARGEST_BUDGET = 32_768  # tokens: a GPU is busy with fewer
_LEAST_BUDGET = 2048
_SHARE = 0.5  # of the memory that is free once the weights are there
# Of a token in the widest step: the stream and its norm, q, k, v and their rotated copies in float32, and as much again
# for what PyTorch keeps to give out anew.
_BYTES_PER_NUMBER = 32


class TorchModel:
    """What `_core.Model` is, on a device of PyTorch. Any number of threads may use one; they take turns."""

    def __init__(
        self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, token_budget: int | None
    ) -> None:
        """See gemlet.gpu.open_model()."""
        self.config = config = checkpoint.config
        self.device, self.dtype = device, dtype
        self._lock = Lock()
        self._scale = math.sqrt(config["hidden_size"])
        with _enough_memory("the weights do", device), torch.inference_mode():
            self._weights: Weights = read_weights(checkpoint, device, dtype)
            self._turns = {
                sliding: _turns(config["max_position_embeddings"], config["head_dim"], config[theta], device)
                for sliding, theta in ((True, "rope_local_base_freq"), (False, "rope_theta"))
            }
            self._attend = choose_attention(kernels_for(device, dtype), config, device, dtype)
        self.token_budget = token_budget or self._roomy()

    @property
    def threads(self) -> int:
        """PyTorch's own setting."""
        return int(torch.get_num_threads())

    @property
    def isa(self) -> str:
        """The device's name."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "PyTorch on the CPU"

    @property
    def attention(self) -> str:
        """Which attention was chosen, for reports."""
        return str(getattr(self._attend, "__name__", self._attend))

    def embed(self, input_ids: IntArray, cu_seqlens: IntArray) -> FloatArray:
        """[sequences, dim] float32 from behind the dense head, not normalised."""
        return self._in_parts(input_ids, cu_seqlens, self._pooled)

    def token_embeddings(self, input_ids: IntArray, cu_seqlens: IntArray) -> FloatArray:
        """[tokens, hidden] float32 from behind the final norm."""
        return self._in_parts(input_ids, cu_seqlens, self._hidden)

    def _in_parts(self, ids: IntArray, ends: IntArray, compute: Callable[[Tensor, Layout], Tensor]) -> FloatArray:
        """Run sequences under the budget; where the memory is full, half of them, and no more than that ever again."""
        self._check(ids, ends)
        parts, first = [], 0
        with self._lock, torch.inference_mode():
            while first < len(ends) - 1:
                last = first + 1
                while last < len(ends) - 1 and ends[last + 1] - ends[first] <= self.token_budget:
                    last += 1
                tokens = int(ends[last] - ends[first])
                try:
                    flat = torch.from_numpy(ids[ends[first] : ends[last]].astype(np.int64)).to(self.device)
                    layout = Layout(ends[first : last + 1] - ends[first], self.config["window"], self.device)
                    parts.append(compute(flat, layout).cpu().numpy())
                    first = last
                    continue
                except torch.OutOfMemoryError:
                    if last - first == 1:
                        raise _full(f"one text of {tokens:,} tokens does", self.device) from None
                self.token_budget = tokens // 2  # behind the except, which holds what the failed step had made
                torch.cuda.empty_cache()
        return np.concatenate(parts)

    def _check(self, ids: IntArray, ends: IntArray) -> None:
        """Raise InputError for what the device would run wrongly or fall over, in the engine's words."""
        vocabulary, limit = self.config["vocab_size"], self.config["max_position_embeddings"]
        sizes = np.diff(ends)
        for row in np.flatnonzero((sizes < 1) | (sizes > limit))[:1]:
            raise InputError(f"sequence {row} has {sizes[row]} tokens; 1 to {limit} are possible")
        for token in ids[(ids < 0) | (ids >= vocabulary)][:1]:
            raise InputError(f"token id {token} is outside the vocabulary of {vocabulary}")

    def _pooled(self, ids: Tensor, layout: Layout) -> Tensor:
        vectors = torch.segment_reduce(self._hidden(ids, layout), "mean", lengths=layout.lengths, unsafe=True)
        for matrix in self._weights.dense:
            vectors = linear(vectors, matrix)
        return vectors

    def _hidden(self, ids: Tensor, layout: Layout) -> Tensor:
        weights, eps = self._weights, self.config["rms_norm_eps"]
        x = embedding(ids, weights.embed_tokens).float() * self._scale
        turns = {sliding: turns[layout.positions] for sliding, turns in self._turns.items()}
        for layer in weights.layers:
            out = self._attention(layer, x, layout, turns[layer.sliding])
            x = steps.joined(x, out, layer.post_attention_layernorm, eps)
            out = self._mlp(layer, x)
            x = steps.joined(x, out, layer.post_feedforward_layernorm, eps)
        return steps.normed(x, weights.norm, eps, torch.float32)

    def _attention(self, layer: Layer, x: Tensor, layout: Layout, turns: Tensor) -> Tensor:
        config, eps = self.config, self.config["rms_norm_eps"]
        heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
        mixed = linear(steps.normed(x, layer.input_layernorm, eps, self.dtype), layer.qkv_proj)
        q, k, v = mixed.view(len(x), heads + 2 * groups, -1).split([heads, groups, groups], dim=1)
        q, k = steps.turned(q, layer.q_norm, eps, turns), steps.turned(k, layer.k_norm, eps, turns)
        scale = config["query_pre_attn_scalar"] ** -0.5
        context = self._attend(q, k, v.contiguous(), layout, layer.sliding, scale)
        return linear(context.reshape(len(x), -1), layer.o_proj)

    def _mlp(self, layer: Layer, x: Tensor) -> Tensor:
        rows = steps.normed(x, layer.pre_feedforward_layernorm, self.config["rms_norm_eps"], self.dtype)
        return linear(steps.gated(linear(rows, layer.gate_up_proj)), layer.down_proj)

    def _roomy(self) -> int:
        """Tokens that run at once, by the memory that is free."""
        if self.device.type == "cpu":
            return _BUDGET_ON_CPU
        config = self.config
        widest = max(2 * config["intermediate_size"], config["num_attention_heads"] * config["head_dim"])
        token = _BYTES_PER_NUMBER * (config["hidden_size"] + widest)
        free, _ = torch.cuda.mem_get_info(self.device)
        return max(_LEAST_BUDGET, min(_LARGEST_BUDGET, int(_SHARE * free / token)))


def _turns(positions: int, width: int, theta: float, device: torch.device) -> Tensor:
    """RoPE's turns by position, from angles in float32 as the publisher's: [positions, 1, width / 2] complex64."""
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    frequencies = np.float32(1) / np.power(theta, exponents.astype(np.float64)).astype(np.float32)
    angles = np.arange(positions, dtype=np.float32)[:, None] * frequencies
    return torch.complex(torch.from_numpy(np.cos(angles)), torch.from_numpy(np.sin(angles)))[:, None].to(device)


@contextmanager
def _enough_memory(what: str, device: torch.device) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise _full(what, device) from None


def _full(what: str, device: torch.device) -> InputError:
    return InputError(
        f"{what} not fit into the free memory of {device}: end what else runs on it (`nvidia-smi` lists it), "
        "or leave the device out"
    )
