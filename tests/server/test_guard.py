"""Who is let in, how much is taken, what is said: keys, names, origins, limits, the log."""

import asyncio
import gc
import json
import logging
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import Served, serving

from gemlet import Embedder, InputError
from gemlet.server import Settings, check_address
from gemlet.server.guard import Keys

KEY = "0123456789abcdef-key"
BODY = {"inputs": "a heron"}


@pytest.fixture(scope="module")
def keyed(tiny: Embedder) -> Iterator[Served]:
    with serving(tiny, Settings(name="tiny", keys=(KEY, "another-key-of-someone"))) as served:
        yield served


@pytest.mark.parametrize("key", [KEY, "another-key-of-someone"])
def test_a_key_lets_in(keyed: Served, key: str) -> None:
    assert keyed.ask("POST", "/embed", BODY, {"authorization": f"Bearer {key}"}).status == 200
    assert keyed.ask("POST", "/embed", BODY, {"authorization": f"bearer  {key} "}).status == 200


@pytest.mark.parametrize(
    "sent", [None, "", "Bearer", "Bearer ", KEY, f"Basic {KEY}", f"Bearer {KEY[:-1]}", "Bearer \xff"]
)
def test_anything_else_does_not(keyed: Served, sent: str | None) -> None:
    headers = {} if sent is None else {"authorization": sent}
    for path, body in [
        ("/embed", b""),
        ("/v1/embeddings", b"error"),
        ("/api/embed", b"error"),
        ("/v2/embed", b"message"),
    ]:
        reply = keyed.ask("POST", path, BODY, headers)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert body in reply.body
    assert keyed.ask("POST", "/embed", BODY, headers).body == b""  # as text-embeddings-inference has it
    for method, path in [
        ("POST", "/"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("GET", "/info"),
    ]:
        assert keyed.ask(method, path, None, headers).status == 401
    assert keyed.ask("GET", "/", None, headers).status == keyed.ask("HEAD", "/health", None, headers).status == 200
    assert keyed.ask("GET", "/health", None, headers).status == 200


@pytest.mark.parametrize("key", ["", "short", "has a space in it, long", "ключ-ключ-ключ-ключ"])
def test_a_key_that_is_none(key: str) -> None:
    with pytest.raises(InputError, match="at least 16 visible ASCII"):
        Keys([key])


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "192.168.1.7", "me.localhost"]
)
def test_own_names_and_addresses(served: Served, host: str) -> None:
    assert served.ask("GET", "/info", None, {"host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_a_name_that_was_made_to_resolve_to_this_machine(served: Served, host: str) -> None:
    reply = served.ask("POST", "/v1/embeddings", {"input": "a"}, {"host": host})
    assert reply.status == 403
    assert "none of this server's names" in reply.json["error"]["message"]


def test_names_and_pages_that_were_allowed(tiny: Embedder) -> None:
    settings = Settings(name="tiny", hosts=("Gpu.lan",), origins=("https://app.example",))
    with serving(tiny, settings) as served:
        assert served.ask("GET", "/info", None, {"host": "gpu.LAN:8080"}).status == 200
        assert served.ask("POST", "/embed", BODY, {"origin": "https://app.example"}).status == 200
        assert served.ask("POST", "/embed", BODY, {"origin": "https://other.example"}).status == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1"])
def test_a_page_of_another_origin_may_not_ask(served: Served, origin: str) -> None:
    reply = served.ask("POST", "/embed", BODY, {"origin": origin})
    assert (reply.status, reply.json["error_type"]) == (403, "Validation")


def test_its_own_page_may(served: Served) -> None:
    assert served.ask("POST", "/embed", BODY, {"origin": served.url}).status == 200


def test_every_answer_has_the_headers(served: Served) -> None:
    for method, path in [("GET", "/health"), ("GET", "/nowhere"), ("DELETE", "/embed"), ("GET", "/openapi.json")]:
        headers = served.ask(method, path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert len(headers["x-request-id"]) == 16
        assert "server" not in headers


@contextmanager
def raw(served: Served, sent: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as client:
        client.sendall(sent)
        yield client


def everything(client: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def post(length: str) -> bytes:
    return f"POST /embed HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def strict(tiny: Embedder) -> Iterator[Served]:
    limits: dict[str, Any] = {"items": 3, "request_tokens": 50, "body_bytes": 1000, "body_s": 0.3, "head_s": 0.3}
    with serving(tiny, Settings(name="tiny", **limits)) as served:
        yield served


def test_a_body_that_is_too_large_is_not_read(strict: Served) -> None:
    with raw(strict, post("Content-Length: 100000000")) as client:  # and nothing of it is sent
        answer = everything(client)
    assert answer.startswith(b"HTTP/1.1 413")
    with raw(strict, post("Transfer-Encoding: chunked") + b"7d0\r\n" + b"a" * 2000 + b"\r\n") as client:
        assert everything(client).startswith(b"HTTP/1.1 413")
    reply = strict.ask("POST", "/embed", b'{"inputs": "' + b"a" * 990)
    assert (reply.status, reply.json["error"]) == (413, "the body is larger than 1000 bytes")
    assert strict.ask("GET", "/info", b"{}").status == 413


def test_a_body_that_does_not_come(strict: Served) -> None:
    with raw(strict, post("Content-Length: 20") + b"{") as client:
        assert everything(client).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_a_head_that_does_not_come(strict: Served, sent: bytes) -> None:
    with raw(strict, sent) as client:
        assert everything(client) == b""


def test_a_head_that_does_not_end(strict: Served) -> None:
    with raw(strict, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: ") as client:
        try:
            for _ in range(100):
                client.sendall(b"a" * 10_000)
        except OSError:  # the server has closed
            pass
        assert everything(client) == b""


def test_nothing_is_kept_of_a_connection_that_is_over(tiny: Embedder) -> None:
    def kept() -> int:
        return sum(type(one).__name__ == "Patient" for one in gc.get_objects())

    before = kept()
    with serving(tiny, Settings(name="tiny", head_s=900, idle_s=900)) as served:
        for _ in range(20):
            with raw(served, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
                assert client.recv(65536).startswith(b"HTTP/1.1 200")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it ends with a reset
        end = time.monotonic() + 30
        while kept() > before:
            assert time.monotonic() < end
            gc.collect()


def test_two_requests_on_one_connection_with_a_pause(strict: Served) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with raw(strict, request) as client:
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        client.settimeout(0.6)
        with pytest.raises(TimeoutError):  # longer than a head may take: the connection is idle, not slow
            client.recv(1)
        client.settimeout(30)
        client.sendall(request[:10])
        client.sendall(request[10:])
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_client_that_does_not_read(tiny: Embedder, caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"inputs": ["a heron"] * 15_000}).encode()  # an answer of 20 MB, more than a socket holds
    settings = Settings(name="tiny", send_s=0.3, items=15_000)
    with caplog.at_level(logging.INFO, "gemlet.server"), serving(tiny, settings) as served:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(30)
            client.connect(("127.0.0.1", served.port))
            client.sendall(post(f"Content-Length: {len(body)}") + body)
            end = time.monotonic() + 30
            while "gone" not in caplog.text:
                assert time.monotonic() < end
                time.sleep(0.01)
            assert 0 < len(everything(client)) < 15_000_000
        assert served.ask("POST", "/embed", BODY).status == 200


def test_no_http_at_all(strict: Served) -> None:
    with raw(strict, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") as client:
        assert everything(client).startswith(b"HTTP/1.1 400")


def test_items_and_tokens(strict: Served) -> None:
    reply = strict.ask("POST", "/v1/embeddings", {"input": ["a"] * 4})
    assert (reply.status, "at most 3" in reply.json["error"]["message"]) == (413, True)
    reply = strict.ask("POST", "/v1/embeddings", {"input": "ABCDEFGHIJ" * 6})
    assert (reply.status, "at most 50" in reply.json["error"]["message"]) == (413, True)


def test_all_bodies_together(tiny: Embedder) -> None:
    with serving(tiny, Settings(name="tiny", body_bytes=1000, bodies_bytes=1500, body_s=5)) as served:
        half = post("Content-Length: 1000") + b"a" * 900
        with raw(served, half), raw(served, half) as second:
            assert second.recv(65536).startswith(b"HTTP/1.1 429")
        assert served.ask("POST", "/embed", BODY).status == 200


def test_too_many_requests_at_once(tiny: Embedder) -> None:
    with serving(tiny, Settings(name="tiny", requests=2, body_s=5)) as served:
        slow = post("Content-Length: 1000") + b"{"
        with raw(served, slow), raw(served, slow):
            while True:
                reply = served.ask("POST", "/embed", BODY)
                if reply.status == 429:
                    break
            assert reply.headers["retry-after"] == "1"
            assert served.ask("GET", "/health").status == 200


def test_the_log_has_no_texts_and_no_vectors(tiny: Embedder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gemlet.server"), serving(tiny) as served:
        served.post("/embed", {"inputs": ["xyzzy plover", "two"]})
        served.ask("POST", "/embed", {"inputs": ["xyzzy"], "prompt_name": "xyzzy"})
        served.ask("GET", "/xyzzy?xyzzy")
        served.ask("POST", "/embed", b'{"xyzzy": ')
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "gemlet.server"]
    assert "xyzzy" not in caplog.text
    assert [line["status"] for line in lines] == [200, 422, 404, 422]
    assert {"id", "method", "route", "ms", "time"} <= lines[0].keys()
    assert (lines[0]["route"], lines[0]["texts"], lines[0]["cached"]) == ("/embed", 2, 0)
    assert (lines[2]["route"], lines[2]["reason"]) == ("other", "not_found")


def test_a_bug_is_an_answer_and_its_place_is_in_the_log(
    tiny: Embedder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO, "gemlet.server"), serving(tiny) as served:

        def broken(_: object) -> None:
            raise RuntimeError("xyzzy")

        monkeypatch.setattr(served.app.service, "dim", broken)
        reply = served.ask("POST", "/api/embed", {"model": "tiny", "input": "a"})
    assert (reply.status, reply.json) == (500, {"error": "a bug: the server's log says where"})
    error = next(json.loads(r.getMessage()) for r in caplog.records if '"error"' in r.getMessage())
    assert error["error"] == "RuntimeError"
    assert any("test_guard.py" in place for place in error["at"])
    assert "xyzzy" not in caplog.text


def test_no_answer_has_a_path_of_this_machine(tiny: Embedder, tiny_checkpoint: Path) -> None:
    with serving(tiny, Settings()) as served:  # named after its folder
        name = tiny_checkpoint.name
        asked = [("GET", path, None) for path in ("/info", "/api/tags", "/v1/models", "/openapi.json", "/metrics")]
        asked += [("POST", "/api/show", {"model": name}), ("POST", "/v1/embeddings", {"input": "a", "model": "x"})]
        for method, path, body in asked:
            reply = served.ask(method, path, body)
            assert str(tiny_checkpoint.parent).encode() not in reply.body
            assert str(Path.home()).encode() + b"/" not in reply.body


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "a-name"])
def test_a_public_address_needs_a_key_or_the_word(host: str) -> None:
    with pytest.raises(InputError, match="--key-file"):
        check_address(host, Settings(), without_key=False)
    check_address(host, Settings(), without_key=True)
    check_address(host, Settings(keys=(KEY,)), without_key=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_needs_none(host: str) -> None:
    check_address(host, Settings(), without_key=False)


@pytest.mark.parametrize("name", ["items", "body_bytes", "requests", "request_s"])
def test_limits_that_let_nothing_through(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is 0"):
        Settings(**{name: 0})
    with pytest.raises(InputError, match="cache_bytes"):
        Settings(cache_bytes=-1)


def test_without_the_extra_a_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['msgspec'] = None\nimport gemlet.server"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "the server needs an extra: pip install 'gemlet[server]'" in done.stderr


@pytest.mark.parametrize("path", ["/health", "/nowhere"])
@pytest.mark.parametrize("said", ["unable to perform operation on <TCPTransport>; the handler is closed", "a bug"])
def test_a_client_that_leaves_while_it_is_answered_is_no_bug(
    tiny: Embedder, caplog: pytest.LogCaptureFixture, path: str, said: str
) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        raise RuntimeError(said)

    scope = {"type": "http", "method": "GET", "path": path, "scheme": "http", "headers": [(b"host", b"localhost")]}
    bug = said == "a bug"
    with caplog.at_level(logging.INFO, "gemlet.server"), serving(tiny) as served:
        try:
            asyncio.run(served.app(scope, receive, send))
        except RuntimeError:
            assert bug
    assert ('"error"' in caplog.text) == (bug and path == "/health")
