"""Bulk embedding: Ray's workers beside one process, their memory, and a run that is killed twice.

    python bench/bulk.py INPUT... --passages 200                    a minute
    python bench/bulk.py INPUT... --passages 100000 --workers 2     sentences: half an hour on two fast cores

INPUT is what `gemlet bulk` reads; the first rows of it are taken. Each figure is of fresh processes, one after the
other, on the same rows: one process with as many threads as all workers have; the workers; the workers again, one of
which is killed by SIGKILL after a third of the shards and their driver after two thirds, and the run that goes on. The
two outputs must be the plain run's, file by file.

A worker's memory is its proportional share (PSS: pages that several processes map count once, in parts) and what is its
own alone (USS), the highest of samples; Ray's own is that of an actor that does nothing. Needs Linux and gemlet[ray].
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemlet.bulk.columns import Columns, choose
from gemlet.bulk.cutting import cut
from gemlet.bulk.reading import read_blocks
from gemlet.bulk.settings import Job, Settings
from gemlet.bulk.sources import find_sources

_SAMPLE_S = 0.25
_IDLE = """
import os, ray, sys, time
ray.init(include_dashboard=False, logging_level="ERROR", log_to_driver=False, object_store_memory=100 << 20)

@ray.remote(num_cpus=1)
class Idle:
    def ready(self):
        return os.getpid()

idle = Idle.remote()
print(ray.get(idle.ready.remote()), flush=True)
sys.stdin.read()
"""


@dataclass
class Memory:
    """The highest of what was seen of processes, in bytes: PSS, USS and resident."""

    pss: int = 0
    uss: int = 0
    rss: int = 0

    def see(self, pid: int) -> None:
        """Look at a process."""
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            return
        found = {
            line.split(":")[0]: int(line.split()[1]) << 10 for line in text.splitlines()[1:] if line.endswith("kB")
        }
        self.pss = max(self.pss, found["Pss"])
        self.uss = max(self.uss, found["Private_Clean"] + found["Private_Dirty"])
        self.rss = max(self.rss, found["Rss"])


@dataclass
class Ran:
    """What a run told and took."""

    report: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0  # from exec to exit
    memory: Memory = field(default_factory=Memory)

    @property
    def rate(self) -> float:
        """Tokens per second while embedding: Ray's and the model's start are not in it."""
        return float(self.report["new"]["tokens"] / self.report["seconds"])


def take(inputs: list[str], text: str | None, passages: int, path: Path) -> int:
    """Write the first passages of the inputs as JSON lines; return how many there are."""
    sources = find_sources(inputs)
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for number, source in enumerate(sources):
            columns = Columns()
            columns.add(source)
            settings, schema, kept = choose(columns.schema(), Settings(text=text))
            job = Job("", sources, schema, kept, settings, {}, "")
            for shard in cut(number, source, 4096):
                for block in read_blocks(shard, job):
                    for one in block.texts:
                        file.write(json.dumps({"id": written, "text": one}, ensure_ascii=False) + "\n")
                        written += 1
                        if written == passages:
                            return written
    return written


class Bench:
    """Runs of `gemlet bulk` over the same rows."""

    def __init__(self, rows: Path, options: argparse.Namespace, shard_rows: int) -> None:
        self._command = [sys.executable, "-m", "gemlet", "bulk", str(rows)]
        self._options = ["--json", "--model", options.model, "--offline", "--shard-rows", str(shard_rows)]
        self._workers = options.workers
        self.threads = options.threads

    def start(self, out: Path, ray: bool) -> "subprocess.Popen[str]":
        """A run that may be killed."""
        own = ["--threads", str(self.threads * (1 if ray else self._workers))]
        own += ["--ray", "--workers", str(self._workers)] if ray else []
        command = [*self._command, str(out), *self._options, *own]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def run(self, out: Path, ray: bool) -> Ran:
        """A run that is left alone; its memory is that of the process, or of the worker that has most."""
        ran = Ran()
        begin = time.perf_counter()
        process = self.start(out, ray)
        with watched(process, ran.memory, ray):
            told, _ = process.communicate()
        ran.seconds = time.perf_counter() - begin
        if process.returncode:
            raise SystemExit(f"gemlet bulk ended with {process.returncode}")
        ran.report = json.loads(told)
        return ran

    def run_killed(self, out: Path, shards: int) -> tuple[int, Ran]:
        """(shards that were there when the driver was killed, the run that went on)."""
        process = self.start(out, ray=True)
        wait(lambda: finished(out) >= max(1, shards // 3), process)
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        wait(lambda: finished(out) >= max(2, 2 * shards // 3), process)
        workers = workers_of(process.pid)
        process.kill()
        process.communicate()
        while any(Path(f"/proc/{pid}/exe").exists() for pid in workers):
            time.sleep(0.1)
        left = finished(out)
        return left, self.run(out, ray=True)


@contextmanager
def watched(process: "subprocess.Popen[str]", memory: Memory, ray: bool) -> Iterator[None]:
    """Sample the memory of a process, or of the workers below it, while this lasts."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_SAMPLE_S):
            for pid in workers_of(process.pid) if ray else [process.pid]:
                memory.see(pid)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def workers_of(pid: int) -> list[int]:
    """Ray's processes below a process that make shards."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:
            continue
    below = {pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return sorted(one for one in below if names.get(one, b"").startswith(b"ray::Worker"))


def finished(out: Path) -> int:
    """Shards that are there."""
    return len(list(out.glob("part-*.parquet")))


def wait(true: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait until a running process has brought something about."""
    while not true():
        if process.poll() is not None:
            raise SystemExit("the run was over before it could be killed: take more --passages")
        time.sleep(0.01)


