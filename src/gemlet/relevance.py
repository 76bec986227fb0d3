"""How well a passage matches, and how likely that makes it an answer.   (cosine, BM25 → probability)

One score puts vectors and words in one order: the cosine, and WORTH for all that the query's words could weigh. It was
chosen over reciprocal ranks, which let a word search that finds nothing relevant drown a vector search that does
(bench/retrieval.py). A score means little by itself: what is close depends on the task prompt and on the dimension. So
each has its curve, fitted on published judgements by bench/calibrate.py.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

WORTH = 1.2
"""The cosine that a passage with every word of the query, each as telling as can be, has ahead of one with none."""

_MATCH = 0.03
_MATCH_OF = {"code retrieval": 0.01}

_SATURATED = 4.4  # twice BM25's k1 + 1: how often its weight a word counts that a passage is full of, with its forms
_FEW = 3  # a query of fewer words counts as one of so many


@dataclass(frozen=True)
class Curve:
    """P(relevant) = 1 / (1 + exp(-(slope * score + offset)))."""

    slope: float
    offset: float

    def probability(self, scores: Floats) -> Floats:
        """[n] float32 for scores [n]."""
        logits = np.clip(self.slope * scores.astype(np.float64) + self.offset, -60, 60)
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def word_share(bm25: Floats, terms: int, passages: int) -> Floats:
    """How much of what a query's words could weigh a passage has, from 0 to 1: [n] float32 for BM25 [n].

    A word's weight grows with the logarithm of the index: without that, words would outweigh vectors in a large one.
    """
    return np.asarray(bm25 / (_SATURATED * max(_FEW, terms) * math.log(passages + 1)), np.float32)


def curve_for(task: str, dim: int, *, words: bool) -> Curve:
    """The curve of a task's prompt, by any of its names, at a dimension; of "search result" for a task without one.

    words  whether scores are of vectors and words, or of vectors alone
    """
    table = BOTH if words else VECTORS
    curves = table.get(_FAMILIES.get(task, task), table["search result"])
    return curves[min(curves, key=lambda fitted: abs(math.log(fitted / dim)))]


def least_match(task: str) -> float:
    """Hits of a task's prompt less likely than this are no matches.

    So 94% of answers pass, and 3% of queries about something else find any. Of code 93% and 9%: passages of real code
    are whole classes, most of which is about something else than the query.   Source: bench/calibrate.py
    """
    return _MATCH_OF.get(_FAMILIES.get(task, task), _MATCH)


_FAMILIES = {
    name: "search result" for name in ("query", "Retrieval", "Retrieval-query", "Reranking", "BitextMining")
} | {"InstructionRetrieval": "code retrieval"}

# What bench/calibrate.py prints.
BOTH: dict[str, dict[int, Curve]] = {
    "search result": {
        768: Curve(slope=15.59, offset=-9.27),
        512: Curve(slope=15.95, offset=-9.55),
        256: Curve(slope=16.54, offset=-10.46),
        128: Curve(slope=17.10, offset=-11.59),
    },
    "question answering": {
        768: Curve(slope=16.09, offset=-9.55),
        512: Curve(slope=16.49, offset=-9.88),
        256: Curve(slope=17.27, offset=-11.03),
        128: Curve(slope=17.92, offset=-12.41),
    },
    "fact checking": {
        768: Curve(slope=18.15, offset=-12.43),
        512: Curve(slope=19.27, offset=-13.41),
        256: Curve(slope=19.97, offset=-14.82),
        128: Curve(slope=21.90, offset=-17.56),
    },
    "code retrieval": {
        768: Curve(slope=18.99, offset=-13.19),
        512: Curve(slope=19.88, offset=-14.17),
        256: Curve(slope=20.50, offset=-15.54),
        128: Curve(slope=20.33, offset=-16.26),
    },
}
VECTORS: dict[str, dict[int, Curve]] = {
    "search result": {
        768: Curve(slope=19.25, offset=-9.74),
        512: Curve(slope=19.97, offset=-10.17),
        256: Curve(slope=20.81, offset=-11.33),
        128: Curve(slope=21.63, offset=-12.82),
    },
    "question answering": {
        768: Curve(slope=19.96, offset=-10.09),
        512: Curve(slope=20.77, offset=-10.61),
        256: Curve(slope=21.89, offset=-12.08),
        128: Curve(slope=22.89, offset=-13.91),
    },
    "fact checking": {
        768: Curve(slope=25.91, offset=-14.84),
        512: Curve(slope=27.99, offset=-16.39),
        256: Curve(slope=29.39, offset=-18.60),
        128: Curve(slope=32.42, offset=-22.60),
    },
    "code retrieval": {
        768: Curve(slope=22.87, offset=-14.06),
        512: Curve(slope=23.85, offset=-15.15),
        256: Curve(slope=25.75, offset=-17.44),
        128: Curve(slope=23.88, offset=-17.39),
    },
}
