"""More connections than there is room for; a server that is killed, and started again."""

import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from serve_process import ask, started

from gemlet import Embedder

WANTED = 10_000
OWN_FILES = 500  # that this process may need beside
TEXT = "A heron stands in the shallow water."


@pytest.fixture
def files() -> Iterator[int]:
    """As many sockets as this process may have, WANTED at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED + OWN_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED + OWN_FILES)
    if most < WANTED // 2:
        pytest.skip(f"a process may have {hard} files: ulimit -Hn {WANTED + OWN_FILES}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    yield most - OWN_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def serving(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    server, address = started(*arguments, "--quiet", "--threads", "1")
    with server:
        yield server, address
        server.terminate()


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def embedded(address: str) -> np.ndarray:
    [row] = ask(address, "/v1/embeddings", {"input": TEXT}, **{"content-type": "application/json"})["data"]
    return np.array(row["embedding"], np.float32)


def test_who_keeps_ten_thousand_connections_open_keeps_nobody_out(
    files: int, tiny: Embedder, tiny_checkpoint: Path
) -> None:
    """Half of them ask nothing; the others have had an answer, and stay."""
    with serving("--model", str(tiny_checkpoint), "--port", "0") as (server, address):
        where = (urlsplit(address).hostname, urlsplit(address).port)
        right = embedded(address)
        np.testing.assert_array_equal(right, tiny.encode(TEXT))
        before = resident_mb(server.pid)
        with ExitStack() as opened:
            for number in range(files):
                client = opened.enter_context(socket.create_connection(where, timeout=60))
                if number % 2:
                    client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert client.recv(4096).startswith(b"HTTP/1.1 200")
                if number % 1000 == 0:
                    np.testing.assert_array_equal(embedded(address), right)
            np.testing.assert_array_equal(embedded(address), right)
            assert 2000 < len(list(Path(f"/proc/{server.pid}/fd").iterdir())) < 2200
            assert resident_mb(server.pid) - before < 60  # 2,048 connections of 12 KB, and what Python keeps
        np.testing.assert_array_equal(embedded(address), right)


def test_a_killed_server_starts_again_at_its_address(tiny: Embedder, tiny_checkpoint: Path) -> None:
    with serving("--model", str(tiny_checkpoint), "--port", "0") as (server, address):
        kept = HTTPConnection("127.0.0.1", urlsplit(address).port, timeout=60)
        kept.request("GET", "/health")
        assert kept.getresponse().read() == b""
        server.kill()
        assert server.wait(60) == -signal.SIGKILL
    kept.sock.settimeout(60)
    assert kept.sock.recv(1) == b""  # the system ended it
    kept.close()
    port = str(urlsplit(address).port)
    with serving("--model", str(tiny_checkpoint), "--port", port) as (_, again):
        assert again == address
        np.testing.assert_array_equal(embedded(again), tiny.encode(TEXT))
