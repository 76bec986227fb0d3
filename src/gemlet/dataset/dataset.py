"""Rows as they were read, and which of their columns is what."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gemlet.errors import InputError

TEXT_COLUMNS = ("text", "sentence", "content", "body", "message", "query", "question", "title", "description", "review")
"""What people call a text, the likeliest first: looked for when nobody says which column it is."""

LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "intent", "sentiment", "topic", "folder")


@dataclass(frozen=True)
class Dataset:
    """Rows of one or several files.

    columns  their names, in the order of the files
    rows     a dict for each row: what the file has, str in CSV, any JSON value in JSON and Parquet
    places   where each row stands, for messages: "reviews.csv:12"
    skipped  (file, reason) of each file of a folder that could not be read
    """

    columns: list[str]
    rows: list[dict[str, Any]]
    places: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def texts(self, column: str | None = None) -> list[str]:
        """The text of each row.

        column  None: the only one, or the first that has a usual name of a text

        Raises InputError for no such column, and for a row without text.
        """
        name = self.column(column, TEXT_COLUMNS, "text")
        return [self._text(i, name) for i in range(len(self))]

    def labels(self, column: str | None = None) -> list[str]:
        """The label of each row; numbers and booleans become str.

        column  None: the first that has a usual name of a label

        Raises InputError for no such column, and for a row without label.
        """
        name = self.column(column, LABEL_COLUMNS, "label")
        return [self._label(row.get(name), i, name) for i, row in enumerate(self.rows)]

    def label_sets(self, column: str | None = None) -> list[list[str]]:
        """The labels of each row, of which it may have none: a JSON array, or "spam|advert" in a CSV file.

        Raises InputError for no such column, and for an array of anything but labels.
        """
        name = self.column(column, LABEL_COLUMNS, "label")
        return [self._label_set(row.get(name), i, name) for i, row in enumerate(self.rows)]

    def with_text(self, column: str | None = None) -> "Dataset":
        """The rows whose text is there."""
        name = self.column(column, TEXT_COLUMNS, "text")
        return self.where(lambda row: not _is_missing(row.get(name)))

    def where(self, wanted: Callable[[dict[str, Any]], bool]) -> "Dataset":
        """The rows that are wanted."""
        kept = [i for i, row in enumerate(self.rows) if wanted(row)]
        rows, places = [self.rows[i] for i in kept], [self.places[i] for i in kept]
        return Dataset(self.columns, rows, places, self.skipped)

    def column(self, name: str | None, usual: tuple[str, ...], what: str) -> str:
        """The column that is called `name` or, for None, by one of the usual names; a lone one is the text's."""
        if name is None and what == "text" and len(self.columns) == 1:
            return self.columns[0]
        lower = {column.lower(): column for column in reversed(self.columns)}
        found = lower.get(name.lower()) if name is not None else next((lower[n] for n in usual if n in lower), None)
        if name is not None and name in self.columns:
            return name
        if found is not None:
            return found
        columns = ", ".join(self.columns) or "none"
        if name is not None:
            raise InputError(f"there is no column {name!r}; the columns are: {columns}")
        raise InputError(f"which column is the {what}? name it with --{what}; the columns are: {columns}")

    def _text(self, row: int, column: str) -> str:
        value = self.rows[row].get(column)
        if _is_missing(value):
            raise InputError(
                f"{self.places[row]} has no text in {column!r}: fill it, or leave such rows out (--skip-empty)"
            )
        if isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return str(value)
        raise InputError(f"{self.places[row]} has no text in {column!r}, but a {type(value).__name__}")

    def _label(self, value: Any, row: int, column: str) -> str:
        if _is_missing(value):
            raise InputError(f"{self.places[row]} has no label in {column!r}: fill it, or take the row out")
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, int | float):  # bool is one
            return str(int(value)) if value == int(value) and not isinstance(value, bool) else str(value)
        raise InputError(f"{self.places[row]} has no label in {column!r}, but a {type(value).__name__}")

    def _label_set(self, value: Any, row: int, column: str) -> list[str]:
        if _is_missing(value):
            return []
        values = value if isinstance(value, list) else str(value).split("|")
        return list(dict.fromkeys(self._label(one, row, column) for one in values))


def _is_missing(value: Any) -> bool:
    """None, a blank str, or NaN, which is what a cell without anything is in a table of numbers."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())
