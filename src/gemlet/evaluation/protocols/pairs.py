"""Pairs of texts: how alike, whether the same, which translates which."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gemlet.errors import InputError
from gemlet.evaluation import metrics
from gemlet.evaluation.protocols.measure import Inputs, Scores, check, nearest, with_main
from gemlet.vectors import FloatArray, similarity_pairwise


@dataclass(frozen=True)
class Similarity:
    """Pairs of texts with how alike people found them: the rank correlation of the cosines with that."""

    kind: ClassVar[str] = "STS"
    main: ClassVar[str] = "cosine_spearman"
    first: list[str]
    second: list[str]
    scores: list[float]

    def __post_init__(self) -> None:
        check("pairs", self.first, self.second, self.scores)
        if len(set(self.scores)) < 2:
            raise InputError(f"all {len(self.scores)} pairs have the same score: there is nothing to correlate with")

    def inputs(self) -> list[Inputs]:
        """Both sides."""
        return [Inputs(self.first, "STS"), Inputs(self.second, "STS")]

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """Spearman's and Pearson's correlation."""
        cosines = similarity_pairwise(vectors[0], vectors[1])
        figures = {
            "cosine_spearman": metrics.spearman(cosines, self.scores),
            "cosine_pearson": metrics.pearson(cosines, self.scores),
        }
        return with_main(self, figures)


@dataclass(frozen=True)
class PairClassification:
    """Pairs of texts that say the same or do not: the average precision of their nearness, by the best measure of it.

    labels  true for the same
    """

    kind: ClassVar[str] = "PairClassification"
    main: ClassVar[str] = "max_ap"
    first: list[str]
    second: list[str]
    labels: list[bool]

    def __post_init__(self) -> None:
        check("pairs", self.first, self.second, self.labels)
        if len(set(self.labels)) < 2:
            raise InputError(f"all {len(self.labels)} pairs have the same label: there is nothing to tell apart")

    def inputs(self) -> list[Inputs]:
        """Both sides."""
        return [Inputs(self.first, "PairClassification"), Inputs(self.second, "PairClassification")]

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """Average precision, F1 and accuracy at the best threshold, by cosine and by the sum of the differences."""
        near = {
            "cosine": similarity_pairwise(vectors[0], vectors[1]),
            "manhattan": -np.abs(vectors[0] - vectors[1]).sum(axis=1),
        }
        figures: dict[str, float] = {}
        for name, values in near.items():
            figures[f"{name}_ap"] = metrics.average_precision(self.labels, values)
            figures[f"{name}_f1"] = metrics.best_f1(self.labels, values)
            figures[f"{name}_accuracy"] = metrics.best_accuracy(self.labels, values)
        for name in ("ap", "f1", "accuracy"):
            figures[f"max_{name}"] = max(figures[f"{measure}_{name}"] for measure in near)
        return with_main(self, figures)


@dataclass(frozen=True)
class Bitext:
    """Texts and, row by row, their translations: is the nearest of all translations its own?

    prompt_name  of both sides, in Embedder.prompts
    """

    kind: ClassVar[str] = "BitextMining"
    main: ClassVar[str] = "f1"
    first: list[str]
    second: list[str]
    prompt_name: str = "BitextMining"

    def __post_init__(self) -> None:
        check("sentences", self.first, self.second)

    def inputs(self) -> list[Inputs]:
        """Both languages."""
        return [Inputs(self.first, self.prompt_name), Inputs(self.second, self.prompt_name)]

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """Means over the translations, each a class of its own with one member."""
        found = nearest(vectors[0], vectors[1], 1)[:, 0]
        right = found == np.arange(len(found))
        times = np.bincount(found, minlength=len(found))
        figures = {
            "f1": float(np.mean(2 * right / (1 + times))),
            "precision": float(np.mean(right / np.maximum(times, 1))),
            "recall": float(np.mean(right)),
            "accuracy": float(np.mean(right)),
        }
        return with_main(self, figures)
