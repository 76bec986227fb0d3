"""Each figure beside the implementation whose numbers the field publishes."""

import warnings

import numpy as np
import pytest

from gemlet.errors import InputError
from gemlet.evaluation import metrics

CLOSE = 1e-6
SEEDS = range(8)


def ranking(seed: int):
    """Judgements and scores with ties; ranked as trec_eval does: of equal scores the greatest id first."""
    rng = np.random.default_rng(seed)
    queries, documents, depth = 30, 60, 25
    scores = rng.integers(0, 12, (queries, documents)) / 4
    grades = []
    for query in range(queries):
        judged = rng.choice(documents, rng.integers(1, 30), replace=False)
        highest = (1, 3, 0)[query % 3]  # plain, graded, and judged without any that is relevant
        grades.append({int(row): int(rng.integers(-1, highest + 1)) for row in judged})
    order = np.lexsort((-np.tile(np.arange(documents), (queries, 1)), -scores))
    return scores, order[:, :depth].astype(np.intp), grades


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("k", [1, 5, 10, 25])
def test_ranking_is_trec_evals(seed: int, k: int) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    scores, ranked, grades = ranking(seed)
    qrels = {f"q{q}": {f"d{row:03}": grade for row, grade in judged.items()} for q, judged in enumerate(grades)}
    run = {
        f"q{q}": {f"d{row:03}": float(scores[q, row]) for row in rows[:k].tolist()} for q, rows in enumerate(ranked)
    }  # cut, as recip_rank and map have no k of their own
    names = {f"ndcg_cut.{k}", f"recall.{k}", f"P.{k}", "recip_rank", "map"}
    found = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(run)
    for name, ours in (
        (f"ndcg_cut_{k}", metrics.ndcg(ranked, grades, k)),
        (f"recall_{k}", metrics.recall(ranked, grades, k)),
        (f"P_{k}", metrics.precision(ranked, grades, k)),
        ("recip_rank", metrics.reciprocal_rank(ranked, grades, k)),
        ("map", metrics.ranked_precision(ranked, grades, k)),
    ):
        np.testing.assert_allclose(ours, [found[f"q{q}"][name] for q in range(len(grades))], atol=CLOSE, err_msg=name)


def test_the_random_rankings_have_ties_grades_and_queries_without_relevance() -> None:
    scores, ranked, grades = ranking(0)
    assert len(np.unique(scores[0, ranked[0]])) < ranked.shape[1]
    assert {grade for judged in grades for grade in judged.values()} == {-1, 0, 1, 2, 3}
    empty = [all(grade <= 0 for grade in judged.values()) for judged in grades]
    assert any(empty)
    assert not all(empty)


def test_nothing_found_and_nothing_relevant_is_zero() -> None:
    ranked = np.array([[-1, -1], [3, 5]])
    for grades in ([{3: 1}, {}], [{}, {4: 2, 5: 0}]):
        for metric in (metrics.ndcg, metrics.recall, metrics.precision, metrics.reciprocal_rank):
            assert metric(ranked, grades, 2).tolist() == [0, 0]
        assert metrics.ranked_precision(ranked, grades, 2).tolist() == [0, 0]
    none = np.empty((1, 0), dtype=np.intp)
    assert metrics.ndcg(none, [{1: 1}]).tolist() == metrics.reciprocal_rank(none, [{1: 1}], 5).tolist() == [0]


def test_fewer_found_than_k_are_measured_as_k() -> None:
    ranked = np.array([[7, 8, -1]])
    assert metrics.precision(ranked, [{7: 1, 9: 1}], 10).tolist() == [0.1]
    assert metrics.recall(ranked, [{7: 1, 9: 1}], 10).tolist() == [0.5]
    ideal = 1 + 1 / np.log2(3)
    assert metrics.ndcg(ranked, [{7: 1, 9: 1}], 10)[0] == pytest.approx(1 / ideal)


