"""Texts of one column, apart from one another.   (unit vectors → L_S of each row)"""

from torch import Tensor


def spread(rows: Tensor, all_rows: Tensor, own: Tensor) -> Tensor:
    """Mean square of a row's similarity with every other row: one number for each of R rows.

        1 / (N - 1) · sum over j != i of (v_i · v_j)²

    The mean over rows is one of the two sums of equation 4 (second moment; Zhang et al., arXiv 1708.06320). Vectors
    that are spread evenly over the sphere have 1 / d; nothing is subtracted, as in the paper. Equal rows count 1, and
    have no gradient in the end: one text cannot be moved away from itself.

    rows      [R, d] unit vectors of some rows of a column
    all_rows  [N, d] unit vectors of the whole column, of all ranks
    own       [R] int64: which of the N each row is

    With N = 1 there is no pair: 0, and so is the gradient.
    """
    squares = (rows @ all_rows.T).square()
    others = squares.scatter(1, own[:, None], 0.0)
    return others.sum(dim=1) / max(len(all_rows) - 1, 1)
