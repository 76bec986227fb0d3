"""What a task asks of vectors, scored as MTEB scores it.   (texts and what is known of them → what to embed → figures)

A protocol names its texts and their prompts (`inputs`), and turns their vectors into figures (`score`), in the same
order; who embeds is not its business. The prompts are those that the checkpoint names after MTEB's kinds of task, as
its registration in MTEB has them, but for one: the published scores of bitext mining come out with "sentence
similarity" (Bosnian of Tatoeba: 69.5, published 70.2) and not with the checkpoint's "search result" (64.0).

Source: MTEB 2 (Muennighoff et al. 2022, arXiv:2210.07316, section 3), its classes AbsTaskSTS,
AbsTaskPairClassification, AbsTaskBitextMining, AbsTaskRetrieval, AbsTaskClassification and AbsTaskClustering, with the
seed 42.
"""

import random
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError, MissingExtra
from gemlet.evaluation import metrics
from gemlet.vectors import FloatArray, similarity_pairwise

SEED = 42
EXPERIMENTS = 10
CUTS = (1, 3, 5, 10, 20, 100)
"""Ranks at which retrieval is judged."""

PROMPTS = {"BitextMining": "sentence similarity"}
"""Kinds of task whose prompt is not the one that the checkpoint names after them."""

Scores = dict[str, Any]
"""Names of MTEB's figures → figures from 0 to 1, with "main_score" among them."""


class Inputs(NamedTuple):
    """Texts that are embedded with one prompt, by its name in Embedder.prompts."""

    texts: list[str]
    prompt_name: str


class Measure(Protocol):
    """One task on one set of texts. kind: MTEB's name of this kind of task; main: of its main figure."""

    kind: ClassVar[str]
    main: ClassVar[str]

    def inputs(self) -> list[Inputs]:
        """What has to be embedded."""

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """Figures, from [texts, dim] float32 of unit length for each of inputs()."""


@dataclass(frozen=True)
class Similarity:
    """Pairs of texts with how alike people found them: the rank correlation of the cosines with that."""

    kind: ClassVar[str] = "STS"
    main: ClassVar[str] = "cosine_spearman"
    first: list[str]
    second: list[str]
    scores: list[float]

    def __post_init__(self) -> None:
        _check("pairs", self.first, self.second, self.scores)
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
        return _with_main(self, figures)


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
        _check("pairs", self.first, self.second, self.labels)
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
        return _with_main(self, figures)


@dataclass(frozen=True)
class Bitext:
    """Texts and, row by row, their translations: is the nearest of all translations its own?"""

    kind: ClassVar[str] = "BitextMining"
    main: ClassVar[str] = "f1"
    first: list[str]
    second: list[str]

    def __post_init__(self) -> None:
        _check("sentences", self.first, self.second)

    def inputs(self) -> list[Inputs]:
        """Both languages."""
        prompt = PROMPTS[self.kind]
        return [Inputs(self.first, prompt), Inputs(self.second, prompt)]

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """Means over the translations, each a class of its own with one member."""
        nearest = _ranked(vectors[0], vectors[1], 1)[:, 0]
        right = nearest == np.arange(len(nearest))
        times = np.bincount(nearest, minlength=len(nearest))
        found = np.maximum(times, 1)
        figures = {
            "f1": float(np.mean(2 * right / (1 + times))),
            "precision": float(np.mean(right / found)),
            "recall": float(np.mean(right)),
            "accuracy": float(np.mean(right)),
        }
        return _with_main(self, figures)


@dataclass(frozen=True)
class Retrieval:
    """Queries, documents, and which documents answer which query.

    grades     for each query the rows of its documents → grade; over 0 is relevant
    documents  with their titles, if they have any, before the text and a space
    names      of the documents: of equally near ones that with the later name comes first, as trec_eval has it
    """

    kind: ClassVar[str] = "Retrieval"
    main: ClassVar[str] = "ndcg_at_10"
    queries: list[str]
    documents: list[str]
    grades: list[dict[int, int]]
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check("queries", self.queries, self.grades)
        _check("documents", self.documents, *([self.names] if self.names else []))
        for query, grade in zip(self.queries, self.grades, strict=True):
            if not any(value > 0 for value in grade.values()):
                raise InputError(f"no document is relevant for the query {query[:60]!r}")

    def inputs(self) -> list[Inputs]:
        """Queries, then documents."""
        return [Inputs(self.queries, "Retrieval-query"), Inputs(self.documents, "Retrieval-document")]

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """NDCG, MAP, recall, precision and MRR at the CUTS."""
        rows = range(len(self.documents))
        order = np.array(sorted(rows, key=self.names.__getitem__, reverse=True) if self.names else rows, np.intp)
        ranked = order[_ranked(vectors[0], vectors[1][order], max(CUTS))]
        figures: dict[str, float] = {}
        for name, metric in _RANKING.items():
            for k in CUTS:
                figures[f"{name}_at_{k}"] = float(metric(ranked, self.grades, k).mean())
        return _with_main(self, figures)


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
        _check("rows to learn from", self.train, self.train_labels)
        _check("rows to judge by", self.test, self.test_labels)
        if len(set(self.train_labels)) < 2:
            raise InputError(f"every row to learn from is {self.train_labels[0]!r}: there is nothing to tell apart")

    def inputs(self) -> list[Inputs]:
        """The rows that some regression learns from, then those that are judged."""
        learned = [self.train[row] for row in self._used()]
        return [Inputs(learned, "Classification"), Inputs(self.test, "Classification")]

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """Accuracy and macro F1 of each regression, and their means. Raises MissingExtra without scikit-learn."""
        place = {row: i for i, row in enumerate(self._used())}
        each = []
        for drawn in self._draws():
            labels = [self.train_labels[row] for row in drawn]
            found = _logistic(vectors[0][[place[row] for row in drawn]], labels, vectors[1])
            each.append(
                {"accuracy": metrics.accuracy(self.test_labels, found), "f1": metrics.f1(self.test_labels, found)}
            )
        figures: Scores = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        return _with_main(self, figures | {"scores_per_experiment": each})

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
        _check("rows", self.texts, self.labels)
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
        return _with_main(self, figures | {"v_measures": {"Level 0": each}})


_RANKING = {
    "ndcg": metrics.ndcg,
    "map": metrics.ranked_precision,
    "recall": metrics.recall,
    "precision": metrics.precision,
    "mrr": metrics.reciprocal_rank,
}


def _ranked(queries: FloatArray, documents: FloatArray, depth: int) -> npt.NDArray[np.intp]:
    """[queries, at most depth] rows of the nearest documents, the earlier of equally near ones first."""
    found = [
        np.argsort(-(queries[begin : begin + 256] @ documents.T), axis=1, kind="stable")[:, :depth]
        for begin in range(0, len(queries), 256)
    ]
    return np.concatenate(found)


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


def _with_main(measure: Measure, figures: Mapping[str, Any]) -> Scores:
    return {**figures, "main_score": figures[measure.main]}


def _check(what: str, *columns: Sequence[Any]) -> None:
    """Raise InputError unless there are rows, the same number in each column."""
    counts = [len(column) for column in columns]
    if len(set(counts)) > 1:
        raise InputError(f"there are {' and '.join(map(str, counts))} {what}: each side has one for each")
    if not counts[0]:
        raise InputError(f"there are no {what}")
