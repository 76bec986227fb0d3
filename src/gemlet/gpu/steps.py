"""What stands between the products of matrices: each a function of tensors alone.   (rows → rows)

Norms, RoPE and the residual stream are computed in float32 whatever the products are in. As PyTorch runs them, each
reads and writes the memory several times; compiled, once.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import gelu, rms_norm


def normed(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """RMSNorm over the last axis of x, float32; weight is 1 + w. Comes out in `dtype`."""
    return rms_norm(x, weight.shape, weight, eps).to(dtype)


def joined(
    x: Tensor, out: Tensor, weight: Tensor, following: Tensor, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """X [tokens, hidden] float32, the residual stream, and to it the norm of what a block gave; and normed() of that.

    weight, following  of the block's last norm, and of the next block's first
    """
    x = x + rms_norm(out.float(), weight.shape, weight, eps)
    return x, normed(x, following, eps, dtype)


def turned(heads: Tensor, weight: Tensor, eps: float, turns: Tensor) -> Tensor:
    """The q or k norm and RoPE on [tokens, heads, D]: each pair of neighbours turns.

    turns  [tokens, 1, D / 2, 2] float32: cosine and sine
    """
    left, right = rms_norm(heads.float(), weight.shape, weight, eps).unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = turns.unbind(-1)
    pairs = torch.stack([left * cosine - right * sine, left * sine + right * cosine], dim=-1)
    return pairs.flatten(-2).to(heads.dtype)


def gated(both: Tensor) -> Tensor:
    """gelu(gate) * up, which stand side by side in [tokens, 2 * intermediate]."""
    gate, up = both.chunk(2, dim=-1)
    return gelu(gate, approximate="tanh") * up


class Steps(NamedTuple):
    """The four, as they are or compiled."""

    normed: Callable[..., Tensor]
    joined: Callable[..., tuple[Tensor, Tensor]]
    turned: Callable[..., Tensor]
    gated: Callable[..., Tensor]


PLAIN = Steps(normed, joined, turned, gated)


def compiled() -> Steps:
    """The same, one kernel each, made when they are first called."""
    return Steps(*(torch.compile(step, dynamic=True) for step in PLAIN))
