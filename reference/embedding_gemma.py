"""EmbeddingGemma in NumPy, every intermediate returned: the page the engine is checked against.   (token ids → trace)

Read it beside the checkpoint's config.json; names of settings and tensors are the checkpoint's own.

    input_ids → embed → 24 x [attention → mlp] → final_norm → pooled → dense.0 → dense.1 → embedding

Two readings of "exact": with dtype float32 it is the publisher's arithmetic up to the order of sums; with float64 it is
the truth that the error of a float32 kernel is measured against. In both, three numbers keep the float32 value that the
publisher's stack gives them, because they are part of the model and not rounding noise: the embedding scale, the RoPE
frequencies and the RoPE angles (up to position 2,047 a float64 angle differs by up to 1.5e-4 rad from the float32 one).
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Config = dict[str, Any]
Trace = dict[str, Array]


class EmbeddingGemma:
    """A checkpoint folder in the Hugging Face layout, ready to run one text at a time."""

    def __init__(self, folder: str | Path, dtype: npt.DTypeLike = np.float32) -> None:
        folder = Path(folder)
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.dtype = np.dtype(dtype)
        self.tensors = read_safetensors(folder / "model.safetensors")
        self.dense = [
            read_safetensors(folder / module["path"] / "model.safetensors")["linear.weight"]
            for module in json.loads((folder / "modules.json").read_text(encoding="utf-8"))
            if module["type"].endswith(".Dense")
        ]

    def forward(self, input_ids: npt.ArrayLike) -> Trace:
        """Return every intermediate of one text, by name.

        input_ids  [tokens] integers, bos and eos included.

        With n = tokens, H = num_attention_heads, G = num_key_value_heads, D = head_dim, and N from 0:

            embed                   [n, hidden_size]        after the scale
            layers.N.attn_input     [n, hidden_size]        after input_layernorm
            layers.N.q              [n, H, D]               after q_norm and RoPE
            layers.N.k, .v          [n, G, D]               k after k_norm and RoPE; v as projected
            layers.N.context        [n, H * D]              attention, before o_proj
            layers.N.attn_out       [n, hidden_size]        after o_proj, before post_attention_layernorm
            layers.N.mlp_input      [n, hidden_size]        after pre_feedforward_layernorm
            layers.N.mlp_out        [n, hidden_size]        after down_proj, before post_feedforward_layernorm
            layers.N.output         [n, hidden_size]        the residual stream
            final_norm              [n, hidden_size]
            pooled                  [hidden_size]           mean over all tokens
            dense.0, dense.1        [3072], [768]
            embedding               [768]                   unit length
        """
        config, trace = self.config, Trace()

        # The scale is rounded to float32, which is what a float32 checkpoint gets from its publisher's code.
        scale = np.float32(math.sqrt(config["hidden_size"]))
        x = widen(self.tensors["embed_tokens.weight"][np.asarray(input_ids)], self.dtype) * scale
        trace["embed"] = x

        for number, layer_type in enumerate(config["layer_types"]):
            name = f"layers.{number}."
            trace[name + "attn_input"] = self._norm(x, name + "input_layernorm")
            self._attention(trace, name, layer_type)
            x = x + self._norm(trace[name + "attn_out"], name + "post_attention_layernorm")

            trace[name + "mlp_input"] = self._norm(x, name + "pre_feedforward_layernorm")
            self._mlp(trace, name)
            x = x + self._norm(trace[name + "mlp_out"], name + "post_feedforward_layernorm")
            trace[name + "output"] = x

        trace["final_norm"] = self._norm(x, "norm")
        vector = trace["pooled"] = trace["final_norm"].mean(axis=0)
        for number, weight in enumerate(self.dense):
            vector = trace[f"dense.{number}"] = widen(weight, self.dtype) @ vector
        trace["embedding"] = vector / np.sqrt(np.sum(vector * vector))
        return trace

    def _attention(self, trace: Trace, name: str, layer_type: str) -> None:
        """attn_input → q, k, v → context → attn_out."""
        config, x = self.config, trace[name + "attn_input"]
        tokens, head_dim = len(x), config["head_dim"]
        heads, groups = config["num_attention_heads"], config["num_key_value_heads"]

        q = self._linear(x, name + "self_attn.q_proj").reshape(tokens, heads, head_dim)
        k = self._linear(x, name + "self_attn.k_proj").reshape(tokens, groups, head_dim)
        v = self._linear(x, name + "self_attn.v_proj").reshape(tokens, groups, head_dim)

        angles = rope_angles(tokens, head_dim, rope_theta(config, layer_type)).astype(self.dtype)
        q = rotate(self._norm(q, name + "self_attn.q_norm"), angles)
        k = rotate(self._norm(k, name + "self_attn.k_norm"), angles)
        trace[name + "q"], trace[name + "k"], trace[name + "v"] = q, k, v

        # Bidirectional: no causal mask. A full layer sees every token, a sliding layer a band around the diagonal.
        visible = np.ones((tokens, tokens), dtype=bool)
        if layer_type == "sliding_attention":
            position = np.arange(tokens)
            visible = np.abs(position[:, None] - position[None, :]) <= half_window(config)

        context = np.empty((tokens, heads, head_dim), self.dtype)
        for head in range(heads):
            group = head * groups // heads
            scores = (q[:, head] @ k[:, group].T) * config["query_pre_attn_scalar"] ** -0.5
            context[:, head] = softmax(np.where(visible, scores, -np.inf)) @ v[:, group]
        trace[name + "context"] = context.reshape(tokens, heads * head_dim)
        trace[name + "attn_out"] = self._linear(trace[name + "context"], name + "self_attn.o_proj")

    def _mlp(self, trace: Trace, name: str) -> None:
        """mlp_input → down(gelu(gate) * up) = mlp_out."""
        x = trace[name + "mlp_input"]
        gate = gelu_tanh(self._linear(x, name + "mlp.gate_proj"))
        up = self._linear(x, name + "mlp.up_proj")
        trace[name + "mlp_out"] = self._linear(gate * up, name + "mlp.down_proj")

    def _linear(self, x: Array, name: str) -> Array:
        """Multiply x [n, in] by the tensor [out, in]; no layer has a bias."""
        return x @ widen(self.tensors[name + ".weight"], self.dtype).T

    def _norm(self, x: Array, name: str) -> Array:
        """RMSNorm over the last axis; the checkpoint stores w and the model multiplies by 1 + w."""
        weight = 1 + widen(self.tensors[name + ".weight"], self.dtype)
        rms: Array = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.config["rms_norm_eps"])
        return x / rms * weight


def half_window(config: Config) -> int:
    """How far a token sees in a sliding layer, to each side: 256 for EmbeddingGemma, so 513 positions.

    config.json says 512, the whole window. transformers 4.57 turns it into the exclusive bound 512 // 2 + 1 = 257 at
    load and writes that 257 when it saves a fine-tune: an even value is the window, an odd one the bound.
    """
    window = int(config["sliding_window"])
    return window - 1 if window % 2 else window // 2


def rope_theta(config: Config, layer_type: str) -> float:
    """Base of the rotary frequencies: 10,000 in sliding layers and 1,000,000 in full ones."""
    if "rope_parameters" in config:  # where transformers 5 writes it
        return float(config["rope_parameters"][layer_type]["rope_theta"])
    return float(config["rope_local_base_freq" if layer_type == "sliding_attention" else "rope_theta"])


def rope_angles(tokens: int, head_dim: int, theta: float) -> Array:
    """Angles [tokens, head_dim / 2] in radians, float32: position / theta^(2i / head_dim)."""
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    # A power rounded once from float64; torch's float32 power differs in 1 of 128 frequencies, by one unit.
    frequencies = np.float32(1) / np.power(theta, exponents.astype(np.float64)).astype(np.float32)
    return np.arange(tokens, dtype=np.float32)[:, None] * frequencies[None, :]


def rotate(x: Array, angles: Array) -> Array:
    """RoPE on x [n, heads, head_dim]: dimension i turns with dimension i + head_dim / 2 (half-split, "NeoX")."""
    cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    low, high = np.split(x, 2, axis=-1)
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)


def softmax(scores: Array) -> Array:
    """Softmax over the last axis; a masked score is -inf, and no row is masked whole."""
    weights: Array = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights


def gelu_tanh(x: Array) -> Array:
    """The tanh form of GELU (config hidden_activation "gelu_pytorch_tanh")."""
    tanh: Array = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    return x * (1 + tanh) / 2


def read_safetensors(path: Path) -> dict[str, Array]:
    """Memory-map a safetensors file: F32 tensors as float32, BF16 tensors as their uint16 bit patterns."""
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))
    data = np.memmap(path, mode="r", dtype=np.uint8, offset=8 + header_bytes)
    stored_as = {"F32": "<f4", "BF16": "<u2"}
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = data[begin:end].view(stored_as[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def widen(tensor: Array, dtype: np.dtype) -> Array:
    """A stored tensor in the dtype of the computation; bfloat16 is the upper half of a float32, so nothing rounds."""
    if tensor.dtype == np.uint16:
        tensor = (tensor.astype(np.uint32) << 16).view(np.float32)
    return np.asarray(tensor, dtype)
