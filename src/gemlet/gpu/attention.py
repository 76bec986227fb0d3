"""Who sees whom.   (q, k, v of texts end to end → what each token takes of the others)

PyTorch has kernels for texts of any length end to end, for some GPUs and in some of its versions. Which of them runs
here, and is right, is tried when a model is opened; what always runs are rectangles of texts of like length.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gemlet.gpu.layout import Group, Layout

Attend = Callable[[Tensor, Tensor, Tensor, Layout, bool, float], Tensor]
"""(q [tokens, heads, D], k and v [tokens, kv heads, D], layout, does the layer slide, scale) → [tokens, heads, D]."""

_TRIED = [1, 2, 17, 300, 600]  # tokens of the texts that a kernel is tried on: shorter and longer than the window's 513
_SPREAD = 16.0  # of their values: one token more or less in a window of 513 moves a mean by up to 0.1
_ROUNDED = 1.5  # by the root of a text's tokens: what two roundings to bfloat16 may differ by; 0.07 for a window


def by_flash(q: Tensor, k: Tensor, v: Tensor, layout: Layout, sliding: bool, scale: float) -> Tensor:
    """What PyTorch's public function calls, and versions before it have already."""
    reach = layout.reach(sliding)
    side = -1 if reach is None else reach
    ends, longest = layout.cu_seqlens, layout.longest
    result: Tensor = torch.ops.aten._flash_attention_forward(
        q, k, v, ends, ends, longest, longest, 0.0, False, False,
        scale=scale, window_size_left=side, window_size_right=side,
    )[0]  # fmt: skip
    return result


def by_torch(q: Tensor, k: Tensor, v: Tensor, layout: Layout, sliding: bool, scale: float) -> Tensor:
    """PyTorch's public function, of later versions; its import takes seconds."""
    from torch.nn.attention.varlen import varlen_attn

    reach = layout.reach(sliding)
    window = (-1, -1) if reach is None else (reach, reach)
    ends, longest = layout.cu_seqlens, layout.longest
    options: dict[str, Any] = {"scale": scale, "window_size": window, "enable_gqa": True}
    result: Tensor = varlen_attn(q, k, v, ends, ends, longest, longest, **options)
    return result


def by_groups(q: Tensor, k: Tensor, v: Tensor, layout: Layout, sliding: bool, scale: float) -> Tensor:
    """Texts of like length together, on any device."""
    mixed = torch.empty_like(q)
    for group in layout.groups:
        queries, keys, values = (x[group.places].transpose(1, 2) for x in (q, k, v))
        keys, values = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (keys, values))
        mask = _mask(group, sliding)
        out = scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scale).transpose(1, 2)
        if group.real is None:
            mixed[group.places] = out
        else:
            mixed[group.places[group.real]] = out[group.real]
    return mixed


def _mask(group: Group, sliding: bool) -> Tensor | None:
    """True where a query (next to last) sees a key (last): [B or 1, 1, L or 1, L]."""
    near = group.near if sliding else None
    if group.real is None:
        return None if near is None else near[None, None]
    real = group.real[:, None, None, :]
    return real if near is None else real & near


def kernels_for(device: torch.device, dtype: torch.dtype) -> tuple[Attend, ...]:
    """What may run texts end to end: on a GPU and in 16 bits."""
    return (by_flash, by_torch) if device.type == "cuda" and dtype == torch.bfloat16 else ()


def choose_attention(
    kernels: Sequence[Attend], config: Mapping[str, Any], device: torch.device, dtype: torch.dtype
) -> Attend:
    """The first that runs here and agrees with by_groups(), else that."""
    for attend in kernels:
        with contextlib.suppress(Exception):  # of any kind: another version, an older GPU, a build without the kernel
            if agrees(attend, config, device, dtype):
                return attend
    return by_groups


def agrees(attend: Attend, config: Mapping[str, Any], device: torch.device, dtype: torch.dtype) -> bool:
    """Say whether it gives what by_groups() does, in full and in sliding layers, up to the rounding of 16 bits."""
    ends = np.cumsum([0, *_TRIED]).astype(np.int32)
    layout = Layout(ends, config["window"], device)
    heads, kv_heads, width = (config[name] for name in ("num_attention_heads", "num_key_value_heads", "head_dim"))
    made = torch.Generator().manual_seed(0)
    q, k, v = (
        (size * torch.randn(int(ends[-1]), count, width, generator=made)).to(device, dtype)
        for count, size in ((heads, 0.5), (kv_heads, 0.5), (kv_heads, _SPREAD))
    )
    allowed = _ROUNDED / torch.from_numpy(np.repeat(_TRIED, _TRIED)).to(device).sqrt()[:, None, None]
    for sliding in (False, True):
        given, right = (one(q, k, v, layout, sliding, width**-0.5).float() for one in (attend, by_groups))
        if not bool(((given - right).abs() <= allowed).all()):
            return False
    return True
