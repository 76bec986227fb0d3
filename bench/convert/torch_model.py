"""EmbeddingGemma in PyTorch, whole and plain, for the converters that trace a module.   (ids, mask → unit vectors)

Tokenizer apart it is everything: body, mean over the tokens, dense head, unit length. Padding is masked. Written for
tracing: no branch on a value, positions from the shape, keys and values repeated by joining copies (LiteRT's converter
does not run an expanded one).
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

LIMIT = 2048
MASKED = -1e9


class EmbeddingGemma(nn.Module):
    """input_ids [texts, tokens] int64, attention_mask [texts, tokens] int64 (1 is a token) → [texts, 768] float32."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        stored = load_file(folder / "model.safetensors")
        tensors = {name.removeprefix("model."): tensor.float() for name, tensor in stored.items()}
        self.scale = math.sqrt(config["hidden_size"])
        self.half_window = config["sliding_window"] // 2
        self.embed = nn.Embedding.from_pretrained(tensors["embed_tokens.weight"])
        self.layers = nn.ModuleList(
            Layer(config, {name.split(".", 2)[2]: t for name, t in tensors.items() if name.startswith(f"layers.{i}.")})
            for i in range(config["num_hidden_layers"])
        )
        self.full = [kind == "full_attention" for kind in config["layer_types"]]
        self.norm = Norm(tensors["norm.weight"])
        heads = [load_file(folder / name / "model.safetensors")["linear.weight"] for name in ("2_Dense", "3_Dense")]
        self.dense = nn.Sequential(*(linear(weight.float()) for weight in heads))
        for name, theta in (("full", config["rope_theta"]), ("sliding", config["rope_local_base_freq"])):
            angles = rope_angles(config["head_dim"], theta)
            self.register_buffer("cos_" + name, angles.cos())
            self.register_buffer("sin_" + name, angles.sin())

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Everything in a row, the masks first."""
        tokens = input_ids.shape[1]
        mask = attention_mask.float()
        position = torch.arange(tokens, device=input_ids.device)
        far = ((position[:, None] - position[None, :]).abs() > self.half_window).float()
        full_bias = (1 - mask)[:, None, None, :] * MASKED + torch.zeros(1, 1, tokens, 1)
        sliding_bias = full_bias + far[None, None] * MASKED
        full = (self.cos_full[:tokens], self.sin_full[:tokens], full_bias)
        sliding = (self.cos_sliding[:tokens], self.sin_sliding[:tokens], sliding_bias)
        x = self.embed(input_ids) * self.scale
        for layer, sees_all in zip(self.layers, self.full, strict=True):
            x = layer(x, *(full if sees_all else sliding))
        x = self.norm(x) * mask[:, :, None]
        vectors = self.dense(x.sum(1) / mask.sum(1, keepdim=True))
        return vectors / vectors.pow(2).sum(-1, keepdim=True).sqrt()


class Layer(nn.Module):
    """Attention and MLP, each between two norms; q, k and v are one product."""

    def __init__(self, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.heads, self.head_dim = config["num_attention_heads"], config["head_dim"]
        self.scale = config["query_pre_attn_scalar"] ** -0.5
        self.before_attention = Norm(tensors["input_layernorm.weight"])
        self.after_attention = Norm(tensors["post_attention_layernorm.weight"])
        self.before_mlp = Norm(tensors["pre_feedforward_layernorm.weight"])
        self.after_mlp = Norm(tensors["post_feedforward_layernorm.weight"])
        self.q_norm, self.k_norm = Norm(tensors["self_attn.q_norm.weight"]), Norm(tensors["self_attn.k_norm.weight"])
        self.qkv = linear(torch.cat([tensors[f"self_attn.{name}_proj.weight"] for name in "qkv"]))
        self.out = linear(tensors["self_attn.o_proj.weight"])
        self.gate, self.up, self.down = (linear(tensors[f"mlp.{name}_proj.weight"]) for name in ("gate", "up", "down"))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        """Return x [texts, tokens, 768] after the layer; cos, sin [tokens, 128]; bias [texts, 1, tokens, tokens]."""
        x = x + self.after_attention(self.attention(self.before_attention(x), cos, sin, bias))
        h = self.before_mlp(x)
        return x + self.after_mlp(self.down(functional.gelu(self.gate(h), approximate="tanh") * self.up(h)))

    def attention(self, x: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
        """Return what attention adds, before its norm."""
        texts, tokens, _ = x.shape
        q, k, v = self.qkv(x).split([self.heads * self.head_dim, self.head_dim, self.head_dim], dim=-1)
        q = self.q_norm(q.reshape(texts, tokens, self.heads, self.head_dim)).transpose(1, 2)
        k = self.k_norm(k.reshape(texts, 1, tokens, self.head_dim))
        k = torch.cat([rotate(k, cos, sin)] * self.heads, dim=1)
        v = torch.cat([v.reshape(texts, 1, tokens, self.head_dim)] * self.heads, dim=1)
        context = functional.scaled_dot_product_attention(rotate(q, cos, sin), k, v, attn_mask=bias, scale=self.scale)
        return self.out(context.transpose(1, 2).reshape(texts, tokens, self.heads * self.head_dim))


class Norm(nn.Module):
    """RMSNorm; the checkpoint stores w and the model multiplies by 1 + w."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(1 + weight, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return x scaled over its last axis."""
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def linear(weight: Tensor) -> nn.Linear:
    """Return the layer x @ weight.T, without a bias."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def rope_angles(head_dim: int, theta: float) -> Tensor:
    """Angles [2048, head_dim / 2]: position / theta^(2i / head_dim)."""
    return torch.arange(LIMIT).float()[:, None] / theta ** (torch.arange(0, head_dim, 2).float() / head_dim)[None, :]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE on [texts, heads, tokens, head_dim]: dimension i turns with dimension i + head_dim / 2."""
    low, high = x.chunk(2, dim=-1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)