@pytest.mark.parametrize("seed", SEEDS)
def test_correlations_are_scipys(seed: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(seed)
    x = rng.normal(size=200)
    tied = np.round(x + rng.normal(size=200))
    for left, right in ((x, tied), (tied, np.round(x)), (x, x**3), (x, -tied)):
        assert metrics.pearson(left, right) == pytest.approx(stats.pearsonr(left, right)[0], abs=CLOSE)
        assert metrics.spearman(left, right) == pytest.approx(stats.spearmanr(left, right)[0], abs=CLOSE)


def test_a_constant_has_no_correlation() -> None:
    assert np.isnan(metrics.spearman([1, 1, 1], [1, 2, 3]))
    assert np.isnan(metrics.pearson([1, 2, 3], [0, 0, 0]))


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_are_scikit_learns(seed: int) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, 120).tolist()
    found = [label if rng.random() < 0.6 else int(rng.integers(2, 8)) for label in truth]  # some are nowhere in truth
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of labels that nothing was said of: 0, as here
        assert metrics.accuracy(truth, found) == pytest.approx(reference.accuracy_score(truth, found), abs=CLOSE)
        macro = reference.f1_score(truth, found, average="macro")
        assert metrics.f1(truth, found) == pytest.approx(macro, abs=CLOSE)
        for label in (0, 3, 6, 7):
            one = reference.f1_score(truth, found, labels=[label], average="macro", zero_division=0.0)
            assert metrics.f1(truth, found, label) == pytest.approx(one, abs=CLOSE)
        assert metrics.v_measure(truth, found) == pytest.approx(reference.v_measure_score(truth, found), abs=CLOSE)


def test_words_are_labels_and_one_that_is_nowhere_has_no_f1() -> None:
    assert metrics.accuracy(["a", "b"], ["a", "a"]) == 0.5
    assert metrics.f1(["a", "b"], ["a", "a"], "b") == metrics.f1(["a", "b"], ["a", "a"], "c") == 0
    assert metrics.v_measure(["a", "a", "b"], [7, 7, 3]) == pytest.approx(1)


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_against_labels_are_scikit_learns(seed: int) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 150)
    for scores in (labels + rng.normal(size=150), np.round(labels + rng.normal(size=150), 1), np.zeros(150)):
        expected = reference.average_precision_score(labels, scores)
        assert metrics.average_precision(labels, scores) == pytest.approx(expected, abs=CLOSE)
        precision, recall, _ = reference.precision_recall_curve(labels, scores)
        both = precision + recall
        f1s = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
        assert metrics.best_f1(labels, scores) == pytest.approx(f1s.max(), abs=CLOSE)
        wrong, right, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
        shares = right * labels.mean() + (1 - wrong) * (1 - labels.mean())
        assert metrics.best_accuracy(labels, scores) == pytest.approx(shares.max(), abs=CLOSE)


def test_one_class_only() -> None:
    assert metrics.average_precision([0, 0], [0.2, 0.1]) == metrics.best_f1([0, 0], [0.2, 0.1]) == 0
    assert metrics.best_accuracy([0, 0], [0.2, 0.1]) == 1
    assert metrics.average_precision([True, True], [0.1, 0.2]) == metrics.best_f1([1, 1], [0.1, 0.2]) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.spearman([1, float("nan")], [1, 2]), "NaN"),
        (lambda: metrics.pearson([], []), r"\[0\]"),
        (lambda: metrics.spearman([1, 2], [1, 2, 3]), r"\[2\] and \[3\]"),
        (lambda: metrics.average_precision([0, 2], [1, 2]), "0 or 1"),
        (lambda: metrics.accuracy(["a"], []), "1 labels are compared with 0"),
        (lambda: metrics.ndcg(np.zeros((1, 3), np.intp), []), "for 0 queries"),
        (lambda: metrics.recall(np.zeros((1, 3), np.intp), [{}], 0), "at least 1"),
    ],
)
def test_what_cannot_be_measured(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
