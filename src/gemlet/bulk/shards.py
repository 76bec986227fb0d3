"""One shard: read, embedded, written whole; and what is known of those that are there.   (Shard → file)"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any

from gemlet.bulk.block import Bad
from gemlet.bulk.cutting import Shard
from gemlet.bulk.embedding import BlockEmbedder, Tell, vector_type
from gemlet.bulk.folder import BAD, Folder
from gemlet.bulk.reading import ReadError, part_of, read_blocks
from gemlet.bulk.settings import PASSAGE, PASSAGE_TITLE, PLACE, Job, Settings
from gemlet.bulk.sources import pyarrow

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_BYTES = 32 << 20  # of a group of rows in Parquet, about
_KEY = b"gemlet"


@dataclass
class Counts:
    """What became of rows: of one shard, or of several.

    rows     vectors and bad rows come from; vectors: more than rows, where these are cut into passages
    cut      texts longer than the model takes
    bytes    of the files of the output
    fields   of JSON lines that no column was made for → rows that had them
    """

    rows: int = 0
    vectors: int = 0
    bad: int = 0
    cut: int = 0
    tokens: int = 0
    bytes: int = 0
    fields: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        """Add those of other shards."""
        for name in ("rows", "vectors", "bad", "cut", "tokens", "bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, rows in other.fields.items():
            self.fields[name] = self.fields.get(name, 0) + rows


def output_schema(job: Job, dim: int) -> "pa.Schema":
    """The columns of every file of the output."""
    pa = pyarrow()
    settings = job.settings
    fields = [job.schema.field(name) for name in job.kept]
    if settings.chunk:
        fields = [pa.field(f.name, pa.string()) if f.name == settings.text else f for f in fields]
        fields += [pa.field(PASSAGE, pa.int32()), pa.field(PASSAGE_TITLE, pa.string())]
    vector = pa.field(settings.vector, vector_type(dim, settings.precision)[1])
    return pa.schema([*fields, pa.field(PLACE, pa.string()), vector])


def parquet_writer(file: IO[bytes], schema: "pa.Schema", settings: Settings) -> Any:
    """What writes tables: no dictionaries and statistics of vectors, which no two rows share."""
    plain = [field.name for field in schema if field.name != settings.vector]
    return pyarrow().parquet.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=plain, write_statistics=plain
    )


def make_shard(shard: Shard, job: Job, folder: Folder, model: BlockEmbedder, tell: Tell, *, last: bool) -> Counts:
    """Make a shard's file, and that of its bad rows; both are whole or not there.

    last  with skip_broken: what cannot be read becomes a bad row

    Raises ReadError for what cannot be read, BulkError where nothing can be written, OutputError.
    """
    counts = Counts()
    schema = output_schema(job, model.dim)
    name, bad_name = shard.name, bad_file(shard)
    with ExitStack() as both:  # the bad rows first: a shard that is there has all of them
        writer = both.enter_context(_writer(folder, name, schema, job, shard, counts))
        bad = _BadRows(folder, bad_name, counts)
        with bad:
            try:
                for block in read_blocks(shard, job):
                    done = model.embed(block, tell)
                    bad.write(done.bad)
                    writer.write(done.table.select(schema.names).cast(schema))
                    counts.rows += len(block.texts) + len(block.bad)
                    counts.vectors += len(done.table)
                    counts.tokens += done.tokens
                    counts.cut += done.cut
                    for field_name, rows in block.fields.items():
                        counts.fields[field_name] = counts.fields.get(field_name, 0) + rows
                    tell(block.rows, 0)
            except ReadError as error:
                if not (last and job.settings.skip_broken):
                    raise
                place = part_of(shard, job.sources[shard.source])
                bad.write([Bad(place, f"the rest cannot be read: {error}", {})])
        if not counts.bad:
            folder.remove(bad_name)
    counts.bytes = folder.size(name)
    return counts


def bad_file(shard: Shard) -> str:
    """Where the bad rows of a shard are."""
    return f"{BAD}/{shard.name.removesuffix('.parquet')}.jsonl"


def finished(folder: Folder, job: Job, shards: list[Shard]) -> dict[Shard, Counts]:
    """The shards that are there and whole, made with this job's settings, by what their footers say."""
    names = folder.names()
    there = [shard for shard in shards if shard.name in names]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda shard: _read_footer(folder, job, shard), there)
    return {
        shard: Counts(**{**facts, "bytes": names[shard.name]})
        for shard, facts in zip(there, found, strict=True)
        if facts is not None
    }


def _read_footer(folder: Folder, job: Job, shard: Shard) -> dict[str, Any] | None:
    pa = pyarrow()
    try:
        with folder.open(shard.name) as file:
            metadata = pa.parquet.read_metadata(file)
        facts = json.loads(metadata.metadata[_KEY])
        if facts.pop("mark") != job.mark or facts.pop("shard") != list(shard):
            return None
        return facts if facts["vectors"] == metadata.num_rows else None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


class _Rows:
    """Tables → groups of rows of a Parquet file, of about the same size whatever tables they come in."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._tables: list[pa.Table] = []
        self._bytes = 0

    def write(self, table: "pa.Table") -> None:
        self._tables.append(table)
        self._bytes += table.nbytes
        if self._bytes >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._tables:
            self._writer.write_table(pyarrow().concat_tables(self._tables))
            self._tables, self._bytes = [], 0


@contextmanager
def _writer(folder: Folder, name: str, schema: "pa.Schema", job: Job, shard: Shard, counts: Counts) -> Iterator[_Rows]:
    with folder.whole(name) as file, parquet_writer(file, schema, job.settings) as writer:
        rows = _Rows(writer)
        yield rows
        rows.flush()
        facts = {"mark": job.mark, "shard": list(shard), **asdict(counts)}
        writer.add_key_value_metadata({_KEY: json.dumps(facts).encode()})


class _BadRows:
    """Takes bad rows; the file is made with the first."""

    def __init__(self, folder: Folder, name: str, counts: Counts) -> None:
        self._folder, self._name, self._counts = folder, name, counts
        self._stack = ExitStack()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> "_BadRows":
        return self

    def write(self, rows: list[Bad]) -> None:
        """Append them."""
        for row in rows:
            if self._file is None:
                self._file = self._stack.enter_context(self._folder.whole(self._name))
            line = json.dumps(
                {"place": row.place, "reason": row.reason, "row": row.row}, ensure_ascii=False, default=str
            )
            self._file.write((line + "\n").encode("utf-8", "replace"))
        self._counts.bad += len(rows)

    def __exit__(self, *error: Any) -> bool | None:
        return self._stack.__exit__(*error)
