"""How likely it is that a hit answers the query: cosine and words → probability.   (chapter 18)

A cosine means little by itself: what is close depends on the task prompt and on the dimension. The curves were
fitted by bench/calibrate.py on published judgements.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Curve:
    """P(relevant) = 1 / (1 + exp(-(offset + cosine * c + words * b))), c the cosine, b BM25.

    cosine and words are per unit; words / cosine says how much of a cosine one unit of BM25 is worth, by which the two
    are put in one order.
    """

    cosine: float
    words: float
    offset: float

    def probability(self, cosines: Floats, bm25: Floats) -> Floats:
        """[n] float32 for cosines [n] and BM25 [n], 0 for a passage that holds no word of the query."""
        logits = self.offset + self.cosine * cosines.astype(np.float64) + self.words * bm25
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), np.float32)


CURVES: dict[str, dict[int, Curve]] = {"search result": {768: Curve(25, 0.1, -11)}}

MATCH = 0.1
"""Hits less likely than this are no matches."""


def curve_for(task: str, dim: int) -> Curve:
    """The curve of a task's prompt, by any of its names, at a dimension; of "search result" for a task without one."""
    curves = CURVES.get(_FAMILIES.get(task, task), CURVES["search result"])
    return curves[min(curves, key=lambda fitted: abs(math.log(fitted / dim)))]


_FAMILIES = {
    name: "search result" for name in ("query", "Retrieval", "Retrieval-query", "Reranking", "BitextMining")
} | {"InstructionRetrieval": "code retrieval"}
