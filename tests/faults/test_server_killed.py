"""kill -9 of a server while another process writes its index: the writer goes on, nothing is lost, the next one serves.

$GEMLET_KILLS says how often; a few times by default, 200 before a release.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from indexing import CommandLine, state_of

KILLS = max(3, int(os.environ.get("GEMLET_KILLS", "8")) // 4)

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("msgspec", "starlette", "uvicorn", "httptools", "prometheus_client"))),
    reason="needs the extra `server`",
)


class Server:
    """`gemlet serve` over an index, asked by three clients as long as it lives."""

    def __init__(self, checkpoint: Path, index: Path, env: dict[str, str]) -> None:
        command = [sys.executable, "-m", "gemlet", "serve", "--model", str(checkpoint), "--index", str(index)]
        self._process = subprocess.Popen(
            [*command, "--port", "0", "--quiet", "--cache-mb", "0"], stderr=subprocess.PIPE, text=True, env=env
        )
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        assert " on http://" in line, line
        self._url = line.split(" on ")[1].split(",")[0]
        self.answers = 0
        self._clients = [
            threading.Thread(target=self._ask_on, args=(mode,)) for mode in ("hybrid", "semantic", "keyword")
        ]

    def ask_on(self) -> None:
        """Let the clients ask until there is nobody to answer."""
        for client in self._clients:
            client.start()

    def _ask_on(self, mode: str) -> None:
        while True:
            try:
                self.search("apple", mode)
            except OSError:
                return
            self.answers += 1

    def search(self, query: str, mode: str = "keyword", k: int = 100) -> list[str]:
        """The texts that are found."""
        asked = {"query": query, "mode": mode, "k": k, "min_probability": 0}
        with urlopen(Request(f"{self._url}/gemlet/search", json.dumps(asked).encode()), timeout=60) as reply:
            return [hit["text"] for hit in json.load(reply)["hits"]]

    def kill(self) -> None:
        """As a machine that runs out of memory does."""
        self._process.kill()
        self._process.communicate()
        for client in self._clients:
            if client.ident is not None:
                client.join()


def test_a_killed_server_harms_no_index_that_is_being_written(
    gemlet: CommandLine, tiny_checkpoint: Path, corpus: Path, tmp_path: Path
) -> None:
    docs, path, chance = tmp_path / "docs", tmp_path / "index.db", random.Random(2)
    shutil.copytree(corpus, docs)
    begin = time.monotonic()
    assert gemlet.run(docs, "--index", path)[0] == 0
    lasts = time.monotonic() - begin
    answers = 0
    for kill in range(KILLS):
        server = Server(tiny_checkpoint, path, gemlet.env)
        for file in docs.iterdir():
            if chance.random() < 0.5:
                file.write_text(f"Change {kill}. {file.read_text()}")
        if kill % 2:
            path.with_name("index.db.scan").unlink(missing_ok=True)  # the server writes it anew
        writer = gemlet.start(docs, "--index", path)
        server.ask_on()
        time.sleep(chance.uniform(0, lasts))
        server.kill()
        answers += server.answers
        _, err = writer.communicate(timeout=300)
        assert writer.returncode == 0, err
        assert gemlet.run(docs, "--index", tmp_path / f"fresh{kill}.db")[0] == 0
        assert state_of(path) == state_of(tmp_path / f"fresh{kill}.db")
    assert answers > 0
    server = Server(tiny_checkpoint, path, gemlet.env)
    try:
        changed = [file for file in docs.iterdir() if f"Change {KILLS - 1}." in file.read_text()]
        found = server.search(f'"Change {KILLS - 1}"')
        assert len(found) == len(changed) > 0
    finally:
        server.kill()
