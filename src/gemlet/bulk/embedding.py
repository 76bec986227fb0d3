"""Blocks of rows → tables with vectors.   (Block → table; table → table)

A row's vector depends on its text, its title and the settings, never on the block: whoever embeds it, gets these bits
(on a GPU: the same up to rounding).
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gemlet.bulk.block import Bad, Block, problem
from gemlet.bulk.settings import PASSAGE, PASSAGE_TITLE, PLACE, BulkPrecision, Model, Settings
from gemlet.bulk.sources import pyarrow
from gemlet.documents import Document
from gemlet.documents.text import paragraphs
from gemlet.embedder import Embedder
from gemlet.errors import DoublePromptWarning, InputError, TruncationWarning
from gemlet.packing import Truncation
from gemlet.passages import split
from gemlet.prompts import document_prompts, find_prompt
from gemlet.texts import as_texts

if TYPE_CHECKING:
    import pyarrow as pa

_BATCHES = 16  # characters that one call embeds, by the tokens of a batch: a second or so, after which Ctrl-C is heard

IntArray = npt.NDArray[np.int64]
Tell = Callable[[int, int], None]
"""Is told (rows of the source, tokens) that are through since it was last told."""


@dataclass
class Embedded:
    """A block's rows with their vectors; `bad` also has those that are too long, where that is an error."""

    table: "pa.Table"
    bad: list[Bad]
    tokens: int
    cut: int


class BlockEmbedder:
    """One model and one way to use it."""

    def __init__(self, embedder: Embedder, settings: Settings) -> None:
        """Raises InputError and its kin for settings that the model or the splitter does not take."""
        self.embedder = embedder
        self.settings = settings
        self.dim = settings.dim or embedder.truncate_dim
        if settings.chunk:
            split(Document("text", None, None, []), self._count, tokens=settings.chunk, overlap=settings.overlap)
        precision = "float32" if settings.precision == "float16" else settings.precision
        self._options: dict[str, Any] = {
            "truncate_dim": settings.dim, "precision": precision, "truncation": settings.truncation,
        }  # fmt: skip
        self.width, self.type = vector_type(self.dim, settings.precision)
        self._none = embedder.encode([""], prompt_name=settings.task, **self._options)[:0]

    def embed(self, block: Block, tell: Tell = lambda rows, tokens: None) -> Embedded:
        """Give every row of a block, or every passage of it, its vector."""
        bad = list(block.bad)
        if self.settings.truncation == "error" and not self.settings.chunk:
            block = self._without_long(block, bad)
        rows: Sequence[int] = range(len(block.texts))
        texts, titles, numbers = block.texts, block.titles, None
        if self.settings.chunk:
            rows, texts, titles, numbers = self._passages(block)
        vectors, tokens, cut = self._vectors(texts, titles, tell)
        table = block.table.take(rows) if self.settings.chunk else block.table
        table = self._finished(table, [block.places[row] for row in rows], texts, titles, numbers, vectors)
        return Embedded(table, bad, tokens, cut)

    def sizes(self, block: Block) -> tuple[IntArray, IntArray]:
        """Of each row of a block, without running the model: ([rows] vectors, [rows] tokens that the model reads)."""
        rows: Sequence[int] = range(len(block.texts))
        texts, titles = block.texts, block.titles
        if self.settings.chunk:
            rows, texts, titles, _ = self._passages(block)
        counts = self.embedder.count_tokens(self._prompted(texts, titles)) if texts else np.zeros(0, np.int64)
        if self.settings.truncation != "window":
            counts = np.minimum(counts, self.embedder.max_seq_length)
        places = np.asarray(rows, np.int64)
        vectors = np.bincount(places, minlength=len(block.texts))
        return vectors, np.bincount(places, counts, minlength=len(block.texts)).astype(np.int64)

    def _without_long(self, block: Block, bad: list[Bad]) -> Block:
        if not block.texts:
            return block
        limit = self.embedder.max_seq_length
        prompted = self._prompted(block.texts, block.titles)
        counts = self.embedder.count_tokens(prompted)
        kept = [row for row, tokens in enumerate(counts) if tokens <= limit]
        for row, tokens in enumerate(counts):
            if tokens > limit:
                reason = f"has {tokens:,} tokens, the limit is {limit:,}: shorten it, or take --chunk"
                bad.append(Bad(block.places[row], reason, block.table.slice(row, 1).to_pylist()[0]))
        return replace(
            block,
            table=block.table.take(kept),
            texts=[block.texts[row] for row in kept],
            titles=[block.titles[row] for row in kept],
            places=[block.places[row] for row in kept],
        )

    def _prompted(self, texts: Sequence[str], titles: Sequence[str | None]) -> list[str]:
        if self.settings.task == "document":
            return [p + text for p, text in zip(document_prompts(titles, len(texts)), texts, strict=True)]
        prompt = find_prompt(self.embedder.prompts, self.settings.task) if self.settings.task else ""
        return [prompt + text for text in texts]

    def _count(self, texts: Sequence[str]) -> Any:
        return self.embedder.count_tokens(texts)

    def _passages(self, block: Block) -> tuple[list[int], list[str], list[str | None], list[int]]:
        """(row, text, title, number in its row) of each passage."""
        found: list[tuple[int, str, str | None, int]] = []
        assert self.settings.chunk
        for row, (text, title) in enumerate(zip(block.texts, block.titles, strict=True)):
            document = Document("text", None, title, list(paragraphs(text.replace("\r\n", "\n").split("\n"))))
            passages = split(document, self._count, tokens=self.settings.chunk, overlap=self.settings.overlap)
            found += [(row, passage.text, passage.title, number) for number, passage in enumerate(passages)]
        return [f[0] for f in found], [f[1] for f in found], [f[2] for f in found], [f[3] for f in found]

    def _vectors(self, texts: Sequence[str], titles: Sequence[str | None], tell: Tell) -> tuple[Any, int, int]:
        """([n, width] of the precision's type, tokens read, texts cut)."""
        parts = [self._none]
        tokens = cut = 0
        for begin, end in _slices(texts, _BATCHES * self.embedder.token_budget):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TruncationWarning)  # counted
                warnings.simplefilter("ignore", DoublePromptWarning)  # a text may well quote a prompt
                vectors, usage = self._encode(texts[begin:end], titles[begin:end])
            parts.append(vectors)
            read = int((usage.tokens - usage.cut).sum())
            tokens += read
            cut += int((usage.cut > 0).sum())
            tell(0, read)
        return np.concatenate(parts), tokens, cut

    def _encode(self, texts: Sequence[str], titles: Sequence[str | None]) -> Any:
        if self.settings.task == "document":
            return self.embedder.encode_document(texts, titles=titles, return_usage=True, **self._options)
        return self.embedder.encode(texts, prompt_name=self.settings.task, return_usage=True, **self._options)

    def _finished(
        self,
        table: "pa.Table",
        places: Sequence[str],
        texts: Sequence[str],
        titles: Sequence[str | None],
        numbers: Sequence[int] | None,
        vectors: Any,
    ) -> "pa.Table":
        pa = pyarrow()
        if numbers is not None:
            text = self.settings.text
            if text in table.column_names:
                table = table.set_column(table.column_names.index(text), pa.field(text, pa.string()), [list(texts)])
            table = table.append_column(PASSAGE, pa.array(numbers, pa.int32()))
            table = table.append_column(PASSAGE_TITLE, pa.array(titles, pa.string()))
        flat = vectors.astype(np.float16) if self.settings.precision == "float16" else vectors
        column = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), type=self.type)
        return table.append_column(PLACE, pa.array(places, pa.string())).append_column(self.settings.vector, column)


