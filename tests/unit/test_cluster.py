"""Clusters: found where they were planted, the same again, named by their words, measured as others measure them."""

import sys

import numpy as np
import pytest

from gemlet import Embedder, cluster
from gemlet.clustering.anomaly import SAMPLE, anomaly_scores
from gemlet.clustering.names import telling_words
from gemlet.clustering.quality import adjusted_rand, quality_of, silhouettes, v_measure
from gemlet.clustering.spherical import LARGE, centres_of, kmeans
from gemlet.errors import InputError, MissingExtra
from gemlet.pca import main_directions
from gemlet.vectors import normalize

Planted = tuple[np.ndarray, np.ndarray]


def planted(groups: int, rows: int, dim: int = 48, noise: float = 0.25, seed: int = 0) -> Planted:
    """Unit vectors [groups * rows, dim] around `groups` directions, in no order, and the group of each."""
    rng = np.random.default_rng(seed)
    centres = normalize(rng.standard_normal((groups, dim)).astype(np.float32))
    known = rng.permutation(np.repeat(np.arange(groups), rows))
    spread = noise * rng.standard_normal((groups * rows, dim)) / np.sqrt(dim) * 2
    return normalize((centres[known] + spread).astype(np.float32)), known


def same_groups(labels: np.ndarray, known: np.ndarray) -> bool:
    return len({*zip(labels.tolist(), known.tolist(), strict=True)}) == len(set(known.tolist())) == len(set(labels))


@pytest.mark.parametrize("groups", [2, 5, 9])
def test_planted_groups_and_their_number_are_found(groups: int) -> None:
    vectors, known = planted(groups, 20)
    found = cluster(vectors)
    assert len(found) == groups
    assert same_groups(found.labels, known)
    assert found.quality.noise == 0


def test_a_number_that_is_given_is_kept_and_the_largest_cluster_is_the_first() -> None:
    vectors, _ = planted(4, 20)
    found = cluster(vectors[:70], 6)
    assert len(found) == 6
    assert found.sizes == sorted(found.sizes, reverse=True)
    assert sum(found.sizes) == 70
    assert cluster(vectors, 1).sizes == [80]


def test_as_many_clusters_as_rows() -> None:
    vectors, _ = planted(3, 4)
    assert cluster(vectors, 12).sizes == [1] * 12


def test_the_same_seed_gives_the_same_clusters_and_another_is_used() -> None:
    vectors = normalize(np.random.default_rng(1).standard_normal((300, 32)).astype(np.float32))
    one, again, other = (cluster(vectors, 12, seed=seed) for seed in (3, 3, 4))
    assert (one.labels == again.labels).all()
    assert (one.centres == again.centres).all()
    assert (one.labels != other.labels).any()


def test_kmeans_is_as_good_as_scikit_learns() -> None:
    from sklearn.cluster import KMeans

    vectors = normalize(np.random.default_rng(2).standard_normal((400, 16)).astype(np.float32))
    ours = kmeans(vectors, 10).fit
    theirs = KMeans(10, n_init=10, random_state=0).fit(vectors).labels_.astype(np.int64)
    fit = float((vectors * centres_of(vectors, theirs, 10)[theirs]).sum())
    assert ours >= 0.99 * fit  # both stop at a local best; none is bound to win


def test_no_cluster_is_empty_when_rows_are_repeated() -> None:
    vectors = np.repeat(np.eye(6, dtype=np.float32), [50, 50, 50, 1, 1, 1], axis=0)
    found = kmeans(vectors, 6)
    assert np.bincount(found.labels).tolist() == [50, 50, 50, 1, 1, 1]
    assert np.allclose(found.cosines, 1)


def test_large_sets_go_by_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LARGE == 100_000
    monkeypatch.setattr("gemlet.clustering.spherical.LARGE", 500)
    vectors, known = planted(8, 100)
    assert same_groups(kmeans(vectors, 8).labels, known)


