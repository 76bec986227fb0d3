"""Search in stored vectors: gemlet beside usearch, faiss and sqlite-vec, the same vectors, in turn.

    python bench/scan.py                                            100,000 vectors
    python bench/scan.py --vectors 1000000 --only gemlet faiss      a million, and some of them
    python bench/scan.py --documents FILE.npy --queries FILE.npy    your own

Rounds: in each, every way to search takes its turn with the same queries, one after the other. Prints for each the
median time of a search for 10 in its best round and over all of them, how many of the 10 that exact float32 finds it
finds, and the memory of its own that it holds. A rival whose package is not there is left out. The vectors of
made_vectors.py have a fixed seed.
"""

import argparse
import re
import statistics
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet.vectors import normalize
from made_vectors import MadeVectors
from searchers import SEARCHERS, Searcher

Array = npt.NDArray[Any]
K = 10
PIECE = 20_000


def main() -> None:
    """Build, search in turn, print the table."""
    options = parse()
    pieces, queries = vectors(options)
    searchers, truth, memory = build(pieces, queries, options)
    times: dict[str, list[list[float]]] = {name: [] for name in searchers}
    found: dict[str, list[Array]] = {}
    for _ in range(options.rounds):
        for name, searcher in searchers.items():
            found[name], seconds = search_all(searcher, queries)
            times[name].append(seconds)
    print(f"\n{len(queries)} queries, {options.rounds} rounds, {options.threads} threads\n")
    print(f"| | best round, p50 | all, p50 | recall@{K} | memory |\n|---|---|---|---|---|")
    for name, rounds in times.items():
        best, overall = min(map(statistics.median, rounds)), statistics.median(chain.from_iterable(rounds))
        recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(found[name], truth, strict=True)])
        print(f"| {name} | {best * 1e3:.2f} ms | {overall * 1e3:.2f} ms | {recall:.4f} | {memory[name] / 1e6:.0f} MB |")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--count", type=int, default=100, help="of queries")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(SEARCHERS)}: what they begin with")
    parser.add_argument("--documents", type=Path, help="a .npy file instead of made-up vectors")
    parser.add_argument("--queries", type=Path, help="a .npy file")
    return parser.parse_args()


def vectors(options: argparse.Namespace) -> tuple[Iterator[Array], Array]:
    """The documents in pieces, and the queries: float32 unit vectors."""
    if options.documents:
        documents = normalize(np.load(options.documents).astype(np.float32))
        pieces = (documents[i : i + PIECE] for i in range(0, len(documents), PIECE))
        return pieces, normalize(np.load(options.queries).astype(np.float32))[: options.count]
    made = MadeVectors(options.dim)
    sizes = [min(PIECE, options.vectors - begin) for begin in range(0, options.vectors, PIECE)]
    return (made.documents(size, part) for part, size in enumerate(sizes)), made.queries(options.count)


def build(
    pieces: Iterator[Array], queries: Array, options: argparse.Namespace
) -> tuple[dict[str, Searcher], Array, dict[str, int]]:
    """The searchers over all pieces, the K nearest rows of each query in float32, and each searcher's own memory."""
    searchers: dict[str, Searcher] = {}
    memory: dict[str, int] = {}
    for name, kind in SEARCHERS.items():
        if options.only is None or name.startswith(tuple(options.only)):
            try:
                searchers[name], memory[name] = kind(queries.shape[1], options.threads), 0
            except ImportError as error:
                print(f"{name} is left out: {error}")
    scores, rows, begin = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64), 0
    for piece in pieces:
        for name, searcher in searchers.items():
            before = own_memory()
            searcher.add(piece)
            memory[name] += own_memory() - before
        scores = np.concatenate([scores, queries @ piece.T], axis=1)
        rows = np.concatenate([rows, np.tile(np.arange(begin, begin + len(piece)), (len(queries), 1))], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
        begin += len(piece)
    for name, searcher in searchers.items():
        before = own_memory()
        searcher.finish()
        memory[name] += own_memory() - before
    return searchers, rows, memory


def search_all(searcher: Searcher, queries: Array) -> tuple[list[Array], list[float]]:
    """What it finds for each query, and how long that takes; after one search that does not count."""
    searcher.search(queries[0], K)
    found, seconds = [], []
    for query in queries:
        start = time.perf_counter()
        found.append(searcher.search(query, K))
        seconds.append(time.perf_counter() - start)
    return found, seconds


def own_memory() -> int:
    """Bytes of this process that are no pages of files."""
    text = Path("/proc/self/status").read_text() if Path("/proc/self/status").exists() else ""
    found = re.search(r"RssAnon:\s+(\d+) kB", text)
    return 1024 * int(found[1]) if found else 0


if __name__ == "__main__":
    main()
