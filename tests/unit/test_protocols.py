"""Figures of each protocol: by hand where that is short, by scikit-learn, SciPy and trec_eval's rules elsewhere."""

import numpy as np
import pytest

from gemlet import InputError
from gemlet.evaluation.protocols import (
    Bitext,
    Classification,
    Clustering,
    PairClassification,
    Retrieval,
    Similarity,
)
from gemlet.vectors import FloatArray, normalize


def made(rows: int, seed: int, dim: int = 16) -> FloatArray:
    """[rows, dim] float32 of unit length."""
    return normalize(np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32))


def words(count: int, prefix: str = "t") -> list[str]:
    return [f"{prefix}{i}" for i in range(count)]


def test_sts_is_the_rank_correlation_of_cosines() -> None:
    stats = pytest.importorskip("scipy.stats")
    one, other = made(40, 1), made(40, 2)
    wanted = [float(i % 7) for i in range(40)]
    measure = Similarity(words(40), words(40, "u"), wanted)
    assert [inputs.prompt_name for inputs in measure.inputs()] == ["STS", "STS"]
    scores = measure.score([one, other])
    cosines = np.einsum("ij,ij->i", one.astype(np.float64), other)
    assert scores["main_score"] == pytest.approx(stats.spearmanr(cosines, wanted)[0], abs=1e-6)
    assert scores["cosine_pearson"] == pytest.approx(stats.pearsonr(cosines, wanted)[0], abs=1e-6)


def test_pair_classification_is_the_average_precision_of_the_better_measure() -> None:
    ap = pytest.importorskip("sklearn.metrics").average_precision_score
    one, other = made(60, 3), made(60, 4)
    labels = [i % 3 == 0 for i in range(60)]
    scores = PairClassification(words(60), words(60, "u"), labels).score([one, other])
    cosine = ap(labels, np.einsum("ij,ij->i", one, other))
    manhattan = ap(labels, -np.abs(one - other).sum(axis=1))
    assert scores["cosine_ap"] == pytest.approx(cosine, abs=1e-6)
    assert scores["manhattan_ap"] == pytest.approx(manhattan, abs=1e-6)
    assert scores["main_score"] == max(scores["cosine_ap"], scores["manhattan_ap"])


def test_bitext_is_the_weighted_f1_of_the_nearest() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    one, other = made(30, 5, dim=4), made(30, 6, dim=4)
    other[:12] = one[:12]
    scores = Bitext(words(30), words(30, "u")).score([one, other])
    nearest = np.argmax(one @ other.T, axis=1)
    truth = np.arange(30)
    options = {"average": "weighted", "zero_division": 0}
    assert scores["main_score"] == pytest.approx(metrics.f1_score(truth, nearest, **options), abs=1e-9)
    assert scores["precision"] == pytest.approx(metrics.precision_score(truth, nearest, **options), abs=1e-9)
    assert scores["recall"] == pytest.approx(metrics.recall_score(truth, nearest, **options), abs=1e-9)
    assert 0.3 < scores["accuracy"] < 1


def test_retrieval_by_hand() -> None:
    documents = np.eye(4, dtype=np.float32)
    queries = normalize(np.array([[4, 3, 2, 1], [1, 2, 3, 4]], np.float32))
    measure = Retrieval(words(2, "q"), words(4, "d"), [{1: 1}, {3: 1, 0: 1}])
    assert [inputs.prompt_name for inputs in measure.inputs()] == ["Retrieval-query", "Retrieval-document"]
    scores = measure.score([queries, documents])
    second = (1 + 1 / np.log2(5)) / (1 + 1 / np.log2(3))
    assert scores["main_score"] == pytest.approx((1 / np.log2(3) + second) / 2)
    assert scores["mrr_at_10"] == pytest.approx((1 / 2 + 1) / 2)
    assert scores["recall_at_1"] == pytest.approx((0 + 1 / 2) / 2)
    assert scores["map_at_10"] == pytest.approx((1 / 2 + (1 + 2 / 4) / 2) / 2)


def test_of_equally_near_documents_the_later_name_comes_first() -> None:
    documents = np.ones((3, 1), np.float32)
    grades = [{1: 1}]
    best = Retrieval(["q"], words(3, "d"), grades, names=["a", "z", "b"]).score([documents[:1], documents])
    last = Retrieval(["q"], words(3, "d"), grades, names=["b", "a", "z"]).score([documents[:1], documents])
    assert (best["mrr_at_10"], last["mrr_at_10"]) == (1, pytest.approx(1 / 3))


def test_classification_is_scikit_learns_regression_on_rows_drawn_as_mteb_draws() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    labels = ["a", "b", "c"] * 30
    centres = made(3, 7)
    train = normalize(np.stack([centres["abc".index(label)] for label in labels]) + made(90, 8))
    test = normalize(np.stack([centres["abc".index(label)] for label in labels[:45]]) + made(45, 9))
    measure = Classification(words(90), labels, words(45, "u"), labels[:45], per_label=4)
    used = [int(text[1:]) for text in measure.inputs()[0].texts]
    scores = measure.score([train[used], test])

    order, accuracies = list(range(90)), []
    for _ in range(10):
        np.random.RandomState(42).shuffle(order)
        drawn = [row for label in "abc" for row in [i for i in order if labels[i] == label][:4]]
        assert set(drawn) <= set(used)
        drawn.sort(key=order.index)
        model = linear_model.LogisticRegression(max_iter=100, random_state=42)
        model.fit(train[drawn], [labels[i] for i in drawn])
        accuracies.append(model.score(test, labels[:45]))
    assert [one["accuracy"] for one in scores["scores_per_experiment"]] == pytest.approx(accuracies)
    assert scores["main_score"] == pytest.approx(np.mean(accuracies))
    assert len(set(accuracies)) > 1


def test_clustering_finds_topics_that_lie_apart_and_nothing_in_noise() -> None:
    pytest.importorskip("sklearn")
    labels = ["a", "b", "c"] * 20
    centres = made(3, 10)
    apart = normalize(np.stack([centres["abc".index(label)] for label in labels]) + 0.05 * made(60, 11))
    measure = Clustering(words(60), labels, drawn=500)
    scores = measure.score([apart])
    assert len(scores["v_measures"]["Level 0"]) == 10
    assert scores["main_score"] > 0.9
    assert measure.score([made(60, 12)])["main_score"] < 0.3
    assert measure.score([apart]) == scores


WRONG = [
    (lambda: Similarity(["a"], ["b", "c"], [1.0]), "there are 1 and 2 and 1 pairs"),
    (lambda: Similarity([], [], []), "there are no pairs"),
    (lambda: Similarity(["a"], ["b"], [1.0]), "all 1 pairs have the same score"),
    (lambda: PairClassification(["a"] * 10, ["a"] * 10, [True] * 10), "all 10 pairs have the same label"),
    (lambda: Bitext([], []), "there are no sentences"),
    (lambda: Retrieval(["q"], [], [{0: 1}]), "there are no documents"),
    (lambda: Retrieval(["q"], ["d"], [{0: 0}]), "no document is relevant for the query 'q'"),
    (lambda: Classification(["a"], ["x"], ["b"], ["x"]), "every row to learn from is 'x'"),
    (lambda: Clustering(["a"] * 10, ["x"] * 10), "every row is 'x'"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_what_cannot_be_measured_is_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
