"""Files of one's own data → what is measured.   (paths → Retrieval, Pairs, Labelled)

Queries and documents are BEIR's: JSON lines with `_id`, `text` and, of documents, `title`; every other kind of table
that dataset/ reads will do. Judgements are BEIR's three columns (query-id, corpus-id, score; with a first row of names
or without), or TREC's four (query, 0, document, grade).
"""

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

from gemlet.dataset import Dataset, read_dataset
from gemlet.errors import InputError
from gemlet.evaluation.own import Entry, Judgement, Labelled, Pairs, Retrieval, as_labelled, as_pairs, as_retrieval

_IDS = ("_id", "id")
_QRELS = ("query-id", "corpus-id", "score")
_SCORES = ("score", "label", "similarity", "similarity_score", "gold", "relatedness", "is_duplicate", "paraphrase")
_TWO = (
    ("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("sent1", "sent2"), ("text1", "text2"),
    ("text_1", "text_2"), ("question1", "question2"), ("left", "right"), ("left_text", "right_text"), ("a", "b"),
)  # fmt: skip


def read_retrieval(queries: str, documents: str, qrels: str, *, skip_empty: bool = False) -> Retrieval:
    """Read queries, documents and judgements. skip_empty: leave out what has no text, else that is an error.

    Raises InputError for each mistake that as_retrieval() names, a line that is no judgement, an entry without id.
    """
    return as_retrieval(_entries(queries, skip_empty), _entries(documents, skip_empty), list(_judgements(qrels)))


def read_pairs(path: str, columns: Sequence[str] | None = None, *, skip_empty: bool = False) -> Pairs:
    """Read pairs of texts with scores.

    columns     the names of both texts and of the score; None: by their usual names, or the three there are
    skip_empty  leave out pairs of which a text is missing, else that is an error

    Raises InputError for columns that are not there, an empty text, a score that is no number.
    """
    data = read_dataset([path])
    left, right, score = _pair_columns(data, path, columns)
    data = data.with_text(left).with_text(right) if skip_empty else data
    numbers = [_number(row.get(score), place, score) for row, place in zip(data.rows, data.places, strict=True)]
    return as_pairs(data.texts(left), data.texts(right), numbers, data.places)


def read_labelled(
    path: str, text_column: str | None = None, label_column: str | None = None, *, skip_empty: bool = False
) -> Labelled:
    """Read texts with labels, by the columns' names or their usual ones. Raises InputError."""
    data = read_dataset([path])
    data = data.with_text(text_column) if skip_empty else data
    return as_labelled(data.texts(text_column), data.labels(label_column), data.places)


def _entries(path: str, skip_empty: bool) -> list[Entry]:
    data = read_dataset([path])
    key = next((name for name in _IDS if name in data.columns), None)
    if key is None or "text" not in data.columns:
        raise InputError(
            f"{path}: rows need `_id` and `text`, as BEIR's have; the columns are: {', '.join(data.columns) or 'none'}"
        )
    found = []
    for row, place in zip(data.rows, data.places, strict=True):
        text, title = _text(row, "text", place), _text(row, "title", place)
        if not text.strip() and not title.strip():
            if skip_empty:
                continue
            raise InputError(f"{place} has no text: fill it, or leave such rows out (--skip-empty)")
        found.append(Entry(_id(row.get(key), place, key), text, title or None, place))
    return found


def _text(row: dict[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if value is None or value != value:
        return ""
    if not isinstance(value, str | int | float):
        raise InputError(f"{place} has no text in {name!r}, but a {type(value).__name__}")
    return str(value)


def _id(value: Any, place: str, name: str) -> str:
    if isinstance(value, str | int) and str(value).strip():
        return str(value).strip()
    raise InputError(f"{place} has no id in {name!r} ({value!r}): give it one, which the qrels file names it by")


def _judgements(path: str) -> Iterator[Judgement]:
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = [(number, line.rstrip("\r\n")) for number, line in enumerate(file, 1) if line.strip()]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    name = os.path.basename(path)
    if not lines:
        raise InputError(f"{path}: there is no judgement in it: write query-id, corpus-id and score, tabs between them")
    order = _header(_cells(lines[0][1], f"{name}:{lines[0][0]}"))
    for number, line in lines[1:] if order else lines:
        place = f"{name}:{number}"
        cells = _cells(line, place)
        query, document, grade = (cells[i] for i in order or (0, 1, 2))
        yield Judgement(query, document, _grade(grade, place), place)


def _cells(line: str, place: str) -> list[str]:
    """BEIR's three or TREC's four, without TREC's second, which means nothing."""
    cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
    if len(cells) not in (3, 4):
        hint = ", tabs between them" if "," in line else ""
        columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
        raise InputError(
            f"{place} has {columns}: a qrels file has 3 (query-id, corpus-id, score) or TREC's 4 "
            f"(query, 0, document, grade){hint}"
        )
    return cells if len(cells) == 3 else [cells[0], *cells[2:]]


def _header(cells: list[str]) -> list[int] | None:
    """Which cell is query, document and grade when the first row names them; None when it is a judgement."""
    names = [cell.lower().replace("_", "-").strip('"') for cell in cells]
    if set(names) == set(_QRELS):
        return [names.index(name) for name in _QRELS]
    return [0, 1, 2] if names[2] in ("score", "relevance", "grade", "rel", "label") else None


def _grade(cell: str, place: str) -> int:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value != int(value):
        raise InputError(f"{place} has the score {cell!r}: a grade is a whole number, over 0 for what is relevant")
    return int(value)


def _pair_columns(data: Dataset, path: str, columns: Sequence[str] | None) -> tuple[str, str, str]:
    given = [name.strip() for name in columns] if columns else []
    if columns and (len(given) != 3 or len(set(given)) < 3):
        raise InputError(f"the columns of pairs are three, FIRST,SECOND,SCORE; {len(set(given))} are named")
    missing = next((name for name in given if name not in data.columns), None)
    known = f"the columns are: {', '.join(data.columns) or 'none'}"
    if missing is not None:
        raise InputError(f"{path}: there is no column {missing!r}; {known}")
    if given:
        return given[0], given[1], given[2]
    lower = {name.lower(): name for name in data.columns}
    score = next((lower[name] for name in _SCORES if name in lower), None)
    two = next((pair for pair in _TWO if all(name in lower for name in pair)), None)
    if score is not None and two is not None:
        return lower[two[0]], lower[two[1]], score
    if len(data.columns) == 3:
        return data.columns[0], data.columns[1], data.columns[2]
    raise InputError(
        f"{path}: which columns are the two texts and the score? name them with --columns A,B,SCORE; {known}"
    )


def _number(value: Any, place: str, column: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{place} has the score {value!r} in {column!r}: give it a number, or take the row out")
    return number
