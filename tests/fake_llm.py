"""An OpenAI-compatible server on a loopback port that does as a test says, right or wrong."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Llm:
    """models  what /v1/models lists: a value that is sent as JSON
    answer  called with the handler and the request's body; sends the answer
    """

    answer: Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]
    models: Any = field(default_factory=lambda: {"data": [{"id": "nomic-embed-text"}, {"id": "small"}]})
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    left_early: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@contextmanager
def serve(llm: Llm) -> Iterator[Llm]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            llm.paths.append(self.path)
            send_json(self, llm.models)

        def do_POST(self) -> None:
            llm.paths.append(self.path)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            llm.requests.append(body)
            try:
                llm.answer(self, body)
            except OSError:
                llm.left_early.set()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    llm.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield llm
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send_json(handler: BaseHTTPRequestHandler, value: Any, status: int = 200) -> None:
    send_bytes(handler, json.dumps(value).encode(), status, "application/json")


def send_bytes(handler: BaseHTTPRequestHandler, data: bytes, status: int = 200, kind: str = "text/html") -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.end_headers()
    handler.wfile.write(data)


def begin_events(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
    handler.end_headers()


def send_event(handler: BaseHTTPRequestHandler, piece: str) -> None:
    event = {"choices": [{"index": 0, "delta": {"content": piece}}]}
    handler.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
    handler.wfile.flush()


def says(*pieces: str) -> Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]:
    """Stream these pieces, as a server should."""

    def answer(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        begin_events(handler)
        handler.wfile.write(b": ping\n\n")
        for piece in pieces:
            send_event(handler, piece)
        handler.wfile.write(b'data: {"choices": [], "usage": {"total_tokens": 9}}\n\ndata: [DONE]\n\n')

    return answer
