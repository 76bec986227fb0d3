"""Whole `gemlet search` on a large index: exec to output, and peak memory.   (synthetic passages → figures)

The passages have words drawn as a language draws them (a few everywhere, most nowhere else), and vectors in clusters;
they are written to the store as indexing writes them, without a model. Queries are embedded by the real one, in a fresh
process each time.

Usage: python bench/search.py [--passages 100000] [--rounds 7] [--index FILE, kept and used again]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gemlet.folders import Stamp
from gemlet.index import Index
from gemlet.passages import Passage
from gemlet.scan import quantise
from gemlet.store import Entry, StoreWriter
from gemlet.vectors import normalize

WORDS = 50_000
LENGTH = 90  # words of a passage
CLUSTERS = 1000
BATCH = 1000

QUERIES = {
    "hybrid": ["where do we say what the w12 of the w700 costs"],
    "a common word": ["w1"],
    "a rare name": ["w49999"],
    "semantic": ["--semantic", "where do we say what the w12 of the w700 costs"],
    "keyword": ["--keyword", "where do we say what the w12 of the w700 costs"],
    "one folder": ["--path", "*7.txt", "where do we say what the w12 of the w700 costs"],
}


def fill(path: Path, passages: int, model: str) -> None:
    """Make an index with so many passages, one a document."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "first.txt").write_text("A first document, so that the index knows its model.\n")
        with Index(path, model=model, offline=True) as index:
            index.update([folder])
            dim = index.dim
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLUSTERS, dim)).astype(np.float32)
    with StoreWriter(path) as store:
        for begin in range(0, passages, BATCH):
            noise = rng.standard_normal((BATCH, dim)).astype(np.float32)
            codes, scales = quantise(normalize(centres[rng.integers(0, CLUSTERS, BATCH)] + noise))
            drawn = np.minimum(rng.zipf(1.2, (BATCH, LENGTH)), WORDS)
            with store.transaction():
                for row in range(BATCH):
                    name = f"/d/{begin + row}.txt"
                    text = " ".join(f"w{number}" for number in drawn[row]) + "."
                    passage = Passage(text, f"Title {begin + row}", 1, 1, None)
                    hash_ = name.encode()
                    entry = Entry(hash_, "text", None, None, [passage], scales[row : row + 1], codes[row : row + 1])
                    store.link(Stamp(name.encode(), 1, 1, 1), store.add_document(entry))


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds from exec to the end of the output, and peak memory in MB."""
    script = (
        "import resource, runpy, sys; sys.argv = ['gemlet', *sys.argv[1:]]\n"
        "try: runpy.run_module('gemlet', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gemlet", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - begin
    done = subprocess.run([sys.executable, "-c", script, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    scale = 1024 if sys.platform != "darwin" else 1024 * 1024
    return seconds, int(done.stderr.split()[-1]) / scale


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--model", default="google/embeddinggemma-300m")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.index or Path(folder) / "index.db"
        if not path.exists():
            begin = time.perf_counter()
            fill(path, options.passages, options.model)
            print(f"made in {time.perf_counter() - begin:.0f} s, {path.stat().st_size / 1e6:.0f} MB", flush=True)
        rows = {}
        for name, query in QUERIES.items():
            command = ["search", "--offline", "--index", str(path), "--min", "0", *query]
            timed(command)  # the first writes the scan, and brings the files into memory
            rounds = [timed(command) for _ in range(options.rounds)]
            times = [seconds for seconds, _ in rounds]
            peak = max(memory for _, memory in rounds)
            rows[name] = {"seconds": times, "peak_mb": peak}
            print(
                f"{name:15} {statistics.median(times):6.3f} s ({min(times):.3f} .. {max(times):.3f})  {peak:5.0f} MB",
                flush=True,
            )
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
