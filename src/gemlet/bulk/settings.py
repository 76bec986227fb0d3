"""What a bulk run is asked for, and what its shards are made with.   (options → Settings → Job)"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gemlet.packing import Truncation

if TYPE_CHECKING:
    import pyarrow as pa

    from gemlet.bulk.sources import Source

BulkPrecision = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]

PLACE, PASSAGE, PASSAGE_TITLE = "place", "passage", "passage_title"
"""Columns of ours: where a row stands, and of a passage its number in its row, from 0, and its title."""


@dataclass(frozen=True)
class Settings:
    """What the caller chooses.

    text, title  columns; None: the text's by its usual names, no title
    columns      those that are kept, None for all; `drop`: those that are not
    task         name of a prompt; None: no prompt
    dim          numbers in a vector; None: all
    truncation   of texts over 2,048 tokens; under "error" they are bad rows
    chunk        None: a text is one vector; else it is cut into passages of at most so many tokens, a row for each
    overlap      of passages, in tokens
    shard_rows   lines or rows of a source that make one file of the output
    vector       the name of the column with the vectors
    skip_broken  files, or parts of files, that cannot be read are listed as bad rows; else they are an error
    """

    text: str | None = None
    title: str | None = None
    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    task: str | None = "document"
    dim: int | None = None
    precision: BulkPrecision = "float32"
    truncation: Truncation = "right"
    chunk: int | None = None
    overlap: int = 0
    shard_rows: int = 4096
    vector: str = "vector"
    skip_broken: bool = False


@dataclass(frozen=True)
class Model:
    """What Embedder() is made of: every worker makes its own, and all of them map the same file."""

    name: str = "google/embeddinggemma-300m"
    quantization: Any = None
    threads: int | None = None
    offline: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Target:
    """A store that the vectors go into, when all shards are made.

    url      as stores.open() takes it
    id       the column that rows are called by there; None: by their place. It must be one of those that are kept
    replace  take the place of rows that another run has put there under the same names; else that is an error
    """

    url: str
    id: str | None = None
    replace: bool = False


@dataclass(frozen=True)
class Job:
    """All that a worker needs to make any shard; it goes to other processes as it is.

    output   the folder, an absolute path or an address
    sources  that the shards are cut from
    schema   of the columns that are kept, the text's and the title's included
    kept     the names of those that the output has
    made     what vectors and shards depend on, in JSON's types; `mark` is its digest
    """

    output: str
    sources: "list[Source]"
    schema: "pa.Schema"
    kept: tuple[str, ...]
    settings: Settings
    made: dict[str, Any]
    mark: str
