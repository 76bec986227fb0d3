"""What a run would take: rows counted, tokens and bytes by a sample, time by the pace here.   (inputs → Estimate)"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np

from gemlet.bulk.block import Block
from gemlet.bulk.cutting import Shard
from gemlet.bulk.embedding import BlockEmbedder, open_model
from gemlet.bulk.folder import Folder
from gemlet.bulk.plan import Plan, check_same, made_with, make_plan, read_plan
from gemlet.bulk.reading import ReadError, read_blocks
from gemlet.bulk.report import Listener, Silence
from gemlet.bulk.settings import Model, Settings, Target
from gemlet.bulk.shards import finished, output_schema, parquet_writer
from gemlet.bulk.sources import pyarrow
from gemlet.bulk.storing import look
from gemlet.gpu import OWN

_SHARDS = 16  # that are looked into, evenly spaced
_ROWS = 64  # of each
_STEP = 8  # rows that are embedded before another shard has its turn; a GPU takes all of a shard's
_SECONDS = 10.0  # of embedding, to learn the pace


@dataclass(frozen=True)
class Estimate:
    """What is to be done and what it takes. Counted: sources, rows, shards, done. By the sample: all others.

    done              shards that an earlier run has finished; `rows`, `tokens` and so on are of all
    vectors           more than the rows where these are cut into passages, fewer where rows are bad
    share_of_bad      of the sample's rows
    tokens_deviation  of `tokens`: one standard error of the sample
    rate              tokens per second of this process, by `threads` threads or on `device`, measured over
                      `measured_tokens`; so few at once that a GPU does far more in a run
    bytes             of the output; vector_bytes: of one vector
    store             that the rows are to go into, with the passages that it holds; None: it is not there yet
    """

    sources: int
    rows: int
    shards: int
    done: int
    sampled_rows: int
    share_of_bad: float
    vectors: int
    tokens: int
    tokens_deviation: int
    rate: float
    threads: int
    measured_tokens: int
    bytes: int
    vector_bytes: int
    device: str = OWN
    store: str | None = None
    store_passages: int | None = None

    @property
    def by(self) -> str:
        """What computes."""
        return f"of {self.threads} threads" if self.device == OWN else f"on {self.device}"

    @property
    def seconds(self) -> float:
        """Of what is not done, for one process such as this."""
        return self.tokens / self.rate * (1 - self.done / self.shards) if self.rate else 0.0


def estimate(
    inputs: Sequence[str],
    output: str,
    settings: Settings,
    model: Model,
    listener: Listener | None = None,
    *,
    to: Target | None = None,
) -> Estimate:
    """Look at the inputs and embed some of their rows, for ten seconds at most; nothing is written.

    Raises what run() raises before it begins.
    """
    listener = listener or Silence()
    folder = Folder(output)
    embedder = open_model(model)
    BlockEmbedder(embedder, settings)
    made = made_with(embedder, settings)
    plan = read_plan(folder)
    if plan is not None:
        check_same(plan, inputs, folder, settings, made)
    else:
        plan = make_plan(inputs, folder, settings, made, listener.message)
    store, passages = (None, None) if to is None else look(to, plan.job)
    done = len(finished(folder, plan.job, plan.shards))
    found = _measured(plan, BlockEmbedder(embedder, plan.job.settings), done)
    return replace(found, store=store, store_passages=passages)


def _measured(plan: Plan, model: BlockEmbedder, done: int) -> Estimate:
    blocks = list(_sample(plan))
    rows = sum(len(block.texts) + len(block.bad) for block in blocks)
    sizes = [model.sizes(block) for block in blocks]
    passages = np.concatenate([np.zeros(0, np.int64), *(one for one, _ in sizes)])
    tokens = np.concatenate([np.zeros(0, np.int64), *(two for _, two in sizes)])
    texts = len(tokens)
    all_texts = plan.rows * texts / max(rows, 1)
    error = float(tokens.std(ddof=1) / np.sqrt(texts)) if texts > 1 else 0.0
    tables, read, seconds = _embedded(blocks, model)
    vectors = round(all_texts * passages.sum() / max(texts, 1))
    return Estimate(
        sources=len(plan.job.sources),
        rows=plan.rows,
        shards=len(plan.shards),
        done=done,
        sampled_rows=rows,
        share_of_bad=1 - texts / max(rows, 1),
        vectors=vectors,
        tokens=round(all_texts * tokens.sum() / max(texts, 1)),
        tokens_deviation=round(all_texts * error),
        rate=read / seconds if seconds else 0.0,
        threads=model.embedder.threads,
        measured_tokens=read,
        bytes=round(vectors * _bytes_of(plan, model, tables) / max(sum(map(len, tables)), 1)),
        vector_bytes=model.type.list_size * model.type.value_type.bit_width // 8,
        device=model.embedder.device,
    )


def _embedded(blocks: list[Block], model: BlockEmbedder) -> tuple[list[Any], int, float]:
    """(tables with vectors, tokens, seconds): a few rows of every block in turn, until the time is over."""
    tables: list[Any] = []
    tokens = 0
    begin = time.perf_counter()
    step = _STEP if model.embedder.device == OWN else _ROWS
    for first in range(0, _ROWS, step):
        for block in blocks:
            if first < len(block.texts) and time.perf_counter() - begin < _SECONDS:
                result = model.embed(_part(block, first, first + step))
                tables.append(result.table)
                tokens += result.tokens
    return tables, tokens, time.perf_counter() - begin


def _part(block: Block, begin: int, end: int) -> Block:
    rows = slice(begin, end)
    table = block.table.slice(begin, end - begin)
    return Block(table, block.texts[rows], block.titles[rows], block.places[rows], [], len(table))


def _sample(plan: Plan) -> Iterator[Block]:
    """The first rows of some shards, a block of each."""
    steps = np.linspace(0, len(plan.shards) - 1, min(_SHARDS, len(plan.shards))).round().astype(int)
    for number in dict.fromkeys(steps.tolist()):
        shard: Shard = plan.shards[number]
        try:
            block = next(read_blocks(shard, plan.job), None)
        except ReadError:
            continue
        if block is not None:
            share = len(block.bad) * _ROWS // max(len(block.texts) + len(block.bad), 1)
            yield replace(_part(block, 0, _ROWS), bad=block.bad[:share])


def _bytes_of(plan: Plan, model: BlockEmbedder, tables: list[Any]) -> int:
    """Of the sample's output as a file."""
    if not tables:
        return 0
    pa = pyarrow()
    schema = output_schema(plan.job, model.dim)
    file = BytesIO()
    with parquet_writer(file, schema, plan.job.settings) as writer:
        writer.write_table(pa.concat_tables([table.select(schema.names).cast(schema) for table in tables]))
    return len(file.getvalue())
