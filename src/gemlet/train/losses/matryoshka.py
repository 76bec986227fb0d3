"""A vector's first numbers are a vector too.   ([.., d] → [.., dim])"""

from torch import Tensor
from torch.nn.functional import normalize


def prefix(vectors: Tensor, dim: int) -> Tensor:
    """[.., d] → [.., dim] at unit length, d >= dim; a prefix of zeros stays zeros.

    The gradient flows through the normalisation. Matryoshka Representation Learning, arXiv 2205.13147.
    """
    return normalize(vectors[..., :dim], dim=-1)
