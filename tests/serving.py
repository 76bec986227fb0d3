"""A server in a thread of this process, on a real socket, for tests."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from gemlet import Embedder
from gemlet.server import App, Settings, app
from gemlet.server.run import configure


class Served:
    """A running server: its address, and how to ask it."""

    def __init__(self, made: App, port: int) -> None:
        self.app, self.port = made, port
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> "Reply":
        """Send one request; a body that is no bytes goes as JSON."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection.request(method, path, body, {"content-type": "application/json", **(headers or {})})
        response = connection.getresponse()
        reply = Reply(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return reply

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """The JSON of an answer that must be 200."""
        reply = self.ask("POST", path, body, headers)
        assert reply.status == 200, reply.body
        return reply.json

    def get(self, path: str) -> Any:
        reply = self.ask("GET", path)
        assert reply.status == 200, reply.body
        return reply.json


class Reply:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers.items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def serving(embedder: Embedder, settings: Settings | None = None, **parts: Any) -> Iterator[Served]:
    """Serve until the block ends."""
    made = app(embedder, settings or Settings(name="tiny"), **parts)
    config = configure(made, "127.0.0.1", 0)
    socket = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[socket])))
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.005)
        yield Served(made, socket.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(60)
        socket.close()
    assert not thread.is_alive()


def schemathesis(url: str, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Ask a server for what its document says; exit code 0: nothing was found."""
    settings = Path(__file__).parent / "server" / "schemathesis.toml"
    always = ["--max-examples", "10", "--seed", "1", "--generation-database", "none", "--no-color"]
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(settings)]
    command += ["run", f"{url}/openapi.json", *always, *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)


def rows(found: Any) -> np.ndarray:
    """JSON's numbers as the float32 that they are."""
    return np.array(found, np.float32)
