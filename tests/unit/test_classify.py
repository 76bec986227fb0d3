"""Heads, calibration and figures are scikit-learn's; what cannot be learned, read or meant is one clear line."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support
from tiny_model import write_tiny_checkpoint

import gemlet
from gemlet import Classifier, Embedder, InputError, MissingExtra
from gemlet.classify import check_picture, draw, report_of
from gemlet.classify.calibration import calibration_error, temperature, thresholds
from gemlet.classify.heads import centroids, fit_head
from gemlet.classify.labels import as_labels, targets_of
from gemlet.classify.logistic import fit_logistic, log_softmax, sigmoid
from gemlet.classify.safefile import read, write
from gemlet.vectors import normalize

TEXTS = [
    f"{word} the {other}" for other in ("one", "sea", "task", "title", "query") for word in ("red", "search result")
]
LABELS = ["colour", "finding"] * 5


def blobs(rows: int, classes: int, noise: float = 0.6, dim: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around a centre for each class, and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    centres = normalize(rng.normal(size=(classes, dim)).astype(np.float32))
    return normalize((centres[labels] + noise * rng.normal(size=(rows, dim)) / dim**0.5 * 2).astype(np.float32)), labels


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return labels[:, None] == np.arange(classes)


@pytest.fixture
def learned(tiny: Embedder) -> Classifier:
    return Classifier(tiny).fit(TEXTS, LABELS)


# --- heads


@pytest.mark.parametrize(("rows", "classes"), [(60, 2), (300, 5), (400, 77)])
@pytest.mark.parametrize("c", [1.0, 10.0])
def test_logistic_regression_is_scikit_learns(rows: int, classes: int, c: float) -> None:
    x, y = blobs(rows, classes)
    theirs = LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(x.astype(np.float64), y)
    ours = fit_logistic(x, one_hot(y, classes), c=c)
    assert np.abs(np.exp(log_softmax(ours.scores(x))) - theirs.predict_proba(x)).max() < 1e-3


def test_one_question_for_each_label_is_scikit_learns() -> None:
    x, y = blobs(200, 4)
    targets = one_hot(y, 4) | one_hot((y * 2) % 4, 4)
    found = sigmoid(fit_logistic(x, targets, c=1, one_vs_rest=True).scores(x))
    for label in range(4):
        theirs = LogisticRegression(C=1, max_iter=5000, tol=1e-8).fit(x.astype(np.float64), targets[:, label])
        assert np.abs(found[:, label] - theirs.predict_proba(x)[:, 1]).max() < 1e-3


def test_a_centroid_is_the_mean_direction() -> None:
    x, y = blobs(30, 3)
    found = centroids(x, one_hot(y, 3))
    mean = x[y == 1].mean(axis=0)
    assert np.abs(found.weights[:, 1] - mean / np.linalg.norm(mean)).max() < 1e-6


def test_auto_takes_the_head_that_is_better_on_held_out_rows() -> None:
    x, y = blobs(400, 4, noise=0.5)
    assert fit_head(x, one_hot(y, 4), "auto", c=10, several=False, seed=0).method == "centroid"
    ring = np.concatenate([x[y == 0], x[y == 1]])
    halves = one_hot((ring @ x[0] > np.median(ring @ x[0])).astype(int) ^ (np.arange(len(ring)) < 100), 2)
    assert fit_head(ring, halves, "auto", c=100, several=False, seed=0).method == "logistic"


def test_no_row_is_held_out_from_a_head_that_has_seen_it() -> None:
    """Labels by chance: a head that has seen a row knows it, one that has not is right by chance."""
    rng = np.random.default_rng(0)
    x = normalize(rng.normal(size=(200, 400)).astype(np.float32))
    targets = one_hot(rng.integers(0, 2, 200), 2)
    head = fit_head(x, targets, "logistic", c=100, several=False, seed=0)
    assert head.held_out is not None
    assert (head.linear.scores(x).argmax(axis=1) == targets.argmax(axis=1)).mean() == 1
    assert (head.held_out.argmax(axis=1) == targets.argmax(axis=1)).mean() < 0.65


def test_the_only_example_of_a_label_is_learned_from_and_never_held_out() -> None:
    x, y = blobs(41, 4)
    y = np.where(np.arange(41) == 40, 4, y)
    head = fit_head(x, one_hot(y, 5), "auto", c=10, several=False, seed=0)
    assert head.rows.tolist() == list(range(40))
    single = fit_head(x[:4], one_hot(y[:4], 4), "auto", c=10, several=False, seed=0)
    assert (single.method, single.held_out) == ("centroid", None)


def test_the_seed_deals_the_folds() -> None:
    x, y = blobs(50, 2, noise=1.5)

    def held_out(seed: int) -> np.ndarray:
        found = fit_head(x, one_hot(y, 2), "logistic", c=10, several=False, seed=seed).held_out
        assert found is not None
        return found

    assert (held_out(3) == held_out(3)).all()
    assert (held_out(3) != held_out(4)).any()


# --- calibration


def test_the_temperature_is_found_again() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4000, 3)) * 2
    drawn = (np.exp(log_softmax(scores)).cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    assert temperature(scores / 5, one_hot(drawn, 3), 2.0, several=False) == pytest.approx(5, rel=0.08)  # by chance


def test_a_few_rows_do_not_make_probabilities_of_one() -> None:
    scores = np.array([[1.0, -1], [1, -1], [-1, 1], [-1, 1]])
    right = one_hot(np.array([0, 0, 1, 1]), 2)
    assert 1 < temperature(scores, right, 1.0, several=False) < 3
    assert 0.2 < temperature(scores, ~right, 1.0, several=False) < 1


def test_the_calibration_error_is_the_mean_distance() -> None:
    probabilities = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False, True, False])
    assert calibration_error(probabilities, right) == pytest.approx((4 * 0.2 + 2 * 0.05) / 6)
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0


def test_held_out_probabilities_say_how_often_they_are_right(tiny: Embedder) -> None:
    x, y = blobs(1500, 3, noise=2.0, dim=64)
    model = Classifier(tiny).fit(x, y)
    assert model.validation_ is not None
    assert 0.5 < model.validation_.accuracy < 0.97
    assert model.validation_.calibration_error is not None
    assert model.validation_.calibration_error < 0.05
    fresh, truth = blobs(3000, 3, noise=2.0, dim=64)
    assert abs(model.score(fresh[1500:], truth[1500:]) - model.validation_.accuracy) < 0.05


def test_a_threshold_is_the_best_f1s() -> None:
    probabilities = np.array([[0.9], [0.8], [0.4], [0.3], [0.2]])
    assert thresholds(probabilities, np.array([[1], [1], [1], [0], [0]], bool)).tolist() == pytest.approx([0.35])
    assert thresholds(probabilities, np.array([[1], [0], [0], [0], [0]], bool)).tolist() == pytest.approx([0.85])
    assert thresholds(probabilities, np.zeros((5, 1), bool)).tolist() == [0.5]
    same = np.full((4, 1), 0.3)  # which no threshold can part
    assert thresholds(same, np.array([[1], [0], [0], [1]], bool)).tolist() == pytest.approx([0.15])


# --- figures


def test_figures_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    true = [f"l{n}" for n in rng.integers(0, 6, 300)]
    said = [t if rng.random() < 0.6 else f"l{rng.integers(0, 7)}" for t in true]
    found = report_of(true, said, [f"l{n}" for n in range(9)])
    theirs = precision_recall_fscore_support(true, said, zero_division=0)
    ours = [(row.precision, row.recall, row.f1, row.support) for row in found.classes]
    assert np.array(ours) == pytest.approx(np.array(theirs).T)
    assert found.macro_f1 == pytest.approx(np.mean(theirs[2]))
    assert found.accuracy == found.micro_f1 == pytest.approx(accuracy_score(true, said))
    assert found.confusion is not None
    assert (found.confusion[:, :-1] == confusion_matrix(true, said)).all()
    assert (found.unsure, found.unseen) == (0, [])
    assert json.loads(json.dumps(found.to_dict()))["rows"] == 300


def test_figures_of_several_labels_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    true, said = rng.random((100, 4)) < 0.4, rng.random((100, 4)) < 0.5

    def sets(table: np.ndarray) -> list[list[int]]:
        return [np.flatnonzero(row).tolist() for row in table]

    found = report_of(sets(true), sets(said), [0, 1, 2, 3], several=True)
    theirs = precision_recall_fscore_support(true, said, zero_division=0)
    assert [row.f1 for row in found.classes] == pytest.approx(theirs[2].tolist())
    assert found.micro_f1 == pytest.approx(precision_recall_fscore_support(true, said, average="micro")[2])
    assert found.accuracy == pytest.approx(accuracy_score(true, said))
    assert found.confusion is None


def test_not_sure_and_not_known_are_not_right() -> None:
    found = report_of(["a", "a", "b", "new"], ["a", None, "b", "b"], ["a", "b"])
    assert (found.accuracy, found.unsure, found.unseen) == (0.5, 1, ["new"])
    assert found.confusion is not None
    assert found.confusion.tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 0]]


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    many = [f"intent {n}" for n in range(40)]
    for name, labels in (("few.png", ["$a$", "b"]), ("many.svg", many)):
        draw(report_of(labels, [*labels[1:], None], labels), tmp_path / name)
    assert (tmp_path / "few.png").read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in (tmp_path / "many.svg").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.png", "many.svg"]
    with pytest.raises(InputError, match=r"cannot draw .*: name a .png or .svg file"):
        check_picture("a.bmp")
    with pytest.raises(InputError, match="cannot write"):
        draw(report_of(["a", "b"], ["a", "b"], ["a", "b"]), tmp_path / "none" / "a.png")
    with pytest.raises(InputError, match="no confusion matrix"):
        draw(report_of([["a"]], [["a"]], ["a"], several=True), tmp_path / "a.png")


def test_a_picture_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"gemlet\[plot\]"):
        check_picture("a.png")


# --- Classifier


def test_it_has_scikit_learns_shape(tiny: Embedder) -> None:
    model = Classifier(tiny)
    assert model.fit(TEXTS, LABELS) is model
    assert model.classes_.tolist() == ["colour", "finding"]
    probabilities = model.predict_proba(TEXTS)
    assert (probabilities.shape, probabilities.dtype) == ((10, 2), np.float64)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert (model.predict(TEXTS) == model.classes_[probabilities.argmax(axis=1)]).all()
    assert model.score(TEXTS, LABELS) == accuracy_score(LABELS, model.predict(TEXTS)) == 1
    assert model.predict(iter(TEXTS[:1])).tolist() == ["colour"]
    assert gemlet.Classifier is Classifier


def test_texts_and_their_vectors_are_the_same(tiny: Embedder, learned: Classifier) -> None:
    vectors = tiny.encode(TEXTS, prompt_name="classification")
    assert (
        np.abs(Classifier(tiny).fit(vectors, LABELS).predict_proba(vectors) - learned.predict_proba(TEXTS)).max() < 1e-6
    )


@pytest.mark.parametrize("labels", [[3, 1] * 5, [True, False] * 5, np.array([3, 1] * 5)])
def test_labels_keep_their_kind(tiny: Embedder, labels: list[int]) -> None:
    model = Classifier(tiny).fit(TEXTS, labels)
    assert model.predict(TEXTS).tolist() == list(labels)
    assert accuracy_score(labels, model.predict(TEXTS)) == 1


def test_it_says_when_it_does_not_know(tiny: Embedder) -> None:
    model = Classifier(tiny, unsure_below=1).fit(TEXTS, LABELS)
    assert model.predict(TEXTS).tolist() == [None] * 10
    assert model.evaluate(TEXTS, LABELS).unsure == 10
    surest = model.predict_proba(TEXTS).max(axis=1)
    model.unsure_below = float(np.median(surest))
    assert [label is None for label in model.predict(TEXTS)] == (surest < model.unsure_below).tolist()


def test_several_labels(tiny: Embedder) -> None:
    x, y = blobs(300, 3, noise=0.3, dim=64)
    both = [[0, 1, "ab"[0]][:0] + ([f"l{n}", "even"] if n % 2 == 0 else [f"l{n}"]) for n in y]
    both[0] = []
    model = Classifier(tiny, multi_label=True).fit(x, both)
    assert model.classes_.tolist() == ["even", "l0", "l1", "l2"]
    said = model.predict(x)
    assert said[1] == ["l1"]
    assert said[2] == ["even", "l2"]
    assert model.score(x, both) > 0.9
    assert model.validation_ is not None
    assert model.validation_.micro_f1 > 0.9
    assert model.predict_proba(x)[2].sum() > 1.5  # each label is a question of its own


def test_labels_that_are_not_known_count_as_wrong(learned: Classifier) -> None:
    found = learned.evaluate(TEXTS[:4], ["colour", "finding", "smell", "smell"])
    assert found.accuracy == 0.5
    assert found.unseen == ["smell"]


def test_unbalanced_classes_do_not_drown_the_small_one(tiny: Embedder) -> None:
    x, y = blobs(1000, 2, noise=0.5, dim=64)
    kept = np.flatnonzero((y == 0) | (np.arange(1000) < 60))
    model = Classifier(tiny).fit(x[kept], y[kept])
    found = model.evaluate(*blobs(1000, 2, noise=0.5, dim=64))
    assert min(row.recall for row in found.classes) > 0.8


def test_77_classes(tiny: Embedder) -> None:
    x, y = blobs(77 * 3, 77, noise=0.2)
    model = Classifier(tiny).fit(x, [f"intent_{n:02}" for n in y])
    assert model.predict_proba(x).shape == (231, 77)
    assert model.validation_ is not None
    assert model.validation_.accuracy > 0.9


@pytest.mark.parametrize(
    ("texts", "labels", "said"),
    [
        ([], [], "there is no row to learn from"),
        (["a", "b"], ["x"], "there are 2 texts and 1 labels"),
        (["a"], ["x"], "the only row is 'x': a classifier needs examples of two labels or more"),
        (["a", "b", "c"], ["x", "x", "x"], "all 3 rows are 'x'"),
        (["same"] * 10, ["x", "y"] * 5, "all 10 texts are the same"),
        (["a", "b"], ["x", float("nan")], r"the label of text 1 is missing \(nan\)"),
        (["a", "b"], [None, "x"], r"the label of text 0 is missing \(None\)"),
        (["a", "b"], ["x", ""], r"the label of text 1 is missing \(''\)"),
        (["a", "b"], [0.5, 1.0], r"the label of text 0 is 0\.5: labels are text or whole numbers"),
        (["a", "b"], ["x", 1], "some labels are text and others numbers"),
        (["a", "b"], "xy", "the labels are a single str"),
        ("ab", ["x", "y"], "texts are a single str"),
        (["a", None], ["x", "y"], "text 1 is None"),
        (np.array([[1.0, np.nan], [1, 2]]), ["x", "y"], "vector 0 has NaN or infinity"),
    ],
)
def test_what_cannot_be_learned_says_why(tiny: Embedder, texts: object, labels: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Classifier(tiny).fit(texts, labels)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([[], []], "none of the 2 rows has a label"),
        (["x", ["y"]], "text 0 needs a list of labels"),
        ([[None], []], "missing"),
    ],
)
def test_what_several_labels_cannot_be_says_why(tiny: Embedder, labels: list[object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Classifier(tiny, multi_label=True).fit(["a", "b"], labels)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "svm"}, "method is 'svm'; available: auto, logistic, centroid"),
        ({"c": 0}, "c is 0"),
        ({"unsure_below": 2}, "unsure_below is 2"),
        ({"unsure_below": 0.5, "multi_label": True}, "leave unsure_below out"),
        ({"task": "riddles"}, "no prompt is named 'riddles'"),
        ({"truncate_dim": 100}, "truncate_dim is 100"),
    ],
)
def test_an_argument_that_is_wrong_says_so(tiny: Embedder, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Classifier(tiny, **options).fit(TEXTS, LABELS)
    with pytest.raises(InputError, match="several labels have no nearest centroid"):
        Classifier(tiny, method="centroid", multi_label=True).fit(["a", "b"], [["x"], ["y"]])


def test_nothing_is_said_before_it_has_learned(tiny: Embedder, learned: Classifier, tmp_path: Path) -> None:
    for call in (lambda: Classifier(tiny).predict(["a"]), lambda: Classifier(tiny).save(tmp_path / "a")):
        with pytest.raises(InputError, match=r"has learned nothing yet: call fit\(\)"):
            call()
    with pytest.raises(InputError, match="the vectors have 3 numbers, and the classifier learned from 64"):
        learned.predict(np.ones((2, 3)))
    with pytest.raises(InputError, match="no row to learn from or to compare with"):
        learned.score([], [])


# --- from names alone


def test_names_are_compared_with_texts(tiny: Embedder) -> None:
    model = Classifier.zero_shot(["b label", "a label"], {"a label": "what is so"}, model=tiny)
    names = tiny.encode_query(["This text is about b label.", "what is so"])
    cosines = tiny.encode(TEXTS, prompt_name="classification") @ names.T
    assert model.classes_.tolist() == ["b label", "a label"]
    assert (model.predict(TEXTS) == model.classes_[cosines.argmax(axis=1)]).all()
    assert model.predict_proba(TEXTS).sum(axis=1) == pytest.approx(1)
    assert (model.method_, model.validation_, model.held_out_) == ("zero-shot", None, None)


@pytest.mark.parametrize(
    ("labels", "descriptions", "said"),
    [
        (["one"], None, "there is only 1 label"),
        (["a", " "], None, "label 2 of 2 is empty"),
        (["a", "b", "a"], None, "the label 'a' is there twice"),
        ("a,b", None, "the labels are a single str"),
        (["a", "b"], {"c": "x"}, "'c' is described, but no label; the labels are: a, b"),
        (["a", "b"], {"a": " "}, "the description of 'a' is empty"),
    ],
)
def test_names_that_cannot_be_meant_say_why(tiny: Embedder, labels: list[str], descriptions: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Classifier.zero_shot(labels, descriptions, model=tiny)


# --- one file


@pytest.mark.parametrize("several", [False, True])
def test_a_file_brings_the_same_classifier_back(tiny: Embedder, tmp_path: Path, several: bool) -> None:
    labels = [[label] for label in LABELS] if several else LABELS
    model = Classifier(tiny, multi_label=several, unsure_below=None if several else 0.6).fit(TEXTS, labels)
    model.save(tmp_path / "a.classifier")
    again = Classifier.load(tmp_path / "a.classifier", tiny)
    assert (again.predict_proba(TEXTS) == model.predict_proba(TEXTS)).all()
    assert (
        again.predict(TEXTS) == model.predict(TEXTS)
        if several
        else (again.predict(TEXTS) == model.predict(TEXTS)).all()
    )
    assert (again.classes_.tolist(), again.method_, again.multi_label, again.unsure_below) == (
        model.classes_.tolist(), model.method_, model.multi_label, model.unsure_below,
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["a.classifier"]
    assert load_file(tmp_path / "a.classifier")["weights"].shape == (64, 2)  # any reader of safetensors opens it
    again.save(tmp_path / "b.classifier")
    assert (tmp_path / "b.classifier").read_bytes() == (tmp_path / "a.classifier").read_bytes()


def test_numbers_stay_numbers_in_a_file(tiny: Embedder, tmp_path: Path) -> None:
    Classifier(tiny).fit(TEXTS, [1, 2] * 5).save(tmp_path / "a.classifier")
    assert Classifier.load(tmp_path / "a.classifier", tiny, unsure_below=1).predict(TEXTS).tolist() == [None] * 10
    assert Classifier.load(tmp_path / "a.classifier", tiny).classes_.tolist() == [1, 2]


def test_another_quantization_of_the_same_model_may_read_it(
    learned: Classifier, tiny_f32: Embedder, tmp_path: Path
) -> None:
    learned.save(tmp_path / "a.classifier")
    found = Classifier.load(tmp_path / "a.classifier", tiny_f32).predict_proba(TEXTS)
    assert np.abs(found - learned.predict_proba(TEXTS)).max() < 0.1


def test_another_model_may_not(learned: Classifier, tmp_path: Path) -> None:
    learned.save(tmp_path / "a.classifier")
    other = write_tiny_checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=r"is another model .*: take that one with --model, or train it anew"):
        Classifier.load(tmp_path / "a.classifier", other)


def test_every_cut_and_every_flipped_byte_is_noticed(learned: Classifier, tiny: Embedder, tmp_path: Path) -> None:
    learned.save(tmp_path / "a.classifier")
    data = (tmp_path / "a.classifier").read_bytes()
    bad = tmp_path / "bad.classifier"
    for length in range(0, len(data), 37):
        bad.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"bad\.classifier is (no classifier|damaged)"):
            Classifier.load(bad, tiny)
    head = data.index(b"format")
    for place in range(head, len(data), 29):
        bad.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(InputError, match=r"bad\.classifier"):
            Classifier.load(bad, tiny)


LIES: list[tuple[dict[str, object], dict[str, tuple[int, ...]], str]] = [
    ({"classes": ["a", "b", "c"]}, {}, "3 classes and numbers for others"),
    ({"classes": []}, {}, "0 classes and numbers for others"),
    ({"classes": ["a", "a"]}, {}, "one is there twice"),
    ({"classes": ["a", None]}, {}, "labels are not text or numbers"),
    ({"classes": "ab"}, {}, "its classes is missing or of another kind"),
    ({"multi_label": 1}, {}, "its multi_label is missing"),
    ({"unsure_below": 7}, {}, "unsure_below is 7"),
    ({"prompt": "another: "}, {}, "learned from texts behind the prompt 'another: '"),
    ({"task": "riddles"}, {}, "no prompt is named 'riddles'"),
    ({}, {"weights": (100, 2)}, "wants vectors of 100 numbers, and the model gives 64"),
    ({}, {"weights": (128,)}, "2 classes and numbers for others"),
    ({}, {"bias": (3,)}, "2 classes and numbers for others"),
]


@pytest.mark.parametrize(("settings", "shapes", "said"), LIES)
def test_a_file_that_lies_is_refused(
    learned: Classifier, tiny: Embedder, tmp_path: Path, settings: dict[str, object], shapes: object, said: str
) -> None:
    path = tmp_path / "a.classifier"
    learned.save(path)
    found, arrays = read(path)
    assert isinstance(shapes, dict)
    arrays |= {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    write(path, found | settings, arrays)
    with pytest.raises(InputError, match=said):
        Classifier.load(path, tiny)


def test_numbers_that_are_none_are_refused(learned: Classifier, tiny: Embedder, tmp_path: Path) -> None:
    learned.linear_.bias[0] = np.nan
    learned.save(tmp_path / "a.classifier")
    with pytest.raises(InputError, match="some of its numbers are not finite"):
        Classifier.load(tmp_path / "a.classifier", tiny)


def test_other_files_are_no_classifiers(tiny: Embedder, tmp_path: Path) -> None:
    path = tmp_path / "a.classifier"
    for data in (b"", b"text,label\na,b\n", b"\xff" * 100, b"\x02" + bytes(7) + b"{}", b"\x04" + bytes(7) + b"{[[["):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.classifier is (no classifier|damaged)"):
            Classifier.load(path, tiny)
    with pytest.raises(InputError, match=r"cannot read the classifier .*: No such file"):
        Classifier.load(tmp_path / "none", tiny)
    with pytest.raises(InputError, match=r"cannot read the classifier .*: Is a directory"):
        Classifier.load(tmp_path, tiny)


def test_a_file_of_a_later_format_is_refused_by_name(learned: Classifier, tiny: Embedder, tmp_path: Path) -> None:
    path = tmp_path / "a.classifier"
    learned.save(path)
    path.write_bytes(path.read_bytes().replace(b"gemlet classifier 1", b"gemlet classifier 2"))
    with pytest.raises(InputError, match="is a 'gemlet classifier 2', and this gemlet reads 'gemlet classifier 1'"):
        Classifier.load(path, tiny)


def test_what_cannot_be_written_leaves_the_old_file(learned: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        learned.save(tmp_path / "none" / "a.classifier")


# --- the published model


def test_the_model_tells_spam_by_name_and_by_example(embedder: Embedder) -> None:
    spam = ["You have won a free cruise, claim it now!", "Cheap pills without prescription, order today!"]
    ham = ["Are we still on for lunch on Thursday?", "Please water the tomatoes while we are away."]
    asked = ["Win 1,000 dollars, click this link!", "I shall be ten minutes late, the tram is stuck."]
    learned = Classifier(embedder).fit(spam + ham, ["spam"] * 2 + ["ham"] * 2)
    assert learned.predict(asked).tolist() == ["spam", "ham"]
    named = Classifier.zero_shot(["advertising", "a message from a friend"], model=embedder)
    assert named.predict(asked).tolist() == ["advertising", "a message from a friend"]


def test_targets_and_labels() -> None:
    assert as_labels(np.array(["a", "b"])) == ["a", "b"]
    assert targets_of([["a", "c"], []], ["a", "b"]).tolist() == [[True, False], [False, False]]
