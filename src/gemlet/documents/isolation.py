"""Path → what the worker process makes of it, within limits of time and memory; started again after each death."""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gemlet.documents.document import Limits, Unreadable, megabytes

_WORKER = Path(__file__).with_name("worker.py")


class _Worker:
    """One process, which any number of threads may ask: one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, path: Path, mime: str, limits: Limits) -> dict[str, Any]:
        """The worker's reply; raises Unreadable when there is none."""
        request = {"path": os.fspath(path), "mime": mime, "memory_bytes": limits.memory_bytes}
        with self._lock:
            process = self._alive()
            late = threading.Event()
            timer = threading.Timer(limits.seconds, _end, (process, late))
            timer.daemon = True
            timer.start()
            try:
                reply = _exchange(process, json.dumps(request), limits.text_bytes)
            except BaseException:
                self._stop()
                raise
            finally:
                timer.cancel()
            if reply is not None:
                return reply
            self._stop()
        if late.is_set():
            raise Unreadable(f"takes longer than {limits.seconds:g} s to read")
        raise Unreadable(
            f"takes more than {megabytes(limits.memory_bytes)} of memory to read, or makes the reader crash"
        )

    def _alive(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self._stop()
            self._process = _start()
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]

    def kill(self) -> None:
        """End the process at once, without waiting for whoever asks it; the next ask() starts another."""
        if (process := self._process) is not None:
            process.kill()

    def forget(self) -> None:
        """In a forked child: the process is the parent's."""
        self._lock = threading.Lock()
        self._process = None


def _end(process: "subprocess.Popen[bytes]", late: threading.Event) -> None:
    late.set()
    process.kill()


def _start() -> "subprocess.Popen[bytes]":
    """Where it finds modules, its caller finds them too; few arenas keep malloc's reserve out of the limit."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-P", os.fspath(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths, "MALLOC_ARENA_MAX": "2"},
    )


def _exchange(process: "subprocess.Popen[bytes]", request: str, most: int) -> dict[str, Any] | None:
    """None when the process died over it."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(request.encode("ascii") + b"\n")
        process.stdin.flush()
        length = int.from_bytes(head, "little") if len(head := process.stdout.read(8)) == 8 else None
        if length is None:
            return None
        if length > 6 * most:  # JSON takes up to 6 bytes for one
            raise Unreadable(f"holds more than {megabytes(most)} of text")
        body = process.stdout.read(length)
    except OSError:
        return None
    return json.loads(body) if len(body) == length else None


_worker = _Worker()
atexit.register(_worker.kill)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_worker.forget)


def stop() -> None:
    """End the process; whoever waits for a reply gets Unreadable."""
    _worker.kill()


def extract(path: Path, mime: str, limits: Limits) -> dict[str, Any]:
    """Title, pages and nodes of a file, as worker.py describes them.

    Raises Unreadable for what it cannot read within the limits, or without kreuzberg.
    """
    if find_spec("kreuzberg") is None:
        raise Unreadable("needs an extra to be read: pip install 'gemlet[docs]'")
    reply = _worker.ask(path, mime, limits)
    error = reply.get("error")
    if error == "memory":
        raise Unreadable(f"takes more than {megabytes(limits.memory_bytes)} of memory to read")
    if error is not None:
        raise Unreadable(error)
    return reply
