"""A query's positive against everything else.   (unit vectors → L_C of each row)"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def contrastive(
    queries: Tensor,
    positives: Tensor,
    negatives: Tensor,
    own: Tensor,
    *,
    scale: float,
    hardness: float,
    no_negative: Tensor | None = None,
    no_hard_negative: Tensor | None = None,
) -> Tensor:
    """Noise-contrastive loss with hardness weights, equation 2: one number for each of R rows.

        -log( exp(s(q_i, p_i)) / (sum_k w_ik exp(s(q_i, n_ik)) + sum_j t_ij exp(s(q_i, p_j))) ),  s = scale · cosine
        w_ik = exp(hardness · cosine(q_i, n_ik)), a weight through which no gradient flows

    queries           [R, d] unit vectors
    positives         [N, d] unit vectors of the whole batch, of all ranks
    negatives         [R, K, d] each query's own hard negatives, K >= 0; the paper has one. Those of other rows are
                      not compared with it, as in the paper
    own               [R] int64: which of the N positives is the row's own
    no_negative       [R, N] bool: 1 - t, equation 3; False at `own`, or the loss of that row is infinite
    no_hard_negative  [R, K] bool: hard negatives that are left out

    With nothing to compare (N = 1, K = 0) the loss is 0, and so is its gradient. NaN in a vector gives NaN.
    """
    in_batch = scale * (queries @ positives.T)
    similar = (queries[:, None] * negatives).sum(dim=-1)
    hard = scale * similar + hardness * similar.detach()
    if no_negative is not None:
        in_batch = in_batch.masked_fill(no_negative, -torch.inf)
    if no_hard_negative is not None:
        hard = hard.masked_fill(no_hard_negative, -torch.inf)
    return cross_entropy(torch.cat([in_batch, hard], dim=1), own, reduction="none")
