"""A bulk run into a store is killed again and again, while it embeds and while it loads: every row is there once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from killing import ray_workers_of, until, until_gone
from storing import Postgres

from gemlet import stores
from gemlet.errors import StoreError
from gemlet.scan import quantise

ROWS, SHARD_ROWS = 3_000, 150
EMPTY = 3  # rows without text


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    with path.open("w") as file:
        for i in range(ROWS):
            text = (
                "" if i % 1000 == 999 else f"Row {i}: {' '.join(['apple', 'pear', 'plum'][: 1 + i % 3] * (1 + i % 5))}."
            )
            file.write(json.dumps({"id": i, "text": text}) + "\n")
    return path


class Bulk:
    """`gemlet bulk` on the tiny model, into one store."""

    def __init__(self, checkpoint: Path, rows: Path, shards: Path, url: str) -> None:
        self.shards, self.url = shards, url
        self._command = [
            sys.executable,
            "-m",
            "gemlet",
            "bulk",
            str(rows),
            "--to",
            url,
            "--shards",
            str(shards),
            "--json",
        ]
        self._command += ["--model", str(checkpoint), "--shard-rows", str(SHARD_ROWS)]

    def start(self, *options: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen([*self._command, *options], stdout=pipe, stderr=pipe, text=True)

    def files(self) -> int:
        """Shards that are finished."""
        return len(list(self.shards.glob("part-*.parquet")))

    def stored(self) -> int:
        """Rows in the store."""
        try:
            with stores.open(self.url) as store:
                return store.counts()["files"]
        except StoreError:  # SQLite's file is being made just now
            return 0

    def has_more_than(self, rows: int) -> Callable[[], bool]:
        """A question to wait with."""
        return lambda: self.stored() > rows

    def ended(self, *options: str) -> Any:
        """What a run that is left alone reports."""
        process = self.start(*options)
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
        return json.loads(stdout)


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def check_whole(bulk: Bulk, rows: Path) -> None:
    """Every good row is in the store once, with the vector that its shard has; the bad ones are told."""
    table = pq.read_table(bulk.shards, columns=["place", "text", "vector"])
    places = table["place"].to_pylist()
    assert places == [f"{rows}:{i + 1}" for i in range(ROWS) if i % 1000 != 999]
    vectors = np.stack(table["vector"].to_numpy(zero_copy_only=False)).astype(np.float32)
    codes, scales = quantise(vectors)
    with stores.open(bulk.url) as store:
        assert [file.path for file in store.files()] == sorted(places)
        assert store.counts()["files"] == ROWS - EMPTY
        for i in range(0, len(places), 97):
            (passage,) = store.passages_of(places[i])
            assert passage.text == table["text"][i].as_py()
            found_scales, found = store.vectors([passage.id])
            assert np.abs(found[0] * found_scales[0] - codes[i] * scales[i]).max() < 0.01
    lines = [line for path in sorted((bulk.shards / "_bad").iterdir()) for line in path.read_text().splitlines()]
    bad = [json.loads(line)["place"] for line in lines]
    assert bad == [f"{rows}:{i + 1}" for i in range(999, ROWS, 1000)]


@pytest.mark.parametrize("kind", ["sqlite", "pgvector"])
def test_killed_while_it_embeds_and_while_it_loads(
    kind: str, rows: Path, tiny_checkpoint: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = str(tmp_path / "rows.db")
    if kind == "pgvector":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.url()
    bulk = Bulk(tiny_checkpoint, rows, tmp_path / "shards", url)
    process = bulk.start()
    until(lambda: bulk.files() >= 2, process)
    kill(process)
    assert 2 <= bulk.files() < ROWS // SHARD_ROWS
    assert bulk.stored() == 0
    for least in (1, ROWS // 3):
        process = bulk.start()
        until(bulk.has_more_than(least), process)
        kill(process)
        assert least < bulk.stored() < ROWS - EMPTY
    report = bulk.ended()
    assert report["before"] == report["shards"] == ROWS // SHARD_ROWS
    assert report["counts"]["bad"] == EMPTY
    assert report["stored"]["rows"] + report["stored"]["before"] == ROWS - EMPTY
    check_whole(bulk, rows)
    assert bulk.ended()["stored"]["rows"] == 0


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'gemlet[ray]'")
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds Ray's workers in /proc, which Linux has")
def test_a_worker_and_then_the_driver_are_killed(rows: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    bulk = Bulk(tiny_checkpoint, rows, tmp_path / "shards", str(tmp_path / "rows.db"))
    process = bulk.start("--ray", "--workers", "1")
    until(lambda: bulk.files() >= 2, process)
    os.kill(ray_workers_of(process.pid)[0], signal.SIGKILL)
    until(lambda: bulk.stored() > 0, process)  # the run goes on, to the store
    workers = ray_workers_of(process.pid)
    kill(process)
    until_gone(workers)
    assert bulk.stored() < ROWS - EMPTY
    bulk.ended("--ray", "--workers", "1")
    check_whole(bulk, rows)
