"""Matrices whose numbers are those that a file of few bits can hold.   (Student, .gguf file → Student on the grid)

    y = x (scale · round(numbers))ᵀ     numbers [outputs, inputs] learn; a scale is of 32 of them, or of a row

Backwards rounding counts as nothing (straight-through: Jacob et al. 2018, arXiv 1712.05877, which the paper names in
section 2.3). The scales, and the numbers to begin with, are those of a file that `gemlet quantize` made, errors fed
back; so are the table of embeddings and the matrices that the file has in another type, and these do not learn.
What comes out is held by such a file exactly.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from gemlet import _core
from gemlet.feedback import LIMITS, numbers_and_scales
from gemlet.gguf import WeightType, write_gguf

TYPES = {"q4_0": "Q4_0", "mixed": "Q4_0", "q8_0": "Q8_0"}
"""What learns in a file of each type."""

RATE = 3e-3
"""The highest learning rate of the numbers, in steps of the grid."""

NEAR = 0.45
"""How far from the file's numbers the first ones are at most: towards what the checkpoint has."""


class Grid(nn.Module):
    """A linear layer without bias.

    numbers  [outputs, inputs] float32, in steps of the grid
    scales   [outputs, inputs / 32] float32
    limits   the least and the largest number
    """

    def __init__(self, numbers: Tensor, scales: Tensor, limits: tuple[int, int]) -> None:
        super().__init__()
        self.numbers = nn.Parameter(numbers)
        self.register_buffer("scales", scales)
        self.limits = limits

    @property
    def weight(self) -> Tensor:
        """[outputs, inputs]: what the file holds."""
        return _Rounded.apply(self.numbers, self.scales, *self.limits)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] → [..., outputs]."""
        return functional.linear(x, self.weight)


class _Rounded(torch.autograd.Function):
    """scales · round(numbers); to a number within the limits the gradient goes as if it were not rounded."""

    @staticmethod
    def forward(context: Any, numbers: Tensor, scales: Tensor, low: int, high: int) -> Tensor:
        context.save_for_backward(numbers, scales)
        context.limits = (low - 0.5, high + 0.5)
        return _times(numbers.round().clamp_(low, high), scales)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        numbers, scales = context.saved_tensors
        low, high = context.limits
        inside = (numbers >= low) & (numbers <= high)
        return _times(gradients[0], scales) * inside, None, None, None


def _times(x: Tensor, scales: Tensor) -> Tensor:
    return (x.view(*scales.shape, -1) * scales[..., None]).view_as(x)


def starting_file(base: Path, path: Path, kind: WeightType, process: int, *, progress: bool) -> None:
    """Write the checkpoint as a file of this type to `path`, once, by the first process; the others wait for it."""
    while not path.exists():
        if process == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tqdm(desc=f"rounding to {kind}", unit="B", unit_scale=True, disable=not progress) as bar:

                def show(done: int, of: int) -> None:
                    bar.total = of
                    bar.update(done - bar.n)

                write_gguf(base, path, dtype=kind, progress=show)
        time.sleep(0.2)


def put_on_grid(student: nn.Module, body: Any, path: Path, kind: str) -> list[Grid]:
    """Give the student the numbers of the file at `path`, made of its own checkpoint; return what learns of them.

    student  in float32
    body     its transformer, with `layers`, `norm` and an embedding
    kind     "q4_0", "mixed" or "q8_0", the file's
    """
    file = _core.Gguf.open(str(path))
    found = []
    for name, (dtype, shape) in file.tensors.items():
        stored = file.read(name, "F32", 0, shape[0]).view(np.float32).reshape(shape)
        parent, last = _owner(student, body, name)
        module = getattr(parent, last)
        if name.startswith("layers.") and dtype == TYPES[kind]:
            grid = _grid(stored, module.weight.detach(), dtype, kind)
            setattr(parent, last, grid)
            found.append(grid)
            continue
        if len(shape) == 1:
            stored = stored - 1  # a file holds 1 + w
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(stored))
        module.weight.requires_grad_(len(shape) == 1)
    return found


def settle(student: nn.Module) -> None:
    """Make ordinary linear layers of grids."""
    for parent in list(student.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, Grid):
                linear = nn.Linear(*reversed(module.numbers.shape), bias=False, device="meta")
                linear.weight = nn.Parameter(module.weight.detach())
                setattr(parent, name, linear)


def _grid(stored: Any, trained: Tensor, dtype: str, kind: str) -> Grid:
    exact = numbers_and_scales(stored, dtype, whole_rows=kind == "mixed")
    assert exact is not None  # it is read from such blocks
    numbers, scales = (torch.from_numpy(part).to(trained.device) for part in exact)
    if kind != "q8_0":  # there the channels are balanced first: the checkpoint's numbers are others
        wished = _times(trained, torch.where(scales == 0, 0, 1 / scales))
        numbers = wished.clamp(numbers - NEAR, numbers + NEAR)
    return Grid(numbers, scales, LIMITS[dtype])


def _owner(student: nn.Module, body: Any, name: str) -> tuple[Any, str]:
    """The module that has the one of a tensor, and its name there."""
    *path, last = name.removesuffix(".weight").split(".")
    parent = body
    if path[:1] == ["dense"]:
        dense = [module for module in student.children() if hasattr(module, "linear")]
        return dense[int(path[1])], last
    for part in path:
        parent = getattr(parent, part)
    return parent, last
