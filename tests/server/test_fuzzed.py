"""Requests that nobody sends, thousands of them: no bug shows, no request hangs, no memory is kept.

$GEMLET_FUZZ says how many; 500 by default, 50000 before a release.
"""

import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path

import numpy as np
import pytest
from fuzzing import Maker, Request

from gemlet import Embedder
from gemlet.index import Index

LOGGER = logging.getLogger(__name__)
REQUESTS = int(os.environ.get("GEMLET_FUZZ", "500"))
CONNECTIONS = 8
PATIENCE = 60.0  # seconds after which a request hangs
GROWTH_MB = 24  # of caches that fill and of malloc, once a fifth of the requests has been
BUGS = (424, 500)  # as the dialects answer them
NOTES = {
    "red.md": "# Planets\n\nMars is red. It is cold.",
    "blue.md": "The sea is blue. Ships go by.",
    "a.py": "def a():\n    pass\n",
}


class Running:
    """A server in a process of its own, and its log."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process, self._log = process, log
        while not (found := re.search(r" on http://127\.0\.0\.1:(\d+)", self.log)):
            assert process.poll() is None, self.log
        self.port = int(found[1])

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    @property
    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, json.dumps(body) if body is not None else None)
        reply = connection.getresponse()
        found = reply.read()
        connection.close()
        assert reply.status == 200, found
        return found


@pytest.fixture(scope="module")
def running(tiny: Embedder, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = tmp_path_factory.mktemp("fuzz")
    (place / "notes").mkdir()
    for name, text in NOTES.items():
        (place / "notes" / name).write_text(text)
    with Index(place / "notes.db", model=tiny) as index:
        index.update([place / "notes"])
    options = {
        "--model": tiny_checkpoint,
        "--name": "tiny",
        "--port": 0,
        "--index": place / "notes.db",
        "--cache-mb": 1,
    }
    words = [str(word) for option in options.items() for word in option]
    command = [sys.executable, "-m", "gemlet", "serve", *words]
    with (place / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield Running(process, place / "log")
        finally:
            process.terminate()
            process.wait(60)


class Line:
    """One client: what it sends, and what comes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self.statuses: Counter[int] = Counter()
        self.done: set[str] = set()
        self.bad: list[str] = []

    def send(self, number: int, request: Request) -> None:
        try:
            status = self._status(request)
        except TimeoutError:
            self.bad.append(f"{number} hangs: {request.sent[:300]!r}")
            self.close()
            return
        self.statuses[status] += 1
        if status in BUGS or (request.whole and not status):
            self.bad.append(f"{number} was answered by {status}: {request.sent[:300]!r}")
        if request.valid and status == 200:
            self.done.add(f"{request.method} {request.route}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _status(self, request: Request) -> int:
        """Of the first answer; 0 when the server hangs up, as it may at any time between two requests."""
        if request.whole and self._socket is not None and (status := self._once(self._socket, request)):
            return status
        self.close()
        fresh = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        return self._once(fresh, request)

    def _once(self, line: socket.socket, request: Request) -> int:
        self._socket = line
        try:
            line.sendall(request.sent)
            if not request.whole:
                line.shutdown(socket.SHUT_WR)
            with HTTPResponse(line, method=request.method) as reply:
                reply.begin()
                body = reply.read()
                if (reply.getheader("content-type") or "").startswith("application/json") and request.method != "HEAD":
                    json.loads(body)
                if not request.whole or reply.will_close:
                    self.close()
                return reply.status
        except TimeoutError:
            raise
        except (OSError, HTTPException):
            self.close()
            return 0


def attack(running: Running, maker: Maker, numbers: range) -> list[Line]:
    """Send the requests of these numbers, several at once."""
    lines = [Line(running.port) for _ in range(CONNECTIONS)]

    def go(line: Line, own: range) -> None:
        for number in own:
            line.send(number, maker.make(number))
        line.close()

    threads = [threading.Thread(target=go, args=(line, numbers[i::CONNECTIONS])) for i, line in enumerate(lines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return lines


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")
def test_requests_that_nobody_sends(running: Running, tiny: Embedder) -> None:
    maker = Maker(json.loads(running.ask("GET", "/openapi.json")))
    first = attack(running, maker, range(REQUESTS // 5))
    before = running.memory_mb
    lines = first + attack(running, maker, range(REQUESTS // 5, REQUESTS))
    after = running.memory_mb
    statuses = sum((line.statuses for line in lines), Counter[int]())
    bad = [told for line in lines for told in line.bad]
    LOGGER.info("%d requests: %s, %.0f to %.0f MB", statuses.total(), sorted(statuses.items()), before, after)
    assert bad == []
    assert statuses.total() == REQUESTS
    assert [line for line in running.log.splitlines() if not line.startswith('{"time"') or '"error"' in line][1:] == []
    assert after - before < GROWTH_MB
    assert statuses[200] > REQUESTS / 10
    assert len(set().union(*(line.done for line in lines))) >= len(maker.routes) - 4
    vector = np.array(json.loads(running.ask("POST", "/embed", {"inputs": "a heron"}))[0], np.float32)
    assert np.array_equal(vector, tiny.encode("a heron"))
