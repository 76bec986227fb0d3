"""Which columns of rows hold texts to train on, and which are the anchor and the positive.   (Dataset → names)"""

import re
from collections.abc import Sequence

from gemlet.dataset import Dataset
from gemlet.dataset.dataset import TEXT_COLUMNS
from gemlet.errors import InputError

ANCHORS = ("anchor", "query", "question", "sentence1")
POSITIVES = ("positive", "document", "passage", "answer", "code", "sentence2")
_TEXTS = {*ANCHORS, *POSITIVES, *TEXT_COLUMNS}
NEGATIVE = re.compile(r"negative(_\d+)?")


def pair_columns(data: Dataset, anchor: str | None = None, positive: str | None = None) -> tuple[str, str]:
    """The names of the two columns; None: by their usual names, or the two there are.

    Raises InputError for columns that are not there, or that nobody can tell.
    """
    known = _by_lower_case(data)
    found = [
        _named(data, given) if given else next((known[name] for name in usual if name in known), None)
        for given, usual in ((anchor, ANCHORS), (positive, POSITIVES))
    ]
    if found == [None, None] and len(data.columns) == 2:
        found = [*data.columns]
    if found[0] is None or found[1] is None:
        what = " and ".join(f"--{name}" for name, one in zip(("anchor", "positive"), found, strict=True) if not one)
        raise InputError(f"which column is the anchor, which the positive? say {what}; {_columns(data)}")
    if found[0] == found[1]:
        raise InputError(f"anchor and positive are both {found[0]!r}: they are two columns; {_columns(data)}")
    return found[0], found[1]


def text_columns(data: Dataset, named: Sequence[str] = ()) -> list[str]:
    """The names of the columns that hold texts; none named: those with a usual name, or the only one.

    Raises InputError for one that is not there, or when nobody can tell.
    """
    if named:
        return list(dict.fromkeys(_named(data, name) for name in named))
    if len(data.columns) == 1:
        return list(data.columns)
    found = [name for name in data.columns if name.lower() in _TEXTS or NEGATIVE.fullmatch(name.lower())]
    if not found:
        raise InputError(f"which columns are texts? name them with --text; {_columns(data)}")
    return found


def row_texts(data: Dataset, columns: Sequence[str]) -> list[list[str | None]]:
    """The texts of each row, in the columns' order; for what is empty "", or None where a row need not have any.

    Raises InputError for what is no text.
    """
    return [
        [_text(row.get(name), place, name) for name in columns]
        for row, place in zip(data.rows, data.places, strict=True)
    ]


def _text(value: object, place: str, column: str) -> str | None:
    if value is None or value != value or value == "":
        return None if column.lower() == "title" or NEGATIVE.fullmatch(column.lower()) else ""
    if isinstance(value, str | int | float):
        return str(value)
    raise InputError(f"{place} has no text in {column!r}, but a {type(value).__name__}")


def _named(data: Dataset, name: str) -> str:
    found = name if name in data.columns else _by_lower_case(data).get(name.lower())
    if found is None:
        raise InputError(f"there is no column {name!r}; {_columns(data)}")
    return found


def _by_lower_case(data: Dataset) -> dict[str, str]:
    return {name.lower(): name for name in reversed(data.columns)}


def _columns(data: Dataset) -> str:
    return f"the columns are: {', '.join(data.columns) or 'none'}"
