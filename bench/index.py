"""What indexing costs on this machine: beside the engine alone, a run over unchanged files, memory.

    python bench/index.py speed FOLDER [--rounds 3]    tokens/s of `Index.update`, and of the engine on its passages
    python bench/index.py unchanged [--files 10000]    seconds of a run in which no file has changed
    python bench/index.py memory [--passages 100000]   peak of resident memory while so many passages are indexed

Each figure is of a fresh process. In `speed` the two take turns, so that another process's load meets both; CPU seconds
are told too. In `memory` and `unchanged` vectors are random after the first few: what is measured is everything else.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REAL_CALLS = 3  # of the engine, so that its memory is there

CHILD = """
import json, sys
sys.path.insert(0, sys.argv[2])
import index
print(json.dumps(getattr(index, "run_" + sys.argv[1])(*sys.argv[3:])))
"""


def fresh(what: str, *arguments: object) -> dict[str, Any]:
    """What run_WHAT returns in a process of its own."""
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", CHILD, what, here, *map(str, arguments)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def usage(begin: float, **facts: Any) -> dict[str, Any]:
    """Seconds, CPU seconds and the peak of resident memory of this process."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    peak = spent.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    return {**facts, "seconds": time.perf_counter() - begin, "cpu": spent.ru_utime + spent.ru_stime, "peak_mb": peak}


def run_engine(model: str, index: str) -> dict[str, Any]:
    """Embed the passages of an index in one call, as a bare caller of the engine would."""
    from gemlet import Embedder
    from gemlet.store import Store

    with Store(index) as store:
        passages = [p for f in store.files() for p in store.passages_of(f.path)]
    embedder = Embedder(model, offline=True)
    embedder.encode("warm")
    begin = time.perf_counter()
    spent = resource.getrusage(resource.RUSAGE_SELF)
    titles = [p.title for p in passages]
    _, read = embedder.encode_document([p.text for p in passages], titles=titles, return_usage=True)
    found = usage(begin, tokens=int(read.tokens.sum()))
    return {**found, "cpu": found["cpu"] - spent.ru_utime - spent.ru_stime}


def run_update(model: str, index: str, *folders: str) -> dict[str, Any]:
    """Index folders, the model loaded before."""
    from gemlet import Embedder
    from gemlet.index import Index

    embedder = Embedder(model, offline=True)
    embedder.encode("warm")
    with Index(index, model=embedder) as opened:
        begin = time.perf_counter()
        spent = resource.getrusage(resource.RUSAGE_SELF)
        report = opened.update(folders)
        found = usage(begin, tokens=report.tokens, passages=report.passages)
    return {**found, "cpu": found["cpu"] - spent.ru_utime - spent.ru_stime}


def run_pretended(model: str, index: str, *folders: str) -> dict[str, Any]:
    """Index folders with random vectors after the first few calls."""
    import numpy as np

    from gemlet import Embedder
    from gemlet.embedder import Usage
    from gemlet.index import Index

    calls = 0
    real = Embedder.encode_document
    chance = np.random.default_rng(0)

    def pretend(self: Embedder, texts: list[str], **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= REAL_CALLS:
            return real(self, texts, **options)
        vectors = chance.standard_normal((len(texts), options["truncate_dim"]), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        tokens = np.full(len(texts), 300)
        return vectors, Usage(tokens, tokens * 0)

    Embedder.encode_document = pretend  # type: ignore[assignment]
    begin = time.perf_counter()
    with Index(index, model=model, offline=True) as opened:
        report = opened.update(folders)
        return usage(begin, passages=report.passages, unchanged=report.unchanged)


def write_texts(folder: Path, files: int, paragraphs: int) -> None:
    """Files of so many paragraphs of 60 words, 100 in a folder."""
    chance = random.Random(0)
    words = [
        f"{a}{b}" for a in ("ap", "be", "cor", "dun", "el", "fi") for b in ("ple", "ran", "tis", "lo", "mek", "sun")
    ]
    for number in range(files):
        path = folder / f"d{number // 100:04}" / f"f{number % 100:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = [f"File {number}, part {i}: {' '.join(chance.choices(words, k=60))}." for i in range(paragraphs)]
        path.write_text("\n\n".join(texts))
        os.utime(path, (1_000_000_000, 1_000_000_000))


def speed(model: str, folders: list[str], rounds: int) -> None:
    """The engine alone and the index, in turn."""
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch) / "index.db"
        for number in range(rounds):
            index.unlink(missing_ok=True)
            for name, found in (
                ("index", fresh("update", model, index, *folders)),
                ("engine", fresh("engine", model, index)),
            ):
                rate, cost = found["tokens"] / found["seconds"], 1e3 * found["cpu"] / found["tokens"]
                print(
                    f"{number + 1} {name:7} {found['tokens']:,} tokens, {rate:8,.1f} tokens/s, {cost:.3f} CPU ms/token"
                )


def unchanged(model: str, files: int) -> None:
    """A second run."""
    with tempfile.TemporaryDirectory() as scratch:
        write_texts(Path(scratch) / "docs", files, 1)
        index = Path(scratch) / "index.db"
        fresh("pretended", model, index, Path(scratch) / "docs")
        for _ in range(3):
            found = fresh("pretended", model, index, Path(scratch) / "docs")
            cost = f"{found['seconds']:.2f} s, {found['cpu']:.2f} CPU s with Python's start"
            print(f"{found['unchanged']:,} files unchanged: {cost}")


def memory(model: str, passages: int) -> None:
    """A first run, over files of 40 passages."""
    with tempfile.TemporaryDirectory() as scratch:
        write_texts(Path(scratch) / "docs", max(1, passages // 40), 40 * 3)
        found = fresh("pretended", model, Path(scratch) / "index.db", Path(scratch) / "docs")
        size = shutil.disk_usage(scratch).used and (Path(scratch) / "index.db").stat().st_size
        print(f"{found['passages']:,} passages: {found['peak_mb']:.0f} MB at the peak, index of {size / 1e6:.0f} MB")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "unchanged", "memory"])
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--model", default="google/embeddinggemma-300m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--passages", type=int, default=100_000)
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.model, given.folders, given.rounds)
    elif given.what == "unchanged":
        unchanged(given.model, given.files)
    else:
        memory(given.model, given.passages)


if __name__ == "__main__":
    main()
