"""How good a model is on rows that it does not learn from.   (TrainingSet, model → figures)

pairs   nDCG@10 and accuracy@1: each anchor asks for its positive among all texts of the file
scores  Spearman's correlation of cosines and scores
texts   cosine to vectors that are wanted, the mean and the least
labels  accuracy of classifiers that have not seen the text (five folds), as `gemlet eval` measures it
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sentence_transformers.base.evaluation import BaseEvaluator

from gemlet.classify import Classifier
from gemlet.errors import InputError
from gemlet.evaluation import metrics
from gemlet.train.rows import Kind, TrainingSet
from gemlet.train.teacher import encode
from gemlet.vectors import FloatArray

MAIN: dict[Kind, str] = {"pairs": "ndcg@10", "scores": "spearman", "labels": "accuracy", "texts": "cosine"}
_AT_ONCE = 512  # queries that are compared with all texts at a time
_DEPTH = 10


class HeldOut(BaseEvaluator):
    """Measures a model in the course of training.

    prompts  of the first column and of the others; of several each row has the next one
    wanted   of texts: the vectors that they are to have, [rows, dim]
    """

    def __init__(
        self, rows: TrainingSet, prompts: Sequence[Sequence[str]], batch_size: int, seed: int,
        wanted: FloatArray | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.rows, self.main, self._wanted = rows, MAIN[rows.kind], wanted
        self._prompts, self._batch_size, self._seed = prompts, batch_size, seed
        if rows.kind == "pairs" and len({texts[0] for texts in rows.texts}) < 2:
            raise InputError(f"{rows.name}: one anchor is too few to measure by: hold out more rows")

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """The figures, the main one first."""
        measure: dict[Kind, Callable[[Any], dict[str, float]]] = {
            "pairs": self._retrieval, "scores": self._scores, "labels": self._labels, "texts": self._texts,
        }  # fmt: skip
        was = model.training
        model.eval()
        try:
            return measure[self.rows.kind](model)
        finally:
            model.train(was)

    def _retrieval(self, model: Any) -> dict[str, float]:
        anchors: dict[str, set[str]] = {}
        for anchor, positive, *_ in self.rows.texts:
            anchors.setdefault(anchor, set()).add(positive)
        documents = list(dict.fromkeys(text for _, *others in self.rows.texts for text in others))
        place = {text: i for i, text in enumerate(documents)}
        asked, stored = self._encode(model, list(anchors), 0), self._encode(model, documents, 1)
        depth = min(_DEPTH, len(documents))
        ranked = np.concatenate([
            np.argsort(-(asked[i : i + _AT_ONCE] @ stored.T), axis=1, kind="stable")[:, :depth]
            for i in range(0, len(asked), _AT_ONCE)
        ])  # fmt: skip
        grades = [{place[text]: 1 for text in positives} for positives in anchors.values()]
        first = [int(row[0]) in grade for row, grade in zip(ranked, grades, strict=True)]
        return {"ndcg@10": float(metrics.ndcg(ranked, grades).mean()), "accuracy@1": float(np.mean(first))}

    def _scores(self, model: Any) -> dict[str, float]:
        left, right = (self._encode(model, [texts[i] for texts in self.rows.texts], i) for i in (0, 1))
        return {"spearman": metrics.spearman(self.rows.targets, np.einsum("ij,ij->i", left, right, dtype=np.float64))}

    def _labels(self, model: Any) -> dict[str, float]:
        classifier = Classifier(seed=self._seed)
        classifier.fit(self._encode(model, [text for (text,) in self.rows.texts], 0), self.rows.targets)
        if classifier.validation_ is None:
            raise InputError(
                f"{self.rows.name}: no label has two texts, so nothing can be measured: hold out more rows"
            )
        return {"accuracy": classifier.validation_.accuracy}

    def _texts(self, model: Any) -> dict[str, float]:
        assert self._wanted is not None
        cosines = np.sum(self._encode(model, [text for (text,) in self.rows.texts], 0) * self._wanted, axis=1)
        return {"cosine": float(cosines.mean()), "least cosine": float(cosines.min())}

    def _encode(self, model: Any, texts: Sequence[str], column: int) -> FloatArray:
        return encode(model, texts, self._prompts[column], self._batch_size)
