"""Servers that speak /v1/embeddings: ours in a process of its own, and any that runs.   (texts → vectors, seconds)"""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

TIMEOUT = 600.0  # seconds for an answer


@dataclass(frozen=True)
class Server:
    """One that runs.

    model  what it wants its model to be called; "" where it does not care
    pid    of the process whose memory is told; None where nobody said
    """

    name: str
    url: str
    model: str = ""
    pid: int | None = None

    def memory(self) -> dict[str, float]:
        """Resident memory in MB, mapped files included: now, and the most so far; nothing for an unknown process."""
        if self.pid is None:
            return {}
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return {name: int(status.split(f"{key}:")[1].split()[0]) / 1024 for name, key in _MEMORY.items()}

    def seconds(self) -> float:
        """Processor seconds of its process so far."""
        if self.pid is None:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_MEMORY = {"resident": "VmRSS", "most": "VmHWM"}


def rival(text: str) -> Server:
    """Read NAME=URL[,model=NAME][,pid=NUMBER]."""
    name, _, rest = text.partition("=")
    url, *options = rest.split(",")
    told = dict(option.split("=", 1) for option in options)
    return Server(name, url, told.get("model", ""), int(told["pid"]) if "pid" in told else None)


@contextmanager
def ours(model: str, threads: int | None, indexes: list[Path]) -> Iterator[Server]:
    """`gemlet serve` without a cache and without a log, until the block ends."""
    command = [sys.executable, "-m", "gemlet", "serve", "--offline", "--quiet", "--port", "0", "--cache-mb", "0"]
    command += ["--model", model, *(["--threads", str(threads)] if threads else [])]
    command += [word for index in indexes for word in ("--index", str(index))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        if " on http://" not in line:
            raise SystemExit(f"the server did not start: {line}{process.stderr.read()}")
        try:
            yield Server("gemlet", line.split(" on ")[1].split(",")[0], pid=process.pid)
        finally:
            process.terminate()


class Refused(Exception):
    """An answer that is no vectors; `status` is HTTP's."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        super().__init__(f"{status} {body[:200]!r}")


class Connection:
    """One keep-alive connection."""

    def __init__(self, server: Server) -> None:
        where = urlsplit(server.url)
        self._model, self._path = server.model, where.path.rstrip("/")
        self._http = HTTPConnection(where.hostname or "", where.port, timeout=TIMEOUT)
        try:
            self._http.connect()
        except ConnectionRefusedError:
            raise SystemExit(f"{server.name}: nothing listens at {server.url}") from None
        self._http.sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)

    def embed(self, texts: list[str]) -> tuple[Vectors, float]:
        """Return [texts, dim], and the seconds from the texts to the vectors. Raises Refused."""
        begin = time.perf_counter()
        asked: dict[str, Any] = {"input": texts, "encoding_format": "base64"}
        if self._model:
            asked["model"] = self._model
        body = self.post("/v1/embeddings", asked)
        data = sorted(json.loads(body)["data"], key=lambda one: one["index"])
        vectors = np.stack([_vector(one["embedding"]) for one in data])
        return vectors, time.perf_counter() - begin

    def post(self, path: str, asked: dict[str, Any]) -> bytes:
        """Return the body of an answer. Raises Refused."""
        self._http.request("POST", self._path + path, json.dumps(asked), {"content-type": "application/json"})
        reply = self._http.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise Refused(reply.status, body)
        return body

    def close(self) -> None:
        """Leave."""
        self._http.close()


def _vector(sent: str | list[float]) -> Vectors:
    """Some servers do not know base64."""
    return np.frombuffer(base64.b64decode(sent), "<f4") if isinstance(sent, str) else np.array(sent, np.float32)
