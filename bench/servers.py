"""Servers that speak /v1/embeddings: ours in a process of its own, and any that runs.   (texts → vectors, seconds)"""

import base64
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httptools
import msgspec
import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

OURS = "gemlet"
PATH = "/v1/embeddings"
TIMEOUT = 600.0  # seconds for an answer
_PIECE = 1 << 20


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

    @property
    def ours(self) -> bool:
        """Whether its answers must have the library's bits."""
        return self.name == OURS

    def asked(self, texts: list[str]) -> dict[str, Any]:
        """The body of a request."""
        body: dict[str, Any] = {"input": texts, "encoding_format": "base64"}
        return body | {"model": self.model} if self.model else body

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
            yield Server(OURS, line.split(" on ")[1].split(",")[0], pid=process.pid)
        finally:
            process.terminate()


class Refused(Exception):
    """An answer that is no vectors; `status` is HTTP's."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        super().__init__(f"{status} {body[:200]!r}")


class Connection:
    """One keep-alive connection, as lean as a load generator's: what a client costs is no server's."""

    def __init__(self, server: Server) -> None:
        self._server, self._where = server, urlsplit(server.url)
        self._path = self._where.path.rstrip("/")
        self._connect()

    def embed(self, texts: list[str]) -> tuple[Vectors, float]:
        """Return [texts, dim], and the seconds from the texts to the vectors. Raises Refused, OSError."""
        begin = time.perf_counter()
        body = self.post(PATH, self._server.asked(texts))
        data = sorted(msgspec.json.decode(body)["data"], key=itemgetter("index"))
        vectors = np.array([_vector(one["embedding"]) for one in data])
        return vectors, time.perf_counter() - begin

    def post(self, path: str, asked: dict[str, Any]) -> bytes:
        """Return the body of an answer. Raises Refused; OSError when there is none, or one that is no HTTP."""
        body = msgspec.json.encode(asked)
        head = f"POST {self._path}{path} HTTP/1.1\r\nHost: {self._where.netloc}\r\nContent-Type: application/json\r\n"
        self._socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        while not answer.whole:
            if not (data := self._socket.recv(_PIECE)):
                raise ConnectionResetError("the connection ended before the answer")
            try:
                parser.feed_data(data)
            except httptools.HttpParserError as error:
                raise ConnectionError(f"this is no HTTP: {error}") from None
        if not parser.should_keep_alive():
            self._socket.close()
            self._connect()
        if parser.get_status_code() != 200:
            raise Refused(parser.get_status_code(), b"".join(answer.parts))
        return b"".join(answer.parts)

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def _connect(self) -> None:
        try:
            self._socket = socket.create_connection((self._where.hostname, self._where.port), timeout=TIMEOUT)
        except ConnectionRefusedError:
            raise SystemExit(f"{self._server.name}: nothing listens at {self._server.url}") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Answer:
    """What the parser finds."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.whole = False

    def on_body(self, part: bytes) -> None:
        self.parts.append(part)

    def on_message_complete(self) -> None:
        self.whole = True


def _vector(sent: str | list[float]) -> Vectors:
    """Some servers do not know base64."""
    return np.frombuffer(base64.b64decode(sent), "<f4") if isinstance(sent, str) else np.array(sent, np.float32)
