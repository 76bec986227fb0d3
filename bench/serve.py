"""`gemlet serve` beside the library, and beside any other server of embeddings, in one run.   (→ tables)

    python bench/serve.py --model FOLDER
    python bench/serve.py --index notes.db --rival llama=http://127.0.0.1:8081,pid=1234 --rival tei=http://127.0.0.1:8082

A lone query: the library and each server are asked in turn for the same text, every time another one and in another
order, and are compared query by query. A crowd: 64 connections (--connections) that ask as soon as they have an answer,
texts of mixed lengths, one to 4 a request; the library encodes the same texts in between, for the same time. Every
answer is compared with the library's vector: ours must have its bits, another's be nearest to its own text. Our server
runs without its cache; a rival should, too, and without a prompt. With --wrk the crowd is wrk's, which takes less of
the machine than Python does; it compares our answers alone.

A rival is NAME=URL before /v1/embeddings; `,model=NAME` is for those that want one (Ollama), `,pid=NUMBER` tells its
memory. Memory is resident, mapped files included; with --index also after a map of that index was made.

Each table says how many cores others kept busy meanwhile. Writes bench/results/serve.json.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crowd import MOST, Crowd, write
from gemlet import Embedder
from load import load
from servers import Connection, Server, Vectors, ours, rival

RESULT = Path(__file__).resolve().parent / "results" / "serve.json"
POOL = 1024  # texts, more than can be under way at once
CHUNK = 32  # texts of one call of the library
HEAD = "| |vectors/s|tokens/s|of the library's|p50, p99 ms|wrong texts|refused|MB before, after, most|others|"

Row = dict[str, Any]
Count = Callable[[], int | None]  # texts with an answer that is not theirs; None: nobody compared


def main() -> None:
    """Measure, print the tables, write them down."""
    options = parse()
    embedder = Embedder(options.model, threads=options.threads, offline=True)
    with ours(options.model, options.threads, [options.index] if options.index else []) as server:
        servers = [server, *map(rival, options.rival)]
        result: Row = {"date": time.strftime("%Y-%m-%d %H:%M"), "cores": os.cpu_count()}
        if options.queries:
            result["lone"] = lone(embedder, servers, options.queries)
        texts = write(POOL, options.longest)
        library = Library(embedder, texts)
        if options.wrk:
            library.wanted(list(range(POOL)))
        result["crowd"] = [one for turn in range(options.rounds) for one in together(library, servers, options, turn)]
        if options.index:
            result["map"] = mapped(library, server, options)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if wrong := sum((row.get("wrong") or 0) + row.get("differ", 0) for row in result["crowd"]):
        raise SystemExit(f"{wrong} answers were not right")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="google/embeddinggemma-300m")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--index", type=Path, help="an index of which a map is made")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=URL")
    parser.add_argument("--queries", type=int, default=100, help="lone ones; 0 leaves them out")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--wrk", action="store_true", help="have wrk ask (apt install wrk)")
    parser.add_argument("--seconds", type=float, default=20, help="of each crowd")
    parser.add_argument("--rounds", type=int, default=3, help="of crowds; 0 leaves them out")
    parser.add_argument("--longest", type=int, default=MOST, help="words of a text")
    return parser.parse_args()


@contextmanager
def watching(servers: list[Server]) -> Iterator[Callable[[], float]]:
    """Give a function: how many cores others than this process and these servers kept busy since."""
    before = _machine_seconds(servers)

    def others() -> float:
        wall, busy, own = (late - early for early, late in zip(before, _machine_seconds(servers), strict=True))
        return max(0.0, round((busy - own) / wall, 2))

    yield others


def _machine_seconds(servers: list[Server]) -> tuple[float, float, float]:
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    own = os.times()
    return time.perf_counter(), busy, own.user + own.system + sum(server.seconds() for server in servers)


def lone(embedder: Embedder, servers: list[Server], queries: int) -> Row:
    """Print and return the times of single queries, in ms."""
    connections = {server.name: Connection(server) for server in servers}
    asks: dict[str, Callable[[str], Any]] = {"library": embedder.encode}
    asks |= {name: partial(_embed, connection) for name, connection in connections.items()}
    texts = [f"Which planet is known as the red one, number {100 + i}?" for i in range(queries + 3)]
    times: dict[str, list[float]] = {name: [] for name in asks}
    with watching(servers) as others:
        for turn, text in enumerate(texts):
            first = turn % len(asks)
            names = [*asks][first:] + [*asks][:first]
            for name in names:
                begin = time.perf_counter()
                asks[name](text)
                times[name].append(1000 * (time.perf_counter() - begin))
        busy = others()
    times = {name: some[3:] for name, some in times.items()}  # the first are for warming up
    tokens = int(embedder.count_tokens(texts[0])[0])
    print(f"\n{queries} lone queries of {tokens} tokens, ms; others kept {busy:.2f} cores busy\n")
    print(
        "| | median | 5% to 95% | over the library: median of paired differences | 5% to 95% |\n|---|---|---|---|---|"
    )
    for name, some in times.items():
        over = [theirs - mine for theirs, mine in zip(some, times["library"], strict=True)]
        cells = f"{statistics.median(over):+.2f} | {_range(over)}" if name != "library" else " | "
        print(f"| {name} | {statistics.median(some):.2f} | {_range(some)} | {cells} |", flush=True)
    for connection in connections.values():
        connection.close()
    return {"tokens": tokens, "others": busy, "ms": times}


def _embed(connection: Connection, text: str) -> None:
    connection.embed([text])


def _range(values: list[float]) -> str:
    low, high = np.percentile(values, (5, 95))
    return f"{low:.2f} to {high:.2f}"


class Library:
    """The same texts in the same order by the library, and what they have to become."""

    def __init__(self, embedder: Embedder, texts: list[str]) -> None:
        self.texts, self._embedder = texts, embedder
        self.tokens = embedder.count_tokens(texts)
        self._known: dict[int, Vectors] = {}

    def wanted(self, rows: list[int]) -> Vectors:
        """[rows, dim] float32."""
        missing = [row for row in rows if row not in self._known]
        if missing:
            self._known |= zip(missing, self._embedder.encode([self.texts[row] for row in missing]), strict=True)
        return np.stack([self._known[row] for row in rows])

    def run(self, seconds: float) -> Row:
        """Encode for so long; return the pace."""
        begin, done = time.perf_counter(), 0
        while (took := time.perf_counter() - begin) < seconds:
            rows = [(done + i) % len(self.texts) for i in range(CHUNK)]
            vectors = self._embedder.encode([self.texts[row] for row in rows])
            self._known |= zip(rows, vectors, strict=True)
            done += CHUNK
        tokens = int(self.tokens[np.arange(done) % len(self.texts)].sum())
        return {"who": "library", "vectors_s": done / took, "tokens_s": tokens / took}


def together(library: Library, servers: list[Server], options: argparse.Namespace, turn: int) -> list[Row]:
    """One round: the library and each server, one after the other, beginning with another one each time."""
    rows: list[Row] = []
    wrongs: dict[int, Count] = {}  # by their row
    whos: list[Server | None] = [None, *servers]
    first = turn % len(whos)
    for who in whos[first:] + whos[:first]:
        with watching(servers) as others:
            if who is None:
                row = library.run(options.seconds)
            else:
                row, wrongs[len(rows)] = (loaded if options.wrk else crowded)(library, who, options)
            rows.append(row | {"round": turn + 1, "others": others()})
    for at, wrong in wrongs.items():
        rows[at]["wrong"] = wrong()
    mine = next(row for row in rows if row["who"] == "library")
    print(f"\nround {turn + 1}: {options.connections} connections, {options.seconds:g} s each\n")
    print(f"{HEAD}\n{'|---' * (HEAD.count('|') - 1)}|")
    for row in rows:
        print(_line(row, row["tokens_s"] / mine["tokens_s"]), flush=True)
    return rows


def crowded(library: Library, server: Server, options: argparse.Namespace) -> tuple[Row, Count]:
    """Ask a server by many connections; return the pace, the times and the memory, and what counts the wrong texts."""
    before = server.memory()
    found = Crowd(server, library.texts)
    found.ask(options.connections, options.seconds)
    tokens, seconds = int(library.tokens[found.rows].sum()), max(found.seconds, 1e-9)
    p50, p99 = np.percentile(found.times or [np.nan], (50, 99)) * 1000
    pace = {"vectors_s": len(found.rows) / seconds, "tokens_s": tokens / seconds}
    pace |= {"p50_ms": float(p50), "p99_ms": float(p99), "seconds": seconds}
    count = {"requests": len(found.times), "texts": len(found.rows), "differ": found.differ, "refused": found.refused}
    row = {"who": server.name, **pace, **count, "before": before, "after": server.memory()}
    return row, lambda: found.wrong(library.wanted, exact=server.ours)


def loaded(library: Library, server: Server, options: argparse.Namespace) -> tuple[Row, Count]:
    """The same by wrk."""
    before = server.memory()
    row = load(server, library.texts, library.tokens, library.wanted, options.connections, options.seconds)
    refused = {name: row[name] for name in ("refused", "broken", "lost") if row[name]}
    row |= {"who": server.name, "refused": refused, "differ": 0, "before": before, "after": server.memory()}
    row |= {f"{name}_s": row[key] / row["seconds"] for name, key in (("vectors", "texts"), ("tokens", "tokens"))}
    return row, lambda: row["wrong"] if server.ours else None


def _line(row: Row, ratio: float) -> str:
    cells = [row["who"], f"{row['vectors_s']:.1f}", f"{row['tokens_s']:.0f}", f"{ratio:.2f}"]
    if "requests" in row:
        refused = ", ".join(f"{count} by {status}" for status, count in row["refused"].items()) or "0"
        memory = [row["before"].get("resident"), row["after"].get("resident"), row["after"].get("most")]
        told = ", ".join(f"{value:.0f}" for value in memory) if None not in memory else ""
        wrong = "not compared" if row["wrong"] is None else f"{row['wrong'] + row['differ']} of {row['texts']}"
        cells += [f"{row['p50_ms']:.0f}, {row['p99_ms']:.0f}", wrong, refused, told]
    else:
        cells += [""] * 4
    return f"| {' | '.join(cells)} | {row['others']:.2f} |"


def mapped(library: Library, server: Server, options: argparse.Namespace) -> list[Row]:
    """Have a map made, and ask once more; print and return the memory."""
    connection = Connection(server)
    rows: list[Row] = [{"when": "after the crowds", **server.memory()}]
    begin = time.perf_counter()
    while (answer := json.loads(connection.post("/gemlet/map", {})))["map"] is None:
        if answer["progress"]["state"] == "failed":
            raise SystemExit(f"there is no map: {answer['progress']['error']}")
        time.sleep(0.2)
    rows.append({"when": f"after a map, made in {time.perf_counter() - begin:.1f} s", **server.memory()})
    row, wrongs = crowded(library, server, options)
    wrong = (wrongs() or 0) + row["differ"]
    rows.append({"when": f"after another crowd, {wrong} of {row['texts']} texts wrong", **row["after"]})
    print("\n| | MB | most so far |\n|---|---|---|")
    for row in rows:
        print(f"| {row['when']} | {row['resident']:.0f} | {row['most']:.0f} |", flush=True)
    connection.close()
    return rows


if __name__ == "__main__":
    main()
