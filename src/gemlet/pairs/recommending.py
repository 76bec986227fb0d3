"""What is like these and not like those.   (vectors, likes, dislikes → Recommendations)

Rocchio's formula on unit vectors: a row's score is its cosine with the middle of what is liked, less DISLIKE times its
cosine with the middle of what is not. Source: Manning, Raghavan & Schütze, "Introduction to Information Retrieval",
section 9.1.1. The weight is higher than the book's, for a "not like those" is said on purpose.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError
from gemlet.pairs.coded import PIECE, Coded, Ids, as_coded
from gemlet.pairs.comparing import check_width
from gemlet.vectors import FloatArray, normalize

DISLIKE = 0.5


@dataclass(frozen=True)
class Recommendations:
    """Best first; of equal ones the lower row.

    rows          [k] int64
    score         [k] float32: like - DISLIKE * unlike
    like, unlike  [k] float32: cosines with the middle of what is liked, and of what is not (0 without any)
    """

    rows: Ids
    score: FloatArray
    like: FloatArray
    unlike: FloatArray


def recommend(
    vectors: Coded | npt.ArrayLike,
    likes: Coded | npt.ArrayLike,
    dislikes: Coded | npt.ArrayLike | None = None,
    *,
    k: int = 10,
    weight: float = DISLIKE,
    without: npt.ArrayLike = (),
) -> Recommendations:
    """Rank rows by what they are like and what not.

    likes, dislikes  [m, dim]: vectors of examples, rows of the same set or not
    weight           of the dislikes, 0 or more
    without          rows that are not wanted, such as the examples themselves

    Raises InputError for vectors that cannot be compared, no likes, or a k or weight that cannot be.
    """
    coded, liked = as_coded(vectors), as_coded(likes)
    if not len(liked):
        raise InputError("nothing is liked: name at least one example to go by")
    if k < 1 or not 0 <= weight < np.inf:
        raise InputError(f"k is {k} and weight {weight}: k must be 1 or more, weight 0 or more")
    like = _cosines(coded, liked)
    disliked = None if dislikes is None else as_coded(dislikes)
    unlike = _cosines(coded, disliked) if disliked is not None and len(disliked) else np.zeros_like(like)
    score = like - np.float32(weight) * unlike
    rows = np.lexsort((np.arange(len(score)), -score))
    rows = rows[~np.isin(rows, np.asarray(without, np.int64))][:k]
    return Recommendations(rows, score[rows], like[rows], unlike[rows])


def _cosines(coded: Coded, examples: Coded) -> FloatArray:
    """Of each row with the middle of the examples: [n] float32."""
    check_width(coded, examples)
    middle = normalize(np.mean(_floats(examples, slice(None)), axis=0, keepdims=True))[0]
    scores = np.empty(len(coded), np.float32)
    for begin in range(0, len(coded), PIECE):
        piece = slice(begin, begin + PIECE)
        scores[piece] = _floats(coded, piece) @ middle
    return scores


def _floats(coded: Coded, rows: slice) -> FloatArray:
    if coded.exact is not None:
        return coded.exact[rows]
    return coded.codes[rows] * coded.scales[rows, None]
