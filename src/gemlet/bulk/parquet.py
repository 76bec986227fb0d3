"""A range of a Parquet file's rows → blocks.   (Shard → Blocks)"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gemlet.bulk.block import BLOCK_BYTES, BLOCK_ROWS, Bad, Block, problem, title_of
from gemlet.bulk.cutting import Shard, open_parquet
from gemlet.bulk.settings import Job
from gemlet.bulk.sources import Source, pyarrow

if TYPE_CHECKING:
    import pyarrow as pa


def parquet_blocks(shard: Shard, source: Source, job: Job) -> Iterator[Block]:
    """Yield the rows of a shard in order. Raises OSError and ArrowException."""
    pa = pyarrow()
    number = shard.begin
    with open_parquet(source) as file:
        names = [name for name in job.schema.names if name in file.schema_arrow.names]
        for batch in _row_range(file, names, shard.begin, shard.end):
            table = pa.Table.from_batches([batch])
            for name in job.schema.names:
                if name not in names:
                    table = table.append_column(name, pa.nulls(len(table), job.schema.field(name).type))
            table = table.select(job.schema.names).cast(job.schema)
            yield from _slices(table, number, source, job)
            number += len(table)


def _row_range(file: Any, names: list[str], begin: int, end: int) -> Iterator[Any]:
    """Batches of the rows [begin, end): groups of rows before it are not read, of one that it begins in the rest is."""
    groups: list[int] = []
    start = at = 0
    for number in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if at + rows > begin and at < end:
            start = at if not groups else start
            groups.append(number)
        at += rows
    at = start
    for batch in file.iter_batches(BLOCK_ROWS, row_groups=groups, columns=names):
        first, last = max(begin - at, 0), min(end - at, len(batch))
        if first < last:
            yield batch.slice(first, last - first)
        at += len(batch)
        if at >= end:
            return


def _slices(table: "pa.Table", number: int, source: Source, job: Job) -> Iterator[Block]:
    """A batch in blocks: one of long texts in several."""
    text, title = job.settings.text or "", job.settings.title
    values = [_value(cell) for cell in table.column(text)]
    titles = [_value(cell) for cell in table.column(title)] if title else [None] * len(table)
    begin = size = 0
    for i, value in enumerate(values, 1):
        size += len(value) if isinstance(value, str) else 0
        if size < BLOCK_BYTES and i < len(values):
            continue
        places = [f"{source.name}, row {number + row + 1}" for row in range(begin, i)]
        reasons = [problem(value, text) for value in values[begin:i]]
        part = table.slice(begin, i - begin)
        bad = [
            Bad(places[row], reason, _as_dict(part.slice(row, 1)))
            for row, reason in enumerate(reasons)
            if reason is not None
        ]
        kept = [row for row, reason in enumerate(reasons) if reason is None]
        yield Block(
            part.take(kept) if bad else part,
            [values[begin + row] for row in kept],
            [title_of(titles[begin + row]) for row in kept],
            [places[row] for row in kept],
            bad,
            i - begin,
        )
        begin, size = i, 0


def _value(cell: Any) -> Any:
    """What a cell holds; bytes where it says that it is a text and is no UTF-8."""
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return bytes(cell.as_buffer())


def _as_dict(row: "pa.Table") -> dict[str, Any]:
    return {name: _value(row.column(name)[0]) for name in row.column_names}
