"""Classifier: texts and their labels → the labels of other texts.   (texts → vectors → head → labels)"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gemlet.classify import safefile
from gemlet.classify.calibration import calibration_error, probabilities_of, thresholds
from gemlet.classify.heads import C, Head, Method, fit_head
from gemlet.classify.labels import as_label_sets, as_labels, check_lengths, classes_of, targets_of
from gemlet.classify.logistic import Floats, Linear
from gemlet.classify.report import Report, report_of
from gemlet.classify.settings import read_settings
from gemlet.classify.zeroshot import check_labels, zero_shot_head
from gemlet.embedder import DEFAULT_MODEL, Embedder
from gemlet.errors import InputError
from gemlet.index.fingerprint import model_digest
from gemlet.prompts import find_prompt
from gemlet.texts import Texts
from gemlet.vectors import FloatArray, normalize


class Classifier:
    """Learns labels from texts, in the shape of scikit-learn's classifiers.

    Wherever texts are taken, their vectors [n, dim], from encode() with the same prompt, may be given instead.

    classes_     the labels, sorted; columns of predict_proba()
    method_      "logistic", "centroid" or "zero-shot"
    held_out_    after fit(), [n, classes] float64: what heads that had not seen a row say of it, five folds in turn;
                 NaN in the row of a class's only example, which is never held out; None after load() and zero_shot()
    validation_  the Report of those; None where nothing was held out
    thresholds_  multi_label: the probability from which on each label is said, by the best F1 on held-out rows
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL,
        *,
        method: Method = "auto",
        multi_label: bool = False,
        unsure_below: float | None = None,
        task: str = "classification",
        truncate_dim: int | None = None,
        c: float = C,
        seed: int = 0,
    ) -> None:
        """Say how to learn; the model is loaded when it is first needed.

        model         as Embedder takes it, or an Embedder
        method        "logistic": logistic regression; "centroid": the nearest class mean; "auto": the one with the
                      better probabilities on rows that were held out. On noisy labels (moods of tweets) that was the
                      centroid up to 64 rows a class, on clear ones (intents) the regression from 6 on
        multi_label   a text has a list of labels, which may be empty: one question for each label
        unsure_below  predict() says None, "don't know", where the best label is less probable than this
        task          the name of the texts' prompt
        truncate_dim  numbers of a vector; None: the embedder's
        c             how much rows count against the penalty on the weights, as in scikit-learn's LogisticRegression
        seed          of the folds

        Raises InputError for an argument.
        """
        if unsure_below is not None and not 0 <= unsure_below <= 1:
            raise InputError(f"unsure_below is {unsure_below}: it is a probability, between 0 and 1")
        if unsure_below is not None and multi_label:
            raise InputError("with several labels each has a threshold of its own: leave unsure_below out")
        self._model = model
        self._embedder = model if isinstance(model, Embedder) else None
        self.method, self.multi_label, self.unsure_below = method, multi_label, unsure_below
        self.task, self.truncate_dim, self.c, self.seed = task, truncate_dim, c, seed
        self.held_out_: Floats | None = None
        self.validation_: Report | None = None

    @property
    def embedder(self) -> Embedder:
        """The model, loaded once. Raises ModelError and its kin."""
        if self._embedder is None:
            assert not isinstance(self._model, Embedder)
            self._embedder = Embedder(self._model)
        return self._embedder

    def vectors(self, texts: Texts | npt.NDArray[Any], *, show_progress_bar: bool = False) -> FloatArray:
        """[n, dim] float32 unit vectors of texts, for the other methods; vectors are checked and returned.

        Raises InputError for a str, for None or NaN among the texts, and for vectors that do not fit.
        """
        if isinstance(texts, np.ndarray) and texts.ndim == 2 and np.issubdtype(texts.dtype, np.number):
            return self._checked(texts)
        if isinstance(texts, str):
            raise InputError("texts are a single str: pass a list of them")
        dim = self._dim if hasattr(self, "linear_") else self.truncate_dim
        found = self.embedder.encode(
            texts, prompt_name=self.task, truncate_dim=dim, show_progress_bar=show_progress_bar
        )
        return np.asarray(found, np.float32)

    def fit(self, texts: Texts | npt.NDArray[Any], labels: Iterable[Any]) -> Self:
        """Learn from texts and the label of each; or a list of labels of each, where multi_label.

        Raises InputError where there is nothing to learn: no rows, one label only, texts that are all the same, a label
        that is missing.
        """
        known = as_label_sets(labels) if self.multi_label else as_labels(labels)
        if not isinstance(texts, np.ndarray | str):
            texts = list(texts)
        check_lengths(len(texts), len(known))
        classes = classes_of(known, self.multi_label)
        x = self.vectors(texts)
        if len(x) > 1 and (x == x[0]).all():
            raise InputError(f"all {len(x)} texts are the same: there is nothing to tell the labels by")
        targets = targets_of(known, classes)
        head = fit_head(x, targets, self.method, c=self.c, several=self.multi_label, seed=self.seed)
        self._take(head.method, head.linear, classes)
        self._validate(head, known)
        return self

    def predict_proba(self, texts: Texts | npt.NDArray[Any]) -> Floats:
        """[n, classes] float64, in the order of classes_: rows sum to 1, but for multi_label."""
        self._fitted()
        return probabilities_of(self.linear_.scores(self.vectors(texts)), self.multi_label)

    def predict(self, texts: Texts | npt.NDArray[Any]) -> Any:
        """[n] labels; None, in an array of objects, where it is not sure. multi_label: a list of labels for each."""
        return self.decide(self.predict_proba(texts))

    def decide(self, probabilities: Floats) -> Any:
        """The labels that predict() gives for what predict_proba() gave."""
        if self.multi_label:
            said = probabilities >= self.thresholds_
            classes = self.classes_.tolist()
            return [[classes[place] for place in np.flatnonzero(row)] for row in said]
        labels = self.classes_[probabilities.argmax(axis=1)]
        if self.unsure_below is not None:
            labels = labels.astype(object)
            labels[probabilities.max(axis=1) < self.unsure_below] = None
        return labels

    def score(self, texts: Texts | npt.NDArray[Any], labels: Iterable[Any]) -> float:
        """Share of texts of which all that is said is right; a label that is no class counts as wrong."""
        return self.evaluate(texts, labels).accuracy

    def evaluate(self, texts: Texts | npt.NDArray[Any], labels: Iterable[Any]) -> Report:
        """A Report of what is said of texts, other than those it learned from, whose labels are known."""
        known = as_label_sets(labels) if self.multi_label else as_labels(labels)
        if not isinstance(texts, np.ndarray | str):
            texts = list(texts)
        check_lengths(len(texts), len(known))
        return self._report(known, self.predict_proba(texts))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was learned as one file, without code in it, whole or not at all. Raises InputError."""
        self._fitted()
        digest, _ = model_digest(self.embedder.checkpoint, None)
        settings = {
            "model": digest,
            "model_name": self.embedder.name,
            "prompt": find_prompt(self.embedder.prompts, self.task),
            "task": self.task,
            "method": self.method_,
            "multi_label": self.multi_label,
            "unsure_below": self.unsure_below,
            "classes": self.classes_.tolist(),
        }
        arrays = {"weights": self.linear_.weights, "bias": self.linear_.bias}
        safefile.write(path, settings, arrays | {"thresholds": self.thresholds_.astype(np.float32)})

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL,
        *,
        unsure_below: float | None = None,
    ) -> Self:
        """Read what save() wrote; the model has to be the one that it was saved with, in any quantization.

        unsure_below  instead of the one that was saved

        Raises InputError for a file that is missing, damaged, no classifier, or was made with another model or prompt.
        """
        settings, arrays = read_settings(path)
        unsure_below = settings.unsure_below if unsure_below is None else unsure_below
        self = cls(model, multi_label=settings.multi_label, unsure_below=unsure_below, task=settings.task)
        settings.check(path, self.embedder, len(arrays["weights"]))
        self._take(settings.method, Linear(arrays["weights"], arrays["bias"]), settings.classes)
        self.thresholds_ = arrays["thresholds"].astype(np.float64)
        return self

    @classmethod
    def zero_shot(
        cls,
        labels: Sequence[str],
        descriptions: Mapping[str, str] | None = None,
        *,
        model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL,
        unsure_below: float | None = None,
        truncate_dim: int | None = None,
    ) -> Self:
        """A classifier that knows its labels by their names alone; two or more, exactly one for each text.

        descriptions  of some or all labels: a phrase or sentence that says what such a text is; it takes the name's
                      place. Its probabilities are rougher than learned ones

        Raises InputError for labels or descriptions that are empty, or there twice.
        """
        names = check_labels(labels, descriptions)
        self = cls(model, unsure_below=unsure_below, truncate_dim=truncate_dim)
        head = zero_shot_head(self.embedder, names, descriptions or {}, truncate_dim)
        self._take("zero-shot", head, names)
        return self

    @property
    def _dim(self) -> int:
        return int(self.linear_.weights.shape[0])

    def _take(self, method: str, linear: Linear, classes: Sequence[Any]) -> None:
        self.method_, self.linear_ = method, linear
        self.classes_ = np.array(classes, object if isinstance(classes[0], str) else None)
        self.thresholds_ = np.full(len(classes), 0.5)
        self.held_out_ = self.validation_ = None

    def _validate(self, head: Head, known: list[Any]) -> None:
        """Find the thresholds, and say how good the head is, by the rows that were held out."""
        self.held_out_ = np.full((len(known), len(self.classes_)), np.nan)
        if head.held_out is None:
            return
        probabilities = probabilities_of(head.held_out, self.multi_label)
        self.held_out_[head.rows] = probabilities
        rows = [known[row] for row in head.rows]
        if self.multi_label:
            self.thresholds_ = thresholds(probabilities, targets_of(rows, self.classes_.tolist()))
        self.validation_ = self._report(rows, probabilities)

    def _report(self, known: list[Any], probabilities: Floats) -> Report:
        classes = self.classes_.tolist()
        targets = targets_of(known, classes)
        if self.multi_label:
            error = calibration_error(probabilities.ravel(), targets.ravel())
            said = self.decide(probabilities)
        else:
            best = probabilities.argmax(axis=1)
            error = calibration_error(probabilities.max(axis=1), targets[np.arange(len(best)), best])
            said = self.decide(probabilities).tolist()
        return report_of(known, said, classes, several=self.multi_label, calibration_error=error)

    def _checked(self, x: npt.NDArray[Any]) -> FloatArray:
        if not np.isfinite(x).all():
            raise InputError(f"vector {int(np.argmin(np.isfinite(x).all(axis=1)))} has NaN or infinity in it")
        if hasattr(self, "linear_") and x.shape[1] != self._dim:
            raise InputError(f"the vectors have {x.shape[1]} numbers, and the classifier learned from {self._dim}")
        return normalize(np.asarray(x, np.float32))

    def _fitted(self) -> None:
        if not hasattr(self, "linear_"):
            raise InputError("the classifier has learned nothing yet: call fit(), load() or zero_shot()")
