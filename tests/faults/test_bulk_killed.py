"""A bulk run on Ray is killed twice, a worker, then the driver: every row is there once, with the plain run's bits.

And what the command line says when a disk is full, on Ctrl-C, and when nothing can be done.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from killing import ray_workers_of, until, until_gone

ROWS, SHARD_ROWS = 4_800, 200
EMPTY = 4  # rows without text
WORDS = ["apple", "pear", "plum", "fig", "grape", "cherry", "peach", "melon", "lemon", "lime", "orange", "quince"]

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'gemlet[ray]'")
needs_proc = pytest.mark.skipif(not Path("/proc").exists(), reason="finds Ray's workers in /proc, which Linux has")


class Bulk:
    """`gemlet bulk` on the tiny model, over rows that take some seconds."""

    def __init__(self, checkpoint: Path, cache: Path, rows: Path) -> None:
        self.rows = rows
        self._checkpoint = checkpoint
        self._env = {**os.environ, "GEMLET_CACHE": str(cache)}

    def start(self, out: Path, *options: str, **more: Any) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "gemlet", "bulk", str(self.rows), str(out), "--json"]
        command += ["--model", str(self._checkpoint), "--shard-rows", str(SHARD_ROWS), *options]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=self._env, **more)

    def run(self, out: Path, *options: str, **more: object) -> tuple[int, str, str]:
        process = self.start(out, *options, **more)
        stdout, stderr = process.communicate(timeout=300)
        assert "Traceback" not in stderr, stderr
        return process.returncode, stdout, stderr


@pytest.fixture(scope="module")
def bulk(tiny_checkpoint: Path, own_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Bulk:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    chance = random.Random(0)
    with path.open("w") as file:
        for i in range(ROWS):
            text = "" if i % 1000 == 999 else f"Row {i}: {' '.join(chance.choices(WORDS, k=chance.randint(1, 25)))}."
            file.write(json.dumps({"id": i, "text": text}) + "\n")
    return Bulk(tiny_checkpoint, own_cache, path)


@pytest.fixture(scope="module")
def plain(bulk: Bulk, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run in one process writes."""
    out = tmp_path_factory.mktemp("plain") / "out"
    code, stdout, _ = bulk.run(out)
    assert code == 0
    assert json.loads(stdout)["counts"]["vectors"] == ROWS - EMPTY
    assert pq.read_table(out, columns=["id"]).column("id").to_pylist() == [i for i in range(ROWS) if i % 1000 != 999]
    return files_of(out)


def files_of(out: Path) -> dict[str, bytes]:
    """Shards and bad rows."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("part-*")}


def shards_in(out: Path) -> int:
    return len(list(out.glob("part-*.parquet")))


@needs_ray
@needs_proc
def test_killed_twice_on_ray_every_row_is_there_once_with_the_same_bits(
    bulk: Bulk, plain: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    all_shards = ROWS // SHARD_ROWS
    process = bulk.start(out, "--ray", "--workers", "2")
    until(lambda: shards_in(out) >= 2, process)
    workers = ray_workers_of(process.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    at_kill = shards_in(out)
    until(lambda: shards_in(out) >= at_kill + 3, process)  # the run goes on
    assert shards_in(out) < all_shards
    workers = ray_workers_of(process.pid)
    process.kill()
    process.communicate()
    left = shards_in(out)
    assert 0 < left < all_shards
    until_gone(workers)
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}
    code, stdout, stderr = bulk.run(out, "--ray", "--workers", "2")
    assert code == 0, stderr
    report = json.loads(stdout)
    assert report["before"] == len(kept)
    assert (report["shards"], report["counts"]["rows"], report["counts"]["bad"]) == (all_shards, ROWS, EMPTY)
    assert all((out / name).stat().st_mtime_ns == time_ns for name, time_ns in kept.items()), "a shard was made twice"
    assert files_of(out) == plain
    assert {path.name for path in out.iterdir() if path.is_file()} == {
        *(name for name in plain if "/" not in name),
        "_lock",
        "_manifest.json",
    }


@needs_ray
def test_ray_data_gets_the_same_bits(bulk: Bulk, tiny_checkpoint: Path, tmp_path: Path) -> None:
    code = f"""
import numpy, ray, ray.data
from gemlet import Embedder
from gemlet.bulk import EmbedBatches
ray.init(include_dashboard=False, logging_level="ERROR", log_to_driver=False, object_store_memory=100 << 20)
ray.data.DataContext.get_current().enable_progress_bars = False
texts = [f"text number {{i}} of some" for i in range(40)]
data = ray.data.from_items([{{"n": i, "text": text}} for i, text in enumerate(texts)])
options = {{"model": {str(tiny_checkpoint)!r}, "vector": "v"}}
done = data.map_batches(
    EmbedBatches, fn_constructor_kwargs=options, batch_format="pyarrow", batch_size=7,
    compute=ray.data.ActorPoolStrategy(size=2), num_cpus=1,
)
rows = sorted(done.take_all(), key=lambda row: row["n"])
expected = Embedder({str(tiny_checkpoint)!r}).encode_document(texts)
print([numpy.float32(row["v"]).tobytes() for row in rows] == [vector.tobytes() for vector in expected])
"""
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=env)
    assert done.stdout.strip().endswith("True"), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="has no limits of that kind")
def test_a_disk_that_fills_up_ends_the_run_with_one_line_and_keeps_what_is_finished(
    bulk: Bulk, plain: dict[str, bytes], tmp_path: Path
) -> None:
    """A limit on the size of a file stands for the disk: the system's answer is of the same kind."""
    out = tmp_path / "out"
    sizes = sorted(len(content) for content in plain.values())
    limit = sizes[-3]  # two shards are larger
    code, stdout, stderr = bulk.run(out, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert (code, stdout) == (1, "")
    (line,) = stderr.splitlines()
    assert line.startswith(f"gemlet: cannot write {out}: there is no room left on the disk: make room")
    assert "run the same command again: finished files stay" in line
    found = files_of(out)
    assert 0 < len(found) < len(plain)
    assert all(plain[name] == content for name, content in found.items())
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert bulk.run(out)[0] == 0
    assert files_of(out) == plain


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGINT to send")
@pytest.mark.parametrize("options", [(), pytest.param(("--ray", "--workers", "1"), marks=needs_ray)])
def test_ctrl_c_leaves_what_is_finished(
    bulk: Bulk, plain: dict[str, bytes], tmp_path: Path, options: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    process = bulk.start(out, *options)
    until(lambda: shards_in(out) >= 1, process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert stderr.splitlines()[-1] == "gemlet: interrupted: finished files stay, and the same command goes on"
    assert "Traceback" not in stderr
    found = files_of(out)
    assert all(plain[name] == content for name, content in found.items())
    if not options:  # Ray's workers are killed: what they leave, the next run clears away
        assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert bulk.run(out)[0] == 0
    assert files_of(out) == plain
