"""The choices of the objective, checked.   (→ LossSettings)"""

import math
from dataclasses import dataclass

from gemlet.errors import InputError


@dataclass(frozen=True)
class LossSettings:
    """What the paper leaves open has our choice as default; `docs/training.md` says which is which.

    scale            1 / temperature of the contrastive loss; the paper does not state it
    hardness         alpha: a hard negative counts exp(alpha · its similarity) times; 5 in the paper, 0: once
    mask_duplicates  a row whose query or positive is the same text as another's is no negative of it
    spread_weight    of L_S beside L_C; 0: off; not stated in the paper
    matching_weight  of L_D, where a teacher's vectors are given; 0: off; not stated in the paper
    dims             prefixes of the vector over which L_C and L_S are summed
    mini_batch       texts in one pass through the model, the batch's size notwithstanding (gradient cache, which
                     computes each vector twice); None: a column in one pass, without the cache
    gather           take the negatives from the batches of all ranks

    Raises InputError where a choice makes no sense.
    """

    scale: float = 20.0
    hardness: float = 5.0
    mask_duplicates: bool = True
    spread_weight: float = 1.0
    matching_weight: float = 1.0
    dims: tuple[int, ...] = (768, 512, 256, 128)
    mini_batch: int | None = None
    gather: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"scale is {self.scale}: it is 1 / temperature, a number above 0 (20 is common)")
        for name in ("hardness", "spread_weight", "matching_weight"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value}: it must be 0 (off) or a number above 0")
        if not self.dims or min(self.dims) < 1 or len(set(self.dims)) < len(self.dims):
            raise InputError(f"dims is {self.dims}: name one or more lengths, each once, for example (768, 256)")
        if self.mini_batch is not None and self.mini_batch < 1:
            raise InputError(f"mini_batch is {self.mini_batch}: it must be 1 or more, or None for no gradient cache")
