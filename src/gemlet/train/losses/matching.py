"""Near to a teacher's vectors.   (vectors, the teacher's vectors → L_D of each row)"""

import torch
from torch import Tensor

from gemlet.train.losses.matryoshka import prefix


def matching(vectors: Tensor, teacher: Tensor) -> Tensor:
    """L2 distance to the teacher, equation 5: one number for each of R rows.

        ‖q - q'‖ + ‖p - p'‖ + mean over k of ‖n_k - n_k'‖

    The distance is EmbedDistill's (Kim et al., arXiv 2301.12005), not squared. The paper does not write it out, and has
    one hard negative: of several we take the mean, so that they weigh as much as one.

    vectors  [R, C, d] of query, positive, hard negatives; C >= 2
    teacher  [R, C, t] of the same texts, of any length each

    Both are cut to the shorter of d and t and brought to unit length. A teacher of more dimensions is thus assumed to
    be one whose prefixes mean something (Matryoshka), as this model's do. Where both are equal the gradient is 0.
    """
    dim = min(vectors.shape[-1], teacher.shape[-1])
    distances: Tensor = torch.linalg.vector_norm(prefix(vectors, dim) - prefix(teacher, dim), dim=-1)
    pair, hard = distances[:, :2].sum(dim=1), distances[:, 2:]
    return pair + hard.mean(dim=1) if hard.shape[1] else pair
