"""What was found and what is right → figures.   (ranked rows or scores, judgements → float64)

Ranking is trec_eval's: nDCG has linear gains (Järvelin & Kekäläinen 2002) and the ideal order of all judged documents,
recall and average precision divide by all relevant ones, precision by k; a query without a relevant document has 0.
There is one number for each query, so that they can be resampled. Correlation is SciPy's; accuracy, F1, V-measure and
average precision are scikit-learn's. tests/unit/test_metrics.py holds each against these to 1e-6.

Who ranks decides what comes first of documents with the same score; nothing here sees scores of documents.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet.clustering.quality import v_measure as _v_measure
from gemlet.errors import InputError

Values = npt.NDArray[np.float64]
Ranked = npt.NDArray[np.intp]
"""[queries, depth]: rows of documents, the best first, none twice; -1: nothing more."""
Codes = npt.NDArray[np.int64]
Grades = Sequence[Mapping[int, int]]
"""For each query row of a document → grade; over 0 is relevant, and what is not there is not."""


def ndcg(ranked: Ranked, grades: Grades, k: int = 10) -> Values:
    """The discounted gain of the first k, as a share of the best order's: [queries], 0 to 1."""
    gains = _gains(ranked, grades, k)
    ideal = np.zeros((len(grades), k))
    for row, grade in zip(ideal, grades, strict=True):
        best = sorted((value for value in grade.values() if value > 0), reverse=True)[:k]
        row[: len(best)] = best
    discounts = 1 / np.log2(np.arange(2, k + 2))
    return _share(gains @ discounts[: gains.shape[1]], ideal @ discounts)


def recall(ranked: Ranked, grades: Grades, k: int) -> Values:
    """Which share of the relevant documents is among the first k: [queries], 0 to 1."""
    return _share((_gains(ranked, grades, k) > 0).sum(axis=1), _relevant(grades))


def precision(ranked: Ranked, grades: Grades, k: int) -> Values:
    """Which share of the first k is relevant, where fewer were found too: [queries], 0 to 1."""
    return np.asarray((_gains(ranked, grades, k) > 0).sum(axis=1) / k)


def reciprocal_rank(ranked: Ranked, grades: Grades, k: int) -> Values:
    """1 / the place of the first relevant document, 0 when none is among the first k: [queries]. MRR is its mean."""
    hits = _gains(ranked, grades, k) > 0
    if not hits.shape[1]:
        return np.zeros(len(grades))
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


def ranked_precision(ranked: Ranked, grades: Grades, k: int) -> Values:
    """The mean, over all relevant documents, of the precision at its place, 0 behind k: [queries]. MAP is its mean."""
    hits = _gains(ranked, grades, k) > 0
    at_each = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return _share((at_each * hits).sum(axis=1), _relevant(grades))


