"""The model in PyTorch, for a GPU: the same flat batches in, the same vectors out, up to rounding.

weights.py     a checkpoint's tensors on a device
layout.py      where each text lies in a flat row of tokens
attention.py   who sees whom: by PyTorch's kernels for texts end to end where they run, else by texts of like length
steps.py       what stands between the products of matrices, as it is or compiled
model.py       the forward pass; what it does when the memory is full

PyTorch is imported when a device other than "cpu" is asked for.
"""

import re
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from gemlet.checkpoint import Checkpoint
from gemlet.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from gemlet.gpu.model import TorchModel

OWN = "cpu"
"""The device of gemlet's own engine, which needs no PyTorch."""

TORCH_ON_CPU = "torch:cpu"
"""What a GPU would run, where there is none: slower than OWN, for tests and for planning."""

_KNOWN = re.compile(r"cpu|cuda(:\d+)?|torch:cpu")

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]


class Engine(Protocol):
    """What runs batches: `_core.Model`, or TorchModel."""

    @property
    def threads(self) -> int:
        """Of the processor, that a call may use."""

    @property
    def isa(self) -> str:
        """What it runs on."""

    def embed(self, input_ids: IntArray, cu_seqlens: IntArray) -> FloatArray:
        """[sequences, dim] from behind the dense head."""

    def token_embeddings(self, input_ids: IntArray, cu_seqlens: IntArray) -> FloatArray:
        """[tokens, hidden] from behind the final norm."""


def check_device(device: str) -> str:
    """Return the device if it can be used.

    Raises InputError for one that gemlet does not know or PyTorch does not see, MissingExtra without PyTorch.
    """
    if not isinstance(device, str) or not _KNOWN.fullmatch(device):
        raise InputError(f"device is {device!r}; available: cpu, cuda, cuda:0 and so on, torch:cpu")
    if device == OWN:
        return device
    try:
        import torch
    except ImportError:
        raise MissingExtra("gpu", f"device {device!r}") from None
    if device != TORCH_ON_CPU:
        _check_cuda(device, torch.cuda.device_count() if torch.cuda.is_available() else 0, torch.__version__)
    return device


def open_model(checkpoint: Checkpoint, device: str, storage: str, token_budget: int | None) -> "TorchModel":
    """The model on a device of PyTorch that check_device() let through.

    storage       "f32" computes in float32; anything else in bfloat16, which the weights are brought to
    token_budget  tokens that run at once; None: by the memory that is free

    Raises WeightsError, UnsupportedModel; InputError when the device's memory does not hold the weights.
    """
    import torch

    from gemlet.gpu.model import TorchModel

    place = torch.device(device.removeprefix("torch:"))
    return TorchModel(checkpoint, place, torch.float32 if storage == "f32" else torch.bfloat16, token_budget)


def _check_cuda(device: str, there: int, version: str) -> None:
    if there == 0:
        raise InputError(
            f"device is {device!r}, but PyTorch {version} sees no GPU: check `nvidia-smi`, install PyTorch for CUDA as "
            "pytorch.org says, or leave the device out"
        )
    number = int(device.partition(":")[2] or 0)
    if number >= there:
        raise InputError(f"device is {device!r}, but PyTorch sees {there}: the last is cuda:{there - 1}")
