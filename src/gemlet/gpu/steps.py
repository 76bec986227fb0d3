"""What stands between the products of matrices: each a function of tensors alone.   (rows → rows)

Norms, RoPE and the residual stream are computed in float32 whatever the products are in. bench/gpu.py compiles these
functions by name and measures what that brings.
"""

import torch
from torch import Tensor
from torch.nn.functional import gelu, rms_norm


def normed(x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """RMSNorm over the last axis of x, float32; weight is 1 + w. Comes out in `dtype`."""
    return rms_norm(x, weight.shape, weight, eps).to(dtype)


def joined(x: Tensor, out: Tensor, weight: Tensor, eps: float) -> Tensor:
    """X [tokens, hidden] float32, the residual stream, and to it the norm of what a block gave."""
    return x + rms_norm(out.float(), weight.shape, weight, eps)


def turned(heads: Tensor, weight: Tensor, eps: float, turns: Tensor) -> Tensor:
    """The q or k norm and RoPE on [tokens, heads, D]; in each pair of neighbours one complex number turns.

    turns  [tokens, 1, D / 2] complex64
    """
    pairs = rms_norm(heads.float(), weight.shape, weight, eps).unflatten(-1, (-1, 2))
    return torch.view_as_real(torch.view_as_complex(pairs) * turns).flatten(-2).to(heads.dtype)


def gated(both: Tensor) -> Tensor:
    """gelu(gate) * up, which stand side by side in [tokens, 2 * intermediate]."""
    gate, up = both.chunk(2, dim=-1)
    return gelu(gate, approximate="tanh") * up
