"""A dev set → one figure for a checkpoint.   (file → folder → number)

What the rows are says what is measured: pairs of an anchor and its positive (and negatives, which are documents like
the others) are a search, nDCG@10; two texts and a score Spearman's correlation; texts with labels the accuracy of a
classifier on rows that it has not seen.
"""

from collections.abc import Callable
from pathlib import Path

from gemlet.curate.columns import NEGATIVE, pair_columns
from gemlet.dataset import Dataset, read_dataset
from gemlet.embedder import Embedder, Quantization
from gemlet.errors import InputError
from gemlet.evaluation import (
    Evaluation,
    Setting,
    Trial,
    as_retrieval,
    evaluate_labels,
    evaluate_pairs,
    evaluate_retrieval,
    read_labelled,
    read_pairs,
)
from gemlet.evaluation.own import Entry, Judgement, Retrieval
from gemlet.train.rows import kind_of

Measure = Callable[[Trial], Evaluation]


def dev_score(
    path: str,
    *,
    quantization: Quantization = "f32",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[str, Callable[[Path], float]]:
    """The name of the figure, such as "ndcg@10", and what gives it for a checkpoint's folder.

    quantization  what the folders run in: "f32" or "bf16" (q8_0 would keep a file of each in the cache)
    progress      is told how many texts are embedded, of how many, for each folder anew

    Raises InputError for rows that are nothing to measure with.
    """
    name, measure = _measure(path)

    def loaded(setting: Setting) -> Embedder:
        return Embedder(setting.model, quantization=quantization, threads=threads, offline=True)

    def score(folder: Path) -> float:
        found = measure(Trial(Setting(str(folder), quantization), load=loaded, progress=progress))
        return float(found.figure(name).value)

    return name, score


def _measure(path: str) -> tuple[str, Measure]:
    data = read_dataset([path])
    kind = kind_of(data)
    if kind == "scores":
        scored = read_pairs(path)
        return "spearman", lambda trial: evaluate_pairs(scored, trial)
    if kind == "pairs":
        pairs = as_search(data)
        return "ndcg@10", lambda trial: evaluate_retrieval(pairs, trial)
    if kind == "labels":
        labelled = read_labelled(path)
        return "accuracy", lambda trial: evaluate_labels(labelled, trial)
    raise InputError(
        f"{path}: rows of a dev set are anchor and positive; sentence1, sentence2 and score; or text and label; "
        f"the columns are: {', '.join(data.columns) or 'none'}"
    )


def as_search(data: Dataset) -> Retrieval:
    """Anchors as queries, every positive and negative as a document, each once. Raises InputError."""
    anchor, positive = pair_columns(data)
    queries, answers = _numbered(data.texts(anchor)), data.texts(positive)
    others = [str(row[name]) for row in data.rows for name in _negatives(data) if row.get(name)]
    documents = _numbered([*answers, *others])
    if len(documents) < 2:
        raise InputError(f"{data.places[0]}: there is one document, and any model finds it: add pairs with others")
    judged = {
        (queries[text], documents[answer]): place
        for text, answer, place in zip(data.texts(anchor), answers, data.places, strict=True)
    }
    return as_retrieval(
        [Entry(key, text) for text, key in queries.items()],
        [Entry(key, text) for text, key in documents.items()],
        [Judgement(query, document, 1, place) for (query, document), place in judged.items()],
    )


def _negatives(data: Dataset) -> list[str]:
    return [name for name in data.columns if NEGATIVE.fullmatch(name.lower())]


def _numbered(texts: list[str]) -> dict[str, str]:
    """Text → an id of its own."""
    return {text: str(number) for number, text in enumerate(dict.fromkeys(texts))}
