"""The forward pass in PyTorch.   (input_ids, cu_seqlens → vectors)

The same steps as native/model and reference/. The residual stream, norms, RoPE, the mean and the dense head are in
float32 whatever the matrices are in: the stream's outliers reach 8e5, and bfloat16 has eight significant bits.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, embedding, linear

from gemlet.checkpoint import Checkpoint
from gemlet.errors import InputError
from gemlet.gpu import FloatArray, IntArray
from gemlet.gpu.attention import choose_attention, kernels_for
from gemlet.gpu.layout import Layout
from gemlet.gpu.steps import PLAIN, compiled
from gemlet.gpu.weights import Layer, Weights, read_weights

_BUDGET_ON_CPU = 2048
_LARGEST_BUDGET = 32_768  # tokens: a GPU is busy with fewer
_LEAST_BUDGET = 2048
_SHARE = 0.5  # of the memory that is free once the weights are there
# Of a token in the widest step: the stream and its norm, q, k, v and their rotated copies in float32, and as much again
# for what PyTorch keeps to give out anew.
_BYTES_PER_NUMBER = 32
_MANY = 10_000_000  # tokens: a GPU's work of twenty seconds; compiling takes ten, and saves a third of what follows
_SAME = 0.98  # cosine of a vector by other sums: of made-up texts bfloat16 keeps 0.997, a wrong step nothing like it


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
            self._steps = PLAIN
        self.token_budget = token_budget or self._roomy()
        self.compile_after = _MANY if device.type == "cuda" else math.inf

    @property
    def threads(self) -> int:
        """PyTorch's own setting."""
        return int(torch.get_num_threads())

    @property
    def isa(self) -> str:
        """The device's name."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "PyTorch on the CPU"

    def compile(self) -> bool:
        """Compile what stands between the products: some seconds, once, which many texts make good.

        A GPU does so by itself behind the first `compile_after` tokens. Return False, and change nothing, where that
        cannot be (without Triton, or a C compiler), or comes out wrong.
        """
        with self._lock, torch.inference_mode():
            return self._compile()

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
            if self.compile_after <= 0:
                self._compile()
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
                    self.compile_after -= tokens
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
        weights, eps, step = self._weights, self.config["rms_norm_eps"], self._steps
        x = embedding(ids, weights.embed_tokens).float() * self._scale
        turns = {sliding: turns[layout.positions] for sliding, turns in self._turns.items()}
        norms = [*(layer.input_layernorm for layer in weights.layers), weights.norm]
        rows = step.normed(x, norms[0], eps, self.dtype)
        for layer, following in zip(weights.layers, norms[1:], strict=True):
            out = self._attention(layer, rows, layout, turns[layer.sliding])
            x, rows = step.joined(
                x, out, layer.post_attention_layernorm, layer.pre_feedforward_layernorm, eps, self.dtype
            )
            out = self._mlp(layer, rows)
            x, rows = step.joined(x, out, layer.post_feedforward_layernorm, following, eps, self.dtype)
        return step.normed(x, weights.norm, eps, torch.float32)

    def _attention(self, layer: Layer, rows: Tensor, layout: Layout, turns: Tensor) -> Tensor:
        config, eps = self.config, self.config["rms_norm_eps"]
        heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
        mixed = linear(rows, layer.qkv_proj)
        q, k, v = mixed.view(len(rows), heads + 2 * groups, -1).split([heads, groups, groups], dim=1)
        q, k = self._steps.turned(q, layer.q_norm, eps, turns), self._steps.turned(k, layer.k_norm, eps, turns)
        scale = config["query_pre_attn_scalar"] ** -0.5
        context = self._attend(q, k, v.contiguous(), layout, layer.sliding, scale)
        return linear(context.reshape(len(rows), -1), layer.o_proj)

    def _mlp(self, layer: Layer, rows: Tensor) -> Tensor:
        return linear(self._steps.gated(linear(rows, layer.gate_up_proj)), layer.down_proj)

    def _compile(self) -> bool:
        self.compile_after = math.inf  # once is enough
        if self._steps is PLAIN:
            with suppress(Exception):  # of any kind: no compiler, another version, an older GPU, a full disk
                right = self._tried()
                self._steps = compiled()
                if bool((cosine_similarity(self._tried(), right) > _SAME).all()):
                    return True
            self._steps = PLAIN
        return self._steps is not PLAIN

    def _tried(self) -> Tensor:
        """Vectors of texts of tokens drawn at random, shorter and longer than the window."""
        ends = np.cumsum([0, 1, 17, 300, 600]).astype(np.int32)
        drawn = torch.randint(self.config["vocab_size"], (int(ends[-1]),), generator=torch.Generator().manual_seed(0))
        return self._pooled(drawn.to(self.device), Layout(ends, self.config["window"], self.device))

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
    """RoPE's turns by position, from angles in float32 as the publisher's: [positions, 1, width / 2, 2] float32."""
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    frequencies = np.float32(1) / np.power(theta, exponents.astype(np.float64)).astype(np.float32)
    angles = np.arange(positions, dtype=np.float32)[:, None] * frequencies
    return torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], axis=-1))[:, None].to(device)


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