class EmbedBatches:
    """For other engines that bring tables: Ray Data, Daft, Spark. A table of Arrow in, the same with vectors out.

        dataset.map_batches(
            EmbedBatches, fn_constructor_kwargs={"text": "body"}, batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=8), num_cpus=1,
        )

    The model is opened when the first table comes, in the process that it comes to; all processes of a machine map the
    same file. A table's rows may come in any batches: the bits are the same.
    """

    def __init__(
        self,
        text: str = "text",
        *,
        title: str | None = None,
        task: str | None = "document",
        dim: int | None = None,
        precision: BulkPrecision = "float32",
        truncation: Truncation = "right",
        vector: str = "vector",
        model: str = Model.name,
        quantization: Any = None,
        threads: int | None = 1,
        offline: bool = False,
        device: str = "cpu",
    ) -> None:
        """text, title: columns. The rest as in Settings and Embedder."""
        self._settings = Settings(
            text, title, task=task, dim=dim, precision=precision, truncation=truncation, vector=vector
        )
        self._model = Model(model, quantization, threads, offline, device)
        self._embedder: BlockEmbedder | None = None

    def __call__(self, table: "pa.Table") -> "pa.Table":
        """The table with a column of vectors. Raises InputError for a row without text, by its number in the table."""
        if self._embedder is None:
            self._embedder = BlockEmbedder(open_model(self._model), self._settings)
        text = self._settings.text or ""
        if text not in table.column_names:
            raise InputError(f"there is no column {text!r}; the columns are: {', '.join(table.column_names)}")
        values = table.column(text).to_pylist()
        for row, value in enumerate(values):
            if reason := problem(value, text):
                raise InputError(f"row {row}: {reason}: filter such rows out before")
        title = self._settings.title
        titles = table.column(title).to_pylist() if title else [None] * len(values)
        places = [""] * len(values)
        block = Block(table, as_texts(values)[0], titles, places, [], len(values))
        return self._embedder.embed(block).table.drop_columns([PLACE])


def open_model(model: Model) -> Embedder:
    """The embedder. Raises what Embedder() does."""
    return Embedder(
        model.name,
        device=model.device,
        quantization=model.quantization,
        threads=model.threads,
        offline=model.offline,
    )


def vector_type(dim: int, precision: BulkPrecision) -> tuple[int, Any]:
    """(numbers that a vector is stored as, the type of its column): bits are packed, eight to a byte."""
    pa = pyarrow()
    width = -(-dim // 8) if precision in ("binary", "ubinary") else dim
    kinds = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8(), "binary": pa.int8()}
    return width, pa.list_(pa.field("element", kinds.get(precision, pa.uint8()), nullable=False), width)


def _slices(texts: Sequence[str], characters: int) -> Iterator[tuple[int, int]]:
    begin = size = 0
    for i, text in enumerate(texts, 1):
        size += len(text)
        if size >= characters or i == len(texts):
            yield begin, i
            begin, size = i, 0
