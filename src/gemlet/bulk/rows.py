"""A finished shard → what goes into a store: its rows by their names, each with its passages.   (shard → Items)"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from gemlet.bulk.block import title_of
from gemlet.bulk.cutting import Shard, one_line
from gemlet.bulk.folder import Folder
from gemlet.bulk.settings import PASSAGE_TITLE, PLACE, Job
from gemlet.bulk.sources import pyarrow
from gemlet.errors import BulkError, InputError
from gemlet.passages import Passage
from gemlet.store import StoredFile
from gemlet.stores import Item
from gemlet.stores.contract import TOGETHER, is_text


class _Row(NamedTuple):
    """A row of a shard: a whole row of the input, or a passage of one."""

    place: str
    id: Any
    text: str
    title: Any
    vector: Any


def items_of(folder: Folder, job: Job, shard: Shard, id_column: str | None) -> Iterator[Item]:
    """Yield the rows of a shard in order; passages of one row are together. Raises BulkError.

    A row is called by what stands in the id's column; by its place where there is no such column, or nothing in it.
    """
    mtime = job.sources[shard.source].mtime_ns / 1e9
    for place, found in groupby(_rows(folder, job, shard, id_column), itemgetter(0)):
        rows = list(found)
        name = _name(rows[0].id, place)
        if not job.settings.chunk:
            (row,) = rows
            yield Item.row(name, row.text, row.vector, title=title_of(row.title), mtime=mtime)
            continue
        size = sum(len(row.text.encode("utf-8", "replace")) for row in rows)
        passages = [Passage(row.text, row.title, 1, 1 + row.text.count("\n"), None) for row in rows]
        file = StoredFile(name, size, mtime, "row", None, None, len(rows))
        yield Item(file, passages, np.stack([row.vector for row in rows]))


def first_and_last(folder: Folder, job: Job, shard: Shard, id_column: str | None) -> list[str]:
    """What the first row of a shard is called, and the last; none when it has no rows. Raises BulkError."""
    names = [name for _, name in _names(folder, job, shard, id_column)]
    return [names[0], names[-1]] if names else []


def check_ids(folder: Folder, job: Job, shards: Sequence[Shard], id_column: str) -> None:
    """Raise InputError when two rows have one id: in a store the later would take the place of the other.

    8 bytes for each row are held in memory.
    """
    parts = [np.zeros(0, np.int64)]
    for shard in shards:
        names = [name for _, name in _names(folder, job, shard, id_column)]
        parts.append(np.fromiter(map(hash, names), np.int64, len(names)))
    hashes, counts = np.unique(np.concatenate(parts), return_counts=True)
    twice = set(hashes[counts > 1].tolist())
    seen: dict[str, str] = {}
    for shard in shards if twice else ():
        for place, name in _names(folder, job, shard, id_column):
            if hash(name) in twice and seen.setdefault(name, place) != place:
                raise InputError(
                    f"{seen[name]} and {place} both have {name[:60]!r} in {id_column!r}: take a column that tells "
                    "rows apart, or leave --id out"
                )


def _names(folder: Folder, job: Job, shard: Shard, id_column: str | None) -> Iterator[tuple[str, str]]:
    """(place, name) of each row of the input that a shard has."""
    before = None
    for batch in _batches(folder, job, shard, [PLACE, *([id_column] if id_column else [])]):
        places = batch.column(PLACE).to_pylist()
        ids = batch.column(id_column).to_pylist() if id_column else [None] * len(places)
        for place, value in zip(places, ids, strict=True):
            if place != before:
                yield place, _name(value, place)
            before = place


def _name(value: Any, place: str) -> str:
    """What a row is called: its id, as text; where it has none that a store can hold, its place."""
    text = "" if value is None else str(value)
    return text if text.strip() and is_text(text) else place


def _rows(folder: Folder, job: Job, shard: Shard, id_column: str | None) -> Iterator[_Row]:
    settings = job.settings
    text, title = settings.text or "", PASSAGE_TITLE if settings.chunk else settings.title
    for batch in _batches(folder, job, shard, [PLACE, text, title, id_column, settings.vector]):
        columns = [batch.column(name).to_pylist() if name else [None] * len(batch) for name in (id_column, text, title)]
        vectors = batch.column(settings.vector)
        flat = vectors.flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1).astype(np.float32)
        yield from map(_Row, batch.column(PLACE).to_pylist(), *columns, flat)


def _batches(folder: Folder, job: Job, shard: Shard, columns: Sequence[str | None]) -> Iterator[Any]:
    pa = pyarrow()
    wanted = list(dict.fromkeys(name for name in columns if name))
    try:
        with folder.open(shard.name) as file:
            yield from pa.parquet.ParquetFile(file).iter_batches(TOGETHER, columns=wanted)
    except (OSError, pa.ArrowException) as error:
        told = f"cannot read {folder.name}/{shard.name}: {one_line(error)}"
        raise BulkError(f"{told}: delete it, and the same command makes it again") from None
