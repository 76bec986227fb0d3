"""A rank's rows → the rows of all ranks.   ([B, ..] → [ranks · B, ..])

Data-parallel training averages the ranks' gradients. If each rank's loss is the mean over its own rows, and its rows
are compared with the rows of all, then that average is the gradient of one rank with the whole batch: what the other
ranks' losses say about this rank's vectors comes back through `gather`.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from sentence_transformers.util import all_gather, all_gather_with_grad
from torch import Tensor

from gemlet.errors import InputError


def ranks() -> int:
    """How many processes train together; 1 outside a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(rows: Tensor) -> Tensor:
    """[B, ..] → [ranks · B, ..] in the order of the ranks, with gradients where `rows` has some.

    Every rank must call it at the same point, with the same shape (`require_same`). The gradient of a rank's rows is
    the sum of what all ranks' losses say about them.
    """
    if ranks() == 1:
        return rows
    return all_gather_with_grad(rows) if rows.is_floating_point() else all_gather(rows)


def first_row(rows: int) -> int:
    """Where this rank's `rows` rows begin among those of all ranks."""
    return rows * dist.get_rank() if ranks() > 1 else 0


def require_same(shape: Sequence[int], device: torch.device) -> None:
    """Raise InputError, on every rank, unless `shape` (rows, columns, numbers of labels) is the same on all of them."""
    if ranks() == 1:
        return
    shapes = all_gather(torch.tensor([list(shape)], device=device)).tolist()
    if any(other != shapes[0] for other in shapes):
        raise InputError(
            f"the ranks' batches differ in rows, columns or labels: {shapes}; a step must take one dataset on all "
            "ranks, and leave out a last batch that is short (dataloader_drop_last)"
        )
