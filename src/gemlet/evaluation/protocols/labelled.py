"""Texts with labels: learned from a few, or found as groups."""

import random
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gemlet.errors import InputError, MissingExtra
from gemlet.evaluation import metrics
from gemlet.evaluation.protocols.measure import Inputs, Scores, check, with_main
from gemlet.vectors import FloatArray

SEED = 42
EXPERIMENTS = 10


@dataclass(frozen=True)
class Classification:
    """Labelled texts to learn from and to be judged by: the mean of ten logistic regressions on a few rows a label.

    per_label  rows of each label that a regression learns from
    """

    kind: ClassVar[str] = "Classification"
    main: ClassVar[str] = "accuracy"
    train: list[str]
    train_labels: list[str]
    test: list[str]
    test_labels: list[str]
    per_label: int = 8

    def __post_init__(self) -> None:
        check("rows to learn from", self.train, self.train_labels)
        check("rows to judge by", self.test, self.test_labels)
        if len(set(self.train_labels)) < 2:
            raise InputError(f"every row to learn from is {self.train_labels[0]!r}: there is nothing to tell apart")

    def inputs(self) -> list[Inputs]:
        """The rows that some regression learns from, then those that are judged."""
        learned = [self.train[row] for row in self._used()]
        return [Inputs(learned, "Classification"), Inputs(self.test, "Classification")]

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """Accuracy and macro F1 of each regression, and their means. Raises MissingExtra without scikit-learn."""
        each = [
            {"accuracy": metrics.accuracy(self.test_labels, found), "f1": metrics.f1(self.test_labels, found)}
            for found in self.predictions(vectors)
        ]
        figures: Scores = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        return with_main(self, figures | {"scores_per_experiment": each})

    def predictions(self, vectors: Sequence[FloatArray]) -> Iterator[list[str]]:
        """What each regression says of the rows to judge by. Raises MissingExtra without scikit-learn."""
        place = {row: i for i, row in enumerate(self._used())}
        for drawn in self._draws():
            labels = [self.train_labels[row] for row in drawn]
            yield _logistic(vectors[0][[place[row] for row in drawn]], labels, vectors[1])

    def _used(self) -> list[int]:
        return sorted({row for drawn in self._draws() for row in drawn})

    def _draws(self) -> list[list[int]]:
        """For each experiment its rows: the first of each label in an order that is shuffled from the last one's."""
        order = list(range(len(self.train)))
        draws = []
        for _ in range(EXPERIMENTS):
            np.random.RandomState(SEED).shuffle(order)
            seen: Counter[str] = Counter()
            drawn = []
            for row in order:
                label = self.train_labels[row]
                if seen[label] < self.per_label:
                    seen[label] += 1
                    drawn.append(row)
            draws.append(drawn)
        return draws


@dataclass(frozen=True)
class Clustering:
    """Texts with their topics: how well ten k-means agree with them, each on 16,384 rows drawn with replacement."""

    kind: ClassVar[str] = "Clustering"
    main: ClassVar[str] = "v_measure"
    texts: list[str]
    labels: list[str]
    drawn: int = 16_384

    def __post_init__(self) -> None:
        check("rows", self.texts, self.labels)
        if len(set(self.labels)) < 2:
            raise InputError(f"every row is {self.labels[0]!r}: there are no groups to find")

    def inputs(self) -> list[Inputs]:
        """The texts."""
        return [Inputs(self.texts, "Clustering")]

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """V-measure of each k-means, and their mean. Raises MissingExtra without scikit-learn."""
        try:
            from sklearn.cluster import MiniBatchKMeans
        except ImportError:
            raise MissingExtra("eval", "clustering as MTEB does it") from None
        chance = random.Random(SEED)
        order = chance.sample(range(len(self.texts)), len(self.texts))
        rows, labels = vectors[0][order], np.array(self.labels)[order]
        groups = MiniBatchKMeans(len(set(self.labels)), batch_size=512, init="k-means++", n_init=1, random_state=SEED)
        each = []
        for _ in range(EXPERIMENTS):
            drawn = chance.choices(range(len(rows)), k=self.drawn)
            each.append(metrics.v_measure(labels[drawn].tolist(), groups.fit_predict(rows[drawn]).tolist()))
        figures: Scores = {"v_measure": float(np.mean(each)), "v_measure_std": float(np.std(each))}
        return with_main(self, figures | {"v_measures": {"Level 0": each}})


def _logistic(rows: FloatArray, labels: list[str], judged: FloatArray) -> list[str]:
    """What a regression that learned from rows says of others; a hundred steps, whether they are enough or not."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise MissingExtra("eval", "classification as MTEB does it") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = LogisticRegression(max_iter=100, random_state=SEED).fit(rows, labels).predict(judged)
    return [str(label) for label in found]
