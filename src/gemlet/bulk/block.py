"""Rows that are embedded together, and those of them that are bad.   (what every reader gives)"""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from gemlet.texts import as_texts

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 256
BLOCK_BYTES = 1 << 20
"""A block ends where its texts have as many, whatever the number of rows."""


class Bad(NamedTuple):
    """A row that gets no vector: where it stands, why, and what is known of it."""

    place: str
    reason: str
    row: Any


@dataclass
class Block:
    """Rows of one source.

    table   the columns that are read, a row for each text
    texts   and titles, places: one for each row
    bad     rows that are not in the table
    rows    of the source that this covers, as Shard.rows counts them
    fields  of JSON lines that the first rows did not have, with the number of rows that lost them
    """

    table: "pa.Table"
    texts: list[str]
    titles: list[str | None]
    places: list[str]
    bad: list[Bad]
    rows: int
    fields: dict[str, int] = field(default_factory=dict)


def problem(text: Any, column: str) -> str | None:
    """Why a value is no text to embed; None: it is one."""
    if isinstance(text, str):
        return None if text.strip() else f"{column!r} is empty"
    return f"{column!r} is {json.dumps(text, default=str)[:60]}, no text"


def title_of(value: Any) -> str | None:
    """A title, if a value is one."""
    return as_texts(value)[0][0] if isinstance(value, str) and value.strip() else None