def test_hdbscan_finds_groups_and_leaves_what_lies_alone() -> None:
    vectors, known = planted(3, 40)
    alone = normalize(np.random.default_rng(9).standard_normal((15, 48)).astype(np.float32))
    found = cluster(np.concatenate([vectors, alone]), method="hdbscan")
    assert same_groups(found.labels[:120], known)
    assert (found.labels[:120] >= 0).all()
    assert found.quality.noise == pytest.approx((found.labels == -1).mean())
    assert found.name_of(int(np.flatnonzero(found.labels == -1)[0])) == "noise"


def test_hdbscan_may_find_noise_alone() -> None:
    found = cluster(np.eye(3, dtype=np.float32), method="hdbscan")
    if not len(found):
        assert (found.names, found.examples, found.sizes, found.quality.silhouette) == ([], [], [], None)
    assert len(found.labels) == 3


def test_hdbscan_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(MissingExtra, match=r"gemlet\[cluster\]"):
        cluster(planted(2, 5)[0], method="hdbscan")


def test_the_silhouette_is_scikit_learns() -> None:
    from sklearn.metrics import silhouette_samples

    vectors, labels = planted(4, 30, noise=1.0)
    labels[0] = 9  # a cluster of one
    theirs = silhouette_samples(vectors.astype(np.float64), labels, metric="cosine")
    assert np.allclose(silhouettes(vectors, labels), theirs, atol=1e-6)


def test_noise_is_left_out_of_the_silhouette_and_large_sets_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = planted(3, 40)
    labels = labels.astype(np.int64)
    labels[:10] = -1
    quality = quality_of(vectors, labels)
    assert quality.silhouette == pytest.approx(silhouettes(vectors[10:], labels[10:]).mean())
    assert quality.noise == pytest.approx(10 / 120)
    monkeypatch.setattr("gemlet.clustering.quality.SAMPLE", 60)
    assert quality_of(vectors, labels).silhouette == pytest.approx(quality.silhouette, abs=0.05)
    assert quality_of(vectors, np.zeros(120, np.int64)).silhouette is None


@pytest.mark.parametrize("seed", range(4))
def test_agreement_is_scikit_learns(seed: int) -> None:
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    rng = np.random.default_rng(seed)
    known, labels = rng.integers(5, size=80), rng.integers(-1, 3, size=80)
    labels[:40] = known[:40]
    assert v_measure(known, labels) == pytest.approx(v_measure_score(known, labels))
    assert adjusted_rand(known, labels) == pytest.approx(adjusted_rand_score(known, labels))


@pytest.mark.parametrize(
    ("known", "labels", "v", "rand"),
    [([0, 0, 1, 1], [5, 5, 2, 2], 1, 1), ([0, 0, 0, 0], [1, 1, 1, 1], 1, 1), ([0, 0, 0, 0], [0, 1, 2, 3], 0, 0)],
)
def test_agreement_at_its_ends(known: list[int], labels: list[int], v: float, rand: float) -> None:
    assert v_measure(np.array(known), np.array(labels)) == pytest.approx(v)
    assert adjusted_rand(np.array(known), np.array(labels)) == pytest.approx(rand)


def test_what_fits_nowhere_scores_highest() -> None:
    vectors, _ = planted(3, 40)
    alone = normalize(np.random.default_rng(9).standard_normal((2, 48)).astype(np.float32))
    scores = anomaly_scores(np.concatenate([vectors, alone]))
    assert set(np.argsort(-scores)[:2].tolist()) == {120, 121}
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    assert anomaly_scores(vectors) == pytest.approx(1 - np.sort(cosines, axis=1)[:, -10:].mean(axis=1), abs=1e-5)


def test_anomalies_of_a_large_set_are_found_against_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SAMPLE == 5_000
    monkeypatch.setattr("gemlet.clustering.anomaly.SAMPLE", 60)
    vectors, _ = planted(3, 40)
    alone = normalize(np.random.default_rng(9).standard_normal((1, 48)).astype(np.float32))
    assert anomaly_scores(np.concatenate([vectors, alone])).argmax() == 120