def rays_own() -> Memory:
    """Memory of an actor that does nothing."""
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        [sys.executable, "-c", _IDLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout
    memory = Memory()
    memory.see(int(process.stdout.readline()))
    process.communicate("")
    return memory


def files_of(out: Path) -> dict[str, bytes]:
    """Of an output: the shards and the bad rows."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("part-*"))}


def main() -> None:
    """Run all and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--text", help="Which column is the text.")
    parser.add_argument("--passages", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="Of a worker.")
    parser.add_argument("--model", default="google/embeddinggemma-300m")
    parser.add_argument("--no-kills", action="store_true", help="Leave the run that is killed out.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = take(options.inputs, options.text, options.passages, folder / "rows.jsonl")
        shard_rows = min(4096, max(1, count // 16))
        shards = -(-count // shard_rows)
        bench = Bench(folder / "rows.jsonl", options, shard_rows)
        own = rays_own()
        plain = bench.run(folder / "plain", ray=False)
        on_ray = bench.run(folder / "ray", ray=True)
        print(f"{count:,} passages, {plain.report['new']['tokens']:,} tokens, {shards} shards")
        tell(options.workers, options.threads, plain, on_ray, own)
        expected = files_of(folder / "plain")
        same = expected == files_of(folder / "ray")
        print(f"Ray's files are those of one process, byte for byte: {same}")
        if not options.no_kills:
            left, again = bench.run_killed(folder / "killed", shards)
            made = again.report["shards"] - again.report["before"]
            rows = again.report["counts"]["rows"]
            print(f"a worker killed, then the driver with {left} of {shards} shards done; the run after made {made}")
            killed = expected == files_of(folder / "killed")
            print(f"{rows:,} rows, and the same files, byte for byte: {killed}")
            same &= killed
        sys.exit(not same)


def tell(workers: int, threads: int, plain: Ran, on_ray: Ran, own: Memory) -> None:
    """Print rates and memory."""
    for what, ran in (
        (f"one process, {workers * threads} threads", plain),
        (f"Ray, {workers} workers of {threads} threads", on_ray),
    ):
        print(f"{what}: {ran.rate:,.0f} tokens/s while embedding, {ran.seconds:.1f} s from exec to exit")
    print(f"Ray's rate is {on_ray.rate / plain.rate:.2f} of that of one process")
    most = on_ray.memory
    beyond = Memory(most.pss - own.pss, most.uss - own.uss, most.rss - own.rss)
    for what, memory in (
        ("one process", plain.memory),
        ("an idle actor of Ray", own),
        ("the worker that took most", most),
        ("... beyond the idle actor", beyond),
    ):
        print(f"{what}: PSS {_mb(memory.pss)}, USS {_mb(memory.uss)}, RSS {_mb(memory.rss)}")


def _mb(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"


if __name__ == "__main__":
    main()
