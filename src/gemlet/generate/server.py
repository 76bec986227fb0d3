"""A server that speaks OpenAI's chat completions: messages → pieces of text."""

import ipaddress
import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from gemlet.errors import GenerationError, InputError
from gemlet.generate.events import limited, one_line, parsed, reason, text_of, without_thoughts
from gemlet.generate.writer import Message, Timeouts

CONNECT_S = 2.0
BODY_LIMIT = 1 << 20  # bytes of one line, one error or one list of models

_NOT_WRITERS = ("embed", "rerank", "bge-", "minilm", "whisper", "clip")


class ServerWriter:
    """A model behind an OpenAI-compatible server."""

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        key: str | None = None,
        chat: bool = True,
        remote: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        """Name a model of a server; nothing is asked yet.

        url     "http://127.0.0.1:11434", with or without "/v1"
        model   None: the first that the server lists and that is no embedding model
        key     sent as a bearer token
        chat    False: the model has no chat template, the messages go as plain text to be continued
        remote  True: allow a server that is not this machine, which then gets to read the passages

        Raises InputError for what is no URL, or a server elsewhere.
        """
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url!r} is no address of a server: write it as http://127.0.0.1:11434")
        if not remote and not _is_loopback(parts.hostname):
            raise InputError(
                f"{parts.hostname} is not this machine, and passages of your files would go there: "
                "allow it with --llm-remote"
            )
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/").removesuffix("/v1") + "/v1"
        self._model, self._key, self._chat = model, key, chat
        self.timeouts = timeouts or Timeouts()

    @property
    def name(self) -> str:
        """The model that writes; asks the server when none was named."""
        if self._model is None:
            writers = [name for name in self.models() if not any(part in name.lower() for part in _NOT_WRITERS)]
            if not writers:
                raise GenerationError(
                    f"{self.url} has no model that writes: load one there, or name it with --llm", self.url
                )
            self._model = writers[0]
        return self._model

    def models(self, timeout: float = 10.0) -> list[str]:
        """Return the names that the server lists. Raises GenerationError when it is no such server."""
        with self._asked("GET", "/models", None, timeout) as (response, _):
            body = response.read(BODY_LIMIT)
            if response.status != 200:
                said = reason(response.status, response.reason, body)
                raise GenerationError(f"{self.url}/v1/models says {said}", self.url)
            try:
                return [str(row["id"]) for row in json.loads(body)["data"] or []]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise GenerationError(f"{self.url} does not speak OpenAI's protocol", self.url) from None

    def write(self, messages: Sequence[Message], *, max_tokens: int = 512) -> Iterator[str]:
        """Yield the answer in pieces; see Writer."""
        path, said = (
            ("/chat/completions", {"messages": list(messages)}) if self._chat else ("/completions", _plain(messages))
        )
        body = {"model": self.name, "stream": True, "max_tokens": max_tokens, "temperature": 0.2, **said}
        with self._asked("POST", path, body, self.timeouts.first) as (response, connected):
            yield from without_thoughts(limited(self._pieces(response, connected)))

    @contextmanager
    def _asked(self, method: str, path: str, body: Any, timeout: float) -> Iterator[tuple[HTTPResponse, socket.socket]]:
        """Send a request, yield the head of its answer and the socket, close both; what fails is a GenerationError."""
        kind = HTTPSConnection if self._secure else HTTPConnection
        connection = kind(self._host, self._port, timeout=CONNECT_S)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        try:
            connection.connect()
            connected = connection.sock  # the connection forgets it when the server is to close it
            connected.settimeout(timeout)
            data = None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            connection.request(method, self._base + path, data, headers)
            with connection.getresponse() as response:
                yield response, connected
        except (OSError, HTTPException) as error:
            raise self._failed(error) from None
        finally:
            connection.close()

    def _pieces(self, response: HTTPResponse, connected: socket.socket) -> Iterator[str]:
        """The text of each event, or of the one object that a server sends which does not stream."""
        if response.status != 200:
            raise GenerationError(
                f"{self.url} refused: {reason(response.status, response.reason, response.read(BODY_LIMIT))}", self.url
            )
        kind = response.getheader("Content-Type", "")
        if "json" in kind:
            yield text_of(parsed(response.read(BODY_LIMIT), self.url), "message", self.url)
            return
        if "event-stream" not in kind:
            raise GenerationError(
                f"{self.url} answered with {kind or 'nothing that is named'}, not with events", self.url
            )
        for line in self._lines(response, connected):
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                yield text_of(parsed(data, self.url), "delta", self.url)

    def _lines(self, response: HTTPResponse, connected: socket.socket) -> Iterator[bytes]:
        """Lines as they come. Time is taken until a whole line is there: a server that drips bytes hangs, too."""
        rest, deadline = b"", time.monotonic() + self.timeouts.first
        while True:
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError
            connected.settimeout(left)
            if not (data := response.read1(1 << 16)):
                return
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > BODY_LIMIT:
                raise GenerationError(f"{self.url} sends a line without an end", self.url)
            if any(line.startswith(b"data:") for line in lines):
                deadline = time.monotonic() + self.timeouts.next
            yield from lines

    def _failed(self, error: Exception) -> GenerationError:
        if isinstance(error, TimeoutError):
            return GenerationError(
                f"{self.url} gave no answer in time: is the model too large for this machine?", self.url
            )
        if isinstance(error, ConnectionRefusedError):
            return GenerationError(
                f"no server answers at {self.url}: start it, or name another with --llm-url", self.url
            )
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return GenerationError(f"{self.url} broke off: {one_line(why)}", self.url)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _plain(messages: Sequence[Message]) -> dict[str, Any]:
    """The messages as text that ends where the answer begins, for a model that only continues."""
    return {
        "prompt": "\n\n".join([m["content"] for m in messages] + ["Answer:"]),
        "stop": ["\nQuestion:", "\nSources:", "\n\n\n"],
    }
