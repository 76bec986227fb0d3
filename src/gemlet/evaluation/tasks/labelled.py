"""Texts with labels.   (folders → Classification, Clustering)"""

from collections.abc import Callable, Iterator
from pathlib import Path

from gemlet.evaluation.protocols import Classification, Clustering, Measure
from gemlet.evaluation.tasks import reading

Parts = Iterator[tuple[str, Measure]]
Rows = list[list[str]]

_FILES = {"en": "EN", "en-ext": "EN-ext", "de": "DE", "ja": "JP"}

_NULL_ROW = 314
"""Where the training rows of TweetSentimentExtraction have one without a text, which the file here lacks: rows are
drawn from a shuffled order, and with one row less the order is another."""


def banking77(folder: Path) -> Parts:
    """`train.csv` and `test.csv`: text, category."""
    train, test = (reading.named_rows(folder / f"{part}.csv", ",", ("text", "category")) for part in ("train", "test"))
    yield "default", _classification(train, test, 8)


def counterfactual(folder: Path) -> Parts:
    """`EN_train.tsv`, `EN_test.tsv` and so on for each part: sentence, is_counterfactual."""
    for part, file in _FILES.items():
        train, test = (
            reading.named_rows(folder / f"{file}_{split}.tsv", "\t", ("sentence", "is_counterfactual"))
            for split in ("train", "test")
        )
        yield part, _classification(train, test, 32)


def tweets(folder: Path) -> Parts:
    """`kaggle_train.csv` is the test set, `kaggle_test.csv` that and the training set: textID, text, sentiment."""
    columns = ("text", "sentiment", "textID")
    test, both = (reading.named_rows(folder / f"kaggle_{name}.csv", ",", columns) for name in ("train", "test"))
    tested = {row[2] for row in test}
    train = [row for row in both if row[2] not in tested]
    train.insert(_NULL_ROW, ["", "neutral", ""])
    yield "default", _classification(train, test, 32)


def poems(folder: Path) -> Parts:
    """`train.tsv` and `test.tsv`: number, verse and label between tabs, without quotes."""
    train, test = (reading.rows_of(folder / f"{part}.tsv", "\t", 3, quoted=False) for part in ("train", "test"))
    yield "default", _classification([row[1:3] for row in train], [row[1:3] for row in test], 8)


def sib200_classification(*languages: str) -> Callable[[Path], Parts]:
    """The loader of `annotated.tar.xz` with annotated/LANGUAGE/{train,dev,test}.tsv: index_id, category, text."""

    def load(folder: Path) -> Parts:
        files = reading.members(folder / "annotated.tar.xz")
        for language in languages:
            train, test = (_sib200(folder, files, language, part) for part in ("train", "test"))
            yield language, _classification(train, test, 8)

    return load


def sib200_clustering(*languages: str) -> Callable[[Path], Parts]:
    """The same files, all three parts of a language joined."""

    def load(folder: Path) -> Parts:
        files = reading.members(folder / "annotated.tar.xz")
        for language in languages:
            rows = [row for part in ("train", "dev", "test") for row in _sib200(folder, files, language, part)]
            yield language, Clustering([row[0] for row in rows], [row[1] for row in rows])

    return load


def _sib200(folder: Path, files: dict[str, bytes], language: str, part: str) -> Rows:
    path = folder / "annotated.tar.xz"
    name = f"annotated/{language}/{part}.tsv"
    text = reading.member_of(path, files, name)
    return reading.named_table(path / name, text, "\t", ("text", "category"))


def _classification(train: Rows, test: Rows, per_label: int) -> Classification:
    """Rows of text and label."""
    return Classification(
        [row[0] for row in train],
        [row[1] for row in train],
        [row[0] for row in test],
        [row[1] for row in test],
        per_label,
    )
