"""Tables → what to train on.   (paths → TrainingSet)

A file is one data set of one kind, told by its columns:

    pairs   anchor and positive, each with its usual names (query, question; document, passage, answer), with hard
            negatives or without: negative, negative_1, negative_2 ..., or a list in `negatives`
    scores  two texts and a number that says how near they are: sentence1, sentence2, score
    labels  text and label; two texts with the same label become a pair
    texts   text alone; a teacher says what their vectors are to be
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from gemlet.curate.columns import ANCHORS, NEGATIVE, POSITIVES, pair_columns
from gemlet.dataset import Dataset, read_dataset
from gemlet.dataset.dataset import LABEL_COLUMNS, TEXT_COLUMNS
from gemlet.errors import InputError
from gemlet.evaluation import read_pairs

Kind = Literal["pairs", "scores", "labels", "texts"]

_SCORES = ("score", "similarity", "similarity_score", "gold", "relatedness")
_LIST = "negatives"
_TEACHER = "teacher"

EACH = "each in turn"
"""Instead of a prompt's name: none and every prompt of the checkpoint, from row to row."""

PROMPTS: dict[Kind, tuple[str, str]] = {
    "pairs": ("query", "document"),
    "scores": ("STS", "STS"),
    "labels": ("Classification", "Classification"),
    "texts": (EACH, EACH),
}
"""Names of the prompts of the first column and of the others."""


@dataclass(frozen=True)
class TrainingSet:
    """Rows of one kind.

    name     of the file, for messages and the card
    columns  anchor, positive, negative_1 ...; of labels and texts there is only `text`
    texts    for each row one text a column
    targets  a score for each row, float; or a label, str; of pairs and texts none
    places   where each row stands: "pairs.jsonl:12"
    notes    what was left out, a sentence each
    teacher  for each row a teacher's vector of each text, where the file has a column `teacher`; unchecked
    """

    name: str
    kind: Kind
    columns: list[str]
    texts: list[tuple[str, ...]]
    targets: list[Any]
    places: list[str]
    notes: list[str]
    teacher: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.texts)


def read_training_set(
    path: str | os.PathLike[str], kind: Kind | None = None, columns: Sequence[str] = (), *, skip_empty: bool = False
) -> TrainingSet:
    """Read one file.

    kind        None: told by the columns
    columns     names of anchor, positive and negatives; of both texts and the score; of text and label; in that order.
                None given: by their usual names
    skip_empty  leave out rows in which a text is missing, else that is an error

    Raises InputError for what read_dataset() refuses, columns that nobody can tell, an empty text, a score that is no
    number, and for rows from which nothing can be learned.
    """
    path = os.fspath(path)
    data = read_dataset([path])
    for name in columns:
        if name not in data.columns:
            raise InputError(f"{path}: there is no column {name!r}; {_known(data)}")
    kind = kind or kind_of(data, columns)
    if kind is None:
        raise InputError(
            f"{path}: what is there to learn? columns are told by their names (anchor, positive, negative; sentence1, "
            f"sentence2, score; text, label), or name them in order with --columns; {_known(data)}"
        )
    if kind not in get_args(Kind):
        raise InputError(f"kind is {kind!r}; available: {', '.join(get_args(Kind))}")
    if kind == "scores":
        return _scored(path, columns, skip_empty)
    if kind == "texts":
        return _alone(path, data, columns, skip_empty)
    return _labelled(path, data, columns, skip_empty) if kind == "labels" else _paired(path, data, columns, skip_empty)


def kind_of(data: Dataset, columns: Sequence[str] = ()) -> Kind | None:
    """What rows are by their columns, or by those that are named, in order; None: nobody can tell."""
    names = [name.lower() for name in data.columns if name != _TEACHER]
    if columns:
        last = columns[-1].lower()
        return "scores" if last in _SCORES else "labels" if last in LABEL_COLUMNS else "pairs"
    anchor, positive = (any(name in names for name in usual) for usual in (ANCHORS, POSITIVES))
    negative = any(NEGATIVE.fullmatch(name) or name == _LIST for name in names)
    if any(name in names for name in _SCORES) and not negative and len(names) >= 3:
        return "scores"
    if any(name in names for name in LABEL_COLUMNS) and any(name in names for name in TEXT_COLUMNS) and not positive:
        return "labels"
    if (anchor and positive) or len(names) == 2:
        return "pairs"
    if len(names) == 1 or (any(name in names for name in TEXT_COLUMNS) and not anchor and not positive):
        return "texts"
    return None