def _gains(ranked: Ranked, grades: Grades, k: int) -> Values:
    """The grades of the first k, 0 for what is not relevant: [queries, at most k]."""
    if k < 1:
        raise InputError(f"k is {k}: it is at least 1")
    if ranked.ndim != 2 or len(ranked) != len(grades):
        raise InputError(f"ranked is {list(ranked.shape)} for {len(grades)} queries: it is [queries, depth]")
    first = ranked[:, :k]
    rows = [[max(grade.get(row, 0), 0) for row in found] for found, grade in zip(first.tolist(), grades, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(first.shape)


def _relevant(grades: Grades) -> Values:
    return np.array([sum(value > 0 for value in grade.values()) for grade in grades], dtype=np.float64)


def _share(part: Any, whole: Any) -> Values:
    """Part / whole, 0 of 0 is 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0))


def pearson(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """The correlation of two rows of numbers [n]: -1 to 1; NaN where one of them is constant."""
    left, right = _two(x, y)
    left, right = left - left.mean(), right - right.mean()
    scale = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(np.clip(left @ right / scale, -1, 1)) if scale > 0 else float("nan")


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """The correlation of their ranks; what is equal shares the mean of its ranks. NaN where one of them is constant."""
    left, right = _two(x, y)
    return pearson(_ranks(left), _ranks(right))


def _ranks(values: Values) -> Values:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places.reshape(-1)])


def accuracy(truth: Sequence[Any], found: Sequence[Any]) -> float:
    """Which share of the labels [n] is right."""
    is_so, said = _coded(truth, found)[:2]
    return float((is_so == said).mean())


def f1(truth: Sequence[Any], found: Sequence[Any], label: Any = None) -> float:
    """The F1 of one label; of None the mean over every label that some row has or was said to have (macro).

    F1 is 0 for a label of which nothing is right, and so for one that is nowhere.
    """
    is_so, said, labels = _coded(truth, found)
    if label is None:
        return macro_f1(is_so, said)
    return float(_f1_of_each(is_so, said)[labels.index(label)]) if label in labels else 0.0


def macro_f1(truth: Codes, found: Codes) -> float:
    """f1() of labels that are numbers from 0 on already: [n] int64 each."""
    each = _f1_of_each(truth, found)
    return float(each[np.union1d(truth, found)].mean())


def _f1_of_each(truth: Codes, found: Codes) -> Values:
    size = int(max(truth.max(), found.max())) + 1
    hits, is_so, said = (np.bincount(codes, minlength=size) for codes in (truth[truth == found], truth, found))
    return _share(2 * hits, is_so + said)


def v_measure(truth: Sequence[Any], found: Sequence[Any]) -> float:
    """How far groups agree with known labels [n]: the harmonic mean of homogeneity and completeness, 0 to 1."""
    is_so, said, _ = _coded(truth, found)
    return _v_measure(is_so, said)


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """The precision at each step of recall, scores falling; equal scores are one step. 0 without a positive label.

    labels  [n] true or 1 for what should score high
    scores  [n]
    """
    hits, taken, positives = _steps(labels, scores)
    if not positives:
        return 0.0
    return float((np.diff(hits, prepend=0) * hits / taken).sum() / positives)


def best_f1(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """The F1 of the positive label by the threshold that makes it highest. Arguments as of average_precision."""
    hits, taken, positives = _steps(labels, scores)
    return float((2 * hits / (taken + positives)).max())


def best_accuracy(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """The accuracy by the threshold that makes it highest, all or nothing included. Arguments as of best_f1."""
    hits, taken, positives = _steps(labels, scores)
    total = taken[-1]
    right = hits + (total - positives) - (taken - hits)
    return float(max(right.max(), total - positives) / total)


def _steps(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Values, Values, float]:
    """For each score, falling: positives with at least it, rows with at least it; and all positives."""
    positive, score = _two(labels, scores)
    if not np.isin(positive, (0, 1)).all():
        raise InputError("labels are 0 or 1")
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=-np.inf))
    hits = np.cumsum(positive[order])[ends]
    return hits, (ends + 1).astype(np.float64), float(positive.sum())


def _two(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Values, Values]:
    left, right = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if left.ndim != 1 or left.shape != right.shape or not len(left):
        raise InputError(f"two rows of as many numbers are compared, not {list(left.shape)} and {list(right.shape)}")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise InputError("NaN or infinity cannot be compared")
    return left, right


def _coded(truth: Sequence[Any], found: Sequence[Any]) -> tuple[Codes, Codes, list[Any]]:
    """Labels as numbers: those of the truth, those found, and the label of each number."""
    if len(truth) != len(found) or not len(truth):
        raise InputError(f"{len(truth)} labels are compared with {len(found)}: it takes as many, and one at least")
    places: dict[Any, int] = {}
    both = [places.setdefault(label, len(places)) for row in (truth, found) for label in row]
    return np.array(both[: len(truth)], np.int64), np.array(both[len(truth) :], np.int64), list(places)