def test_names_are_the_words_that_tell_apart_in_any_script() -> None:
    texts = [
        "the bank card is lost",
        "the card was stolen at the bank",
        "cards of the bank",
        "the dog eats the bone",
        "a dog and its bone",
        "the dog barks",
        "図書館で本を借りる",
        "図書館は静かです",
        "मेरी किताब पुस्तकालय में है",
        "पुस्तकालय में किताब",
    ]
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 3])
    bank, dog, library, hindi = telling_words(texts, labels, 4)
    assert bank[0] == "bank"
    assert bank[1] in {"card", "cards"}
    assert "cards" not in bank or "card" not in bank  # one word is not said twice
    assert dog[:2] == ["dog", "bone"]
    assert set(library) <= {"図書", "書館"}
    assert set(hindi) == {"किताब", "पुस्तकालय", "में"}
    assert not {"the", "is", "a"} & {*bank[:2], *dog[:2]}


def test_a_cluster_that_no_word_tells_apart_has_a_number() -> None:
    vectors, _ = planted(2, 6)
    assert cluster(vectors, 2, texts=["same words"] * 12).names == ["cluster 0", "cluster 1"]
    assert cluster(vectors, 2).names == ["cluster 0", "cluster 1"]


def test_examples_are_nearest_to_the_centre_and_no_text_comes_twice() -> None:
    vectors, _ = planted(2, 6)
    found = cluster(vectors, 2, texts=["copy" if row % 2 else f"text {row}" for row in range(12)])
    for number, rows in enumerate(found.examples):
        near = vectors[rows] @ found.centres[number]
        assert near.tolist() == sorted(near, reverse=True)
        assert sum(row % 2 for row in rows) <= 1
        assert (found.labels[rows] == number).all()


def test_texts_are_embedded_and_known_labels_compared(tiny: Embedder) -> None:
    texts = [f"{word} {number}" for word in ("aaaa", "zzzz", "0000") for number in range(5)]
    found = cluster(texts, 3, model=tiny, known=[text[0] for text in texts])
    again = cluster(tiny.encode(texts, prompt_name="Clustering"), 3, texts=texts)
    assert (found.labels == again.labels).all()
    assert found.names == again.names
    assert found.quality.v_measure is not None
    assert again.quality.v_measure is None


def test_main_directions_are_those_of_most_variance_and_repeat() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((300, 5)) * [9, 5, 1, 0.5, 0.1] + 3).astype(np.float32)
    placed = main_directions(vectors, 2)
    centred = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(placed) == pytest.approx(np.abs(centred @ directions[:2].T), abs=1e-3)
    turned = main_directions(vectors[::-1].copy(), 2)[::-1]
    assert turned == pytest.approx(placed, abs=1e-4)  # the sign is no matter of chance
    assert (main_directions(vectors[:, :2].copy(), 4)[:, 2:] == 0).all()


ROWS = np.eye(4, dtype=np.float32)


@pytest.mark.parametrize(
    ("items", "options", "said"),
    [
        (ROWS[:1], {}, "there is 1 row: clusters need 2 or more"),
        (ROWS[:0], {}, "there are no rows"),
        ([], {}, "there are no rows"),
        ("one text", {}, "there is 1 row"),
        (["a", None], {}, "text 1 is None"),
        (["a", float("nan")], {}, "text 1 is nan"),
        (np.ones((10, 4), np.float32), {}, "all 10 rows are the same"),
        (ROWS, {"k": 5}, "k is 5, with 4 rows: choose 1 to 4"),
        (ROWS, {"k": 0}, "k is 0, with 4 rows"),
        (np.repeat(ROWS[:2], 5, axis=0), {"k": 3}, "k is 3, and only 2 of 10 rows differ: choose 1 to 2"),
        (ROWS, {"k": 2, "method": "hdbscan"}, "leave k out"),
        (ROWS, {"method": "ward"}, "method is 'ward'; available: kmeans, hdbscan"),
        (ROWS, {"texts": ["a"]}, "there are 1 texts for 4 vectors"),
        (ROWS, {"known": ["a"]}, "there are 1 known labels for 4 vectors"),
        (ROWS[0], {}, "vectors of shape"),
        (np.where(ROWS == 1, np.nan, ROWS), {}, "vector 0 has NaN or infinity"),
    ],
)
def test_a_mistake_is_named(items: object, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        cluster(items, **options)