def _paired(path: str, data: Dataset, columns: Sequence[str], skip_empty: bool) -> TrainingSet:
    names, listed = _pair_names(data, path, columns)
    wanted = [*names, *([listed] if listed else [])]
    notes = []
    if skip_empty:
        kept = data.where(lambda row: all(_there(row.get(name)) for name in wanted))
        notes = _left_out(path, len(data) - len(kept))
        data = kept
    texts = [data.texts(name) for name in names]
    if listed:
        lists = [_list(row.get(listed), place, listed) for row, place in zip(data.rows, data.places, strict=True)]
        count = min(map(len, lists), default=0)
        if any(len(one) > count for one in lists):
            notes.append(f"{path}: of each row's negatives the first {count} are taken, as many as every row has")
        texts += [[one[i] for one in lists] for i in range(count)]
    negatives = [f"negative_{i}" for i in range(1, len(texts) - 1)]
    return _checked(path, "pairs", ["anchor", "positive", *negatives], list(zip(*texts, strict=True)), [], data, notes)


def _pair_names(data: Dataset, path: str, columns: Sequence[str]) -> tuple[list[str], str | None]:
    """The names of the columns in order; and the one that holds lists of negatives."""
    if columns:
        listed = next((name for name in columns if any(isinstance(row.get(name), list) for row in data.rows)), None)
        if len(columns) - (listed is not None) < 2:
            raise InputError(f"{path}: name two columns or more, the anchor's, the positive's, the negatives'")
        return [name for name in columns if name != listed], listed
    texts = Dataset([name for name in data.columns if name != _TEACHER], data.rows, data.places)
    try:
        found = pair_columns(texts)
    except InputError:
        raise InputError(
            f"{path}: which column is the anchor, which the positive? say --columns A,B; {_known(data)}"
        ) from None
    listed = next((name for name in data.columns if name.lower() == _LIST), None)
    return [*found, *(name for name in data.columns if NEGATIVE.fullmatch(name.lower()))], listed


def _scored(path: str, columns: Sequence[str], skip_empty: bool) -> TrainingSet:
    data = read_pairs(path, columns or None, skip_empty=skip_empty)
    texts: list[tuple[str, ...]] = list(zip(data.left, data.right, strict=True))
    return TrainingSet(_name(path), "scores", ["anchor", "positive"], texts, data.scores.tolist(), [*data.places], [])


def _labelled(path: str, data: Dataset, columns: Sequence[str], skip_empty: bool) -> TrainingSet:
    text, label = columns if len(columns) == 2 else (None, None)
    notes = []
    if skip_empty:
        kept = data.with_text(text)
        notes = _left_out(path, len(data) - len(kept))
        data = kept
    labels = data.labels(label)
    if len(set(labels)) < 2:
        raise InputError(f"{path}: every text has the label {labels[0]!r}: there is nothing to tell apart")
    texts = [(one,) for one in data.texts(text)]
    alone = {one for one, count in Counter(labels).items() if count == 1}
    if alone:
        notes.append(f"{path}: {len(alone)} labels have one text each and make no pair, such as {min(alone)!r}")
    if len(alone) == len(set(labels)):
        raise InputError(f"{path}: no label has two texts, so there is no pair to learn from: add texts")
    return _checked(path, "labels", ["text"], texts, labels, data, notes)


def _alone(path: str, data: Dataset, columns: Sequence[str], skip_empty: bool) -> TrainingSet:
    text = columns[0] if columns else None
    kept = data.with_text(text) if skip_empty else data
    notes = _left_out(path, len(data) - len(kept))
    return _checked(path, "texts", ["text"], [(one,) for one in kept.texts(text)], [], kept, notes)


def _checked(
    path: str, kind: Kind, columns: list[str], texts: list[Any], targets: list[Any], data: Dataset, notes: list[str]
) -> TrainingSet:
    if not texts:
        raise InputError(f"{path}: there is no row left to learn from")
    teacher = [row.get(_TEACHER) for row in data.rows] if kind == "pairs" and _TEACHER in data.columns else None
    return TrainingSet(_name(path), kind, columns, texts, targets, list(data.places), notes, teacher)


def _list(value: Any, place: str, column: str) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(one, str) and one.strip() for one in value):
        return value
    raise InputError(f"{place} has no list of texts in {column!r}: fill it, or leave such rows out (--skip-empty)")


def _there(value: Any) -> bool:
    return value is not None and value == value and value != [] and (not isinstance(value, str) or bool(value.strip()))


def _left_out(path: str, count: int) -> list[str]:
    return [f"{path}: {count} rows without text are left out"] if count else []


def _known(data: Dataset) -> str:
    return f"the columns are: {', '.join(data.columns) or 'none'}"


def _name(path: str) -> str:
    return Path(path).name
