"""Where each text lies in a flat row of tokens.   (cu_seqlens → Layout)"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gemlet.gpu import IntArray

_Long = npt.NDArray[np.int64]

_FULLER = 0.8  # texts shorter than this share of a group's longest begin another group


@dataclass(frozen=True)
class Group:
    """Texts of like length as a rectangle [B, L]: for attention that does not take texts end to end.

    places  [B, L] int64: where in the flat row; behind a text's end its last token once more
    real    [B, L] bool: which of them are tokens; None: all
    near    [L, L] bool: at most the window apart; None: all are
    """

    places: Tensor
    real: Tensor | None
    near: Tensor | None


class Layout:
    """Texts end to end on a device: cu_seqlens [texts + 1] int32 from 0, lengths [texts] int64, positions [tokens]."""

    def __init__(self, cu_seqlens: IntArray, window: int, device: torch.device) -> None:
        """window: of the sliding layers, tokens to each side."""
        self._ends = cu_seqlens.astype(np.int64)
        self._window, self._device = window, device
        sizes = np.diff(self._ends)
        self.longest = int(sizes.max())
        self.cu_seqlens = torch.from_numpy(cu_seqlens.astype(np.int32)).to(device)
        self.lengths = torch.from_numpy(sizes).to(device)
        positions = np.arange(self._ends[-1]) - np.repeat(self._ends[:-1], sizes)
        self.positions = torch.from_numpy(positions).to(device)

    def reach(self, sliding: bool) -> int | None:
        """Tokens to each side that a token of such a layer sees; None: all of its text."""
        return self._window if sliding and self.longest > self._window + 1 else None

    @cached_property
    def groups(self) -> list[Group]:
        """All texts, the longest first."""
        sizes = np.diff(self._ends)
        order = np.argsort(-sizes, kind="stable")
        begins = [0]
        for i, row in enumerate(order):
            if sizes[row] < _FULLER * sizes[order[begins[-1]]]:
                begins.append(i)
        return [self._group(order[begin:end], sizes) for begin, end in pairwise([*begins, len(order)])]

    def _group(self, rows: _Long, sizes: _Long) -> Group:
        column = np.arange(sizes[rows].max())
        real = column < sizes[rows][:, None]
        places = self._ends[rows][:, None] + np.minimum(column, sizes[rows][:, None] - 1)
        near = np.abs(column[:, None] - column) <= self._window
        return Group(
            torch.from_numpy(places).to(self._device),
            None if real.all() else torch.from_numpy(real).to(self._device),
            None if near.all() else torch.from_numpy(near).to(self._device),
        )
