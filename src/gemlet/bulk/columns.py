"""Which columns there are and of what type, and rows as dicts → Arrow.   (Sources → schema; rows → table)

Parquet says its types; cells of CSV and TSV are str. Of JSON lines the first rows of each file tell: a field whose
values are all str, all whole numbers, all numbers or all booleans becomes such a column; any other is kept as JSON
text, which every value fits.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from gemlet.bulk.cutting import BrokenSource, head_of, one_line, open_parquet
from gemlet.bulk.lines import lines
from gemlet.bulk.settings import PASSAGE, PASSAGE_TITLE, PLACE, Settings
from gemlet.bulk.sources import Source, open_source, pyarrow
from gemlet.bulk.tables import Header, skip_mark
from gemlet.dataset import Dataset
from gemlet.dataset.dataset import TEXT_COLUMNS
from gemlet.errors import InputError
from gemlet.texts import as_texts

if TYPE_CHECKING:
    import pyarrow as pa

_LOOKED_AT = 1000  # first rows of a file of JSON lines
_JSON = {b"content": b"json"}  # a mark on columns of JSON text


class Columns:
    """The columns of all sources, in the order in which they are met."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._homes: dict[str, str] = {}
        self._kinds: dict[str, set[type]] = {}  # of the values in fields of JSON lines

    def add(self, source: Source) -> None:
        """Look at one more. Raises BrokenSource, and InputError for a column that has another type elsewhere."""
        try:
            fields = self._fields_of(source)
        except (OSError, pyarrow().ArrowException) as error:
            raise BrokenSource(f"cannot read {source.name}: {one_line(error)}") from None
        except InputError as error:
            raise BrokenSource(str(error)) from None
        for field in fields:
            known = self._fields.setdefault(field.name, field)
            home = self._homes.setdefault(field.name, source.name)
            if not field.equals(known, check_metadata=True):
                self._conflict(field.name, (home, known), (source.name, field))

    def schema(self) -> "pa.Schema":
        """Raises InputError for a column of JSON lines that has another type in a file of another kind."""
        pa = pyarrow()
        fields = dict(self._fields)
        for name, kinds in self._kinds.items():
            field = _field_of(name, kinds)
            if not field.equals(fields.setdefault(name, field), check_metadata=True):
                self._conflict(name, (self._homes[name], fields[name]), ("JSON lines", field))
        return pa.schema(list(fields.values()))

    def _fields_of(self, source: Source) -> Iterable[Any]:
        pa = pyarrow()
        if source.kind == "parquet":
            with open_parquet(source) as file:
                return [field.remove_metadata().with_nullable(True) for field in file.schema_arrow]
        if source.kind == "jsonl":
            for row in _first_rows(source):
                for name, value in row.items():
                    self._kinds.setdefault(name, set()).update([type(value)] if value is not None else [])
            return []
        names = ["text"] if source.kind == "text" else Header(head_of(source), source.name, source.kind).names
        return [pa.field(name, pa.string()) for name in names]

    def _conflict(self, name: str, one: tuple[str, Any], other: tuple[str, Any]) -> None:
        raise InputError(
            f"the column {name!r} is {_said(one[1])} in {one[0]}, and {_said(other[1])} in {other[0]}: "
            f"leave it out (--drop {name}), or run once for each"
        )


def choose(schema: "pa.Schema", settings: Settings) -> tuple[Settings, "pa.Schema", tuple[str, ...]]:
    """(settings with the text's column, what is to be read, the names of what is kept).

    Raises InputError for a column that is not there, is no text, or has the name of one of ours.
    """
    names = schema.names
    text = Dataset(names, [], []).column(settings.text, TEXT_COLUMNS, "text")
    for name in (*(settings.columns or ()), *settings.drop, *([settings.title] if settings.title else ())):
        if name not in names:
            raise InputError(f"there is no column {name!r}; the columns are: {', '.join(names)}")
    if not _is_text(schema.field(text).type):
        raise InputError(f"the column {text!r} is {schema.field(text).type}, no text: name another with --text")
    kept = tuple(n for n in names if (settings.columns is None or n in settings.columns) and n not in settings.drop)
    ours = [PLACE, settings.vector, *([PASSAGE, PASSAGE_TITLE] if settings.chunk else [])]
    for name in ours:
        if name in kept:
            cure = " or name ours with --vector" if name == settings.vector else ""
            raise InputError(f"the input has a column {name!r}, as the output has: leave it out (--drop {name}){cure}")
    wanted = [name for name in names if name in (*kept, text, settings.title)]
    fields = [schema.field(name) for name in wanted]  # a text is a str, or it is bad: it needs no JSON around it
    fields = [field.remove_metadata() if field.name == text else field for field in fields]
    return replace(settings, text=text), pyarrow().schema(fields), kept


def to_table(rows: Sequence[dict[str, Any]], schema: "pa.Schema") -> tuple["pa.Table", dict[int, str]]:
    """(the columns of the rows that fit them, row → why it does not)."""
    pa = pyarrow()
    bad: dict[int, str] = {}
    arrays = []
    for field in schema:
        values = [_cell(row.get(field.name), field) for row in rows]
        try:
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowException, OverflowError):
            bad |= {i: _misfit(value, field) for i, value in enumerate(values) if not _fits(value, field)}
            arrays.append(pa.array([None if i in bad else value for i, value in enumerate(values)], field.type))
    table = pa.Table.from_arrays(arrays, schema=schema)
    return (table.take([i for i in range(len(rows)) if i not in bad]) if bad else table), bad


def _cell(value: Any, field: Any) -> Any:
    if value is None:
        return None
    if _is_json(field):
        return json.dumps(value, ensure_ascii=False)
    return as_texts(value)[0][0] if isinstance(value, str) else value


def _fits(value: Any, field: Any) -> bool:
    try:
        pyarrow().array([value], field.type)
    except (pyarrow().ArrowException, OverflowError):
        return False
    return True


def _misfit(value: Any, field: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)[:60]
    return (
        f"{field.name!r} is {shown}, and {field.type} in the first rows: leave the column out (--drop {field.name}), "
        "or make it one type"
    )


def _first_rows(source: Source) -> list[dict[str, Any]]:
    begin = skip_mark(head_of(source))
    rows = []
    with open_source(source.path, begin) as stream:
        for line, _ in islice(lines(stream), _LOOKED_AT):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue  # the reader will say so
            rows.append(row if isinstance(row, dict) else {"text": row} if isinstance(row, str) else {})
    return rows


def _field_of(name: str, kinds: set[type]) -> Any:
    pa = pyarrow()
    plain = {
        frozenset([str]): pa.string(),
        frozenset([bool]): pa.bool_(),
        frozenset([int]): pa.int64(),
        frozenset([float]): pa.float64(),
        frozenset([int, float]): pa.float64(),
    }.get(frozenset(kinds))
    return pa.field(name, plain) if plain is not None else pa.field(name, pa.string(), metadata=_JSON)


def _said(field: Any) -> str:
    return "JSON of several types" if _is_json(field) else str(field.type)


def _is_json(field: Any) -> bool:
    return bool(field.metadata and field.metadata.get(b"content") == b"json")


def _is_text(kind: Any) -> bool:
    types = pyarrow().types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or str(kind) == "string_view")
