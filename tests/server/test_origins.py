"""Web pages of other origins: the named ones may ask and read, a browser is told so, all others are refused."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from serving import Reply, Served, serving

from gemlet import Embedder, InputError
from gemlet.server import Settings
from gemlet.server.origins import Origins

KEY = "0123456789abcdef-key"
NAMED, OTHER = "https://app.example", "https://other.example"
BODY = {"inputs": "a heron"}
ASKED = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


@pytest.fixture(scope="module")
def keyed(tiny: Embedder) -> Iterator[Served]:
    with serving(tiny, Settings(name="tiny", keys=(KEY,), origins=(NAMED + ":443/",))) as served:
        yield served


def cors(reply: Reply) -> dict[str, str]:
    return {name[15:]: value for name, value in reply.headers.items() if name.startswith("access-control-")}


def test_a_preflight_of_a_named_page_needs_no_key(keyed: Served) -> None:
    reply = keyed.ask("OPTIONS", "/v1/embeddings", None, {"origin": NAMED, **ASKED})
    assert (reply.status, reply.body) == (200, b"")
    told = cors(reply)
    assert told.pop("expose-headers")
    assert told == {
        "allow-origin": NAMED,
        "allow-methods": "GET, HEAD, POST",
        "allow-headers": "authorization,content-type",
        "max-age": "600",
    }
    assert reply.headers["vary"] == "origin"


def test_a_page_on_the_net_that_asks_this_machine(keyed: Served) -> None:
    sent = {"origin": NAMED, **ASKED, "access-control-request-private-network": "true"}
    assert cors(keyed.ask("OPTIONS", "/embed", None, sent))["allow-private-network"] == "true"
    sent["origin"] = OTHER
    assert cors(keyed.ask("OPTIONS", "/embed", None, sent)) == {}


@pytest.mark.parametrize("names", ["", "a b", "a,,b", "x\ty", "(", "é"])
def test_headers_that_are_none_are_not_sent_back(keyed: Served, names: str) -> None:
    sent = {"origin": NAMED, **ASKED, "access-control-request-headers": names}
    reply = keyed.ask("OPTIONS", "/embed", None, sent)
    assert reply.status == 200
    assert "allow-headers" not in cors(reply)


@pytest.mark.parametrize("origin", [OTHER, "null", "*", "http://app.example", "https://app.example:8443", NAMED + "x"])
def test_a_preflight_of_another_page_is_refused(keyed: Served, origin: str) -> None:
    reply = keyed.ask("OPTIONS", "/v1/embeddings", None, {"origin": origin, **ASKED})
    assert (reply.status, cors(reply)) == (403, {})


def test_options_that_are_no_preflight_are_a_request_as_any(keyed: Served) -> None:
    assert keyed.ask("OPTIONS", "/embed").status == 401
    assert keyed.ask("OPTIONS", "/embed", None, ASKED).status == 401
    assert keyed.ask("OPTIONS", "/embed", None, {"origin": NAMED}).status == 401
    key = {"authorization": f"Bearer {KEY}"}
    assert keyed.ask("OPTIONS", "/embed", None, key).status == 405


def test_a_named_page_reads_answers_and_errors(keyed: Served) -> None:
    key = {"authorization": f"Bearer {KEY}", "origin": NAMED}
    for path, body, headers, status in [
        ("/embed", BODY, key, 200),
        ("/embed", b"{", key, 422),
        ("/nowhere", BODY, key, 404),
        ("/embed", BODY, {"origin": NAMED}, 401),
    ]:
        reply = keyed.ask("POST", path, body, headers)
        assert (reply.status, cors(reply)["allow-origin"], reply.headers["vary"]) == (status, NAMED, "origin")
        assert "allow-credentials" not in cors(reply)


def test_nobody_else_is_told_anything(keyed: Served) -> None:
    key = {"authorization": f"Bearer {KEY}"}
    for origin in [{}, {"origin": keyed.url}, {"origin": OTHER}, {"origin": NAMED, "host": "evil.example"}]:
        assert cors(keyed.ask("POST", "/embed", BODY, key | origin)) == {}


def test_a_server_that_names_none_tells_nobody(tiny: Embedder) -> None:
    with serving(tiny) as served:
        assert cors(served.ask("POST", "/embed", BODY)) == {}
        assert served.ask("OPTIONS", "/embed", None, {"origin": NAMED, **ASKED}).status == 403


@pytest.mark.parametrize("origin", ["*", "", "null", "app.example", "https://", "https://a/b", "https://é.example"])
def test_an_origin_that_is_none(origin: str) -> None:
    with pytest.raises(InputError, match="no origin of a web page"):
        Origins([origin])


@pytest.mark.parametrize("origin", ["HTTP://LocalHost:3000", "app://obsidian.md", "http://[::1]:80", "http://a:80/"])
def test_origins_as_browsers_write_them(origin: str) -> None:
    sent = {"http://[::1]:80": "http://[::1]", "http://a:80/": "http://a"}.get(origin, origin.lower())
    assert Origins([origin]).told({b"origin": sent.encode()}, "")


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A page of another origin."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


ASK = """async ([url, key]) => {
  try {
    const reply = await fetch(`${url}/embed`, {
      method: "POST",
      headers: {authorization: `Bearer ${key}`, "content-type": "application/json", "x-stainless-lang": "js"},
      body: '{"inputs": "a heron"}',
    });
    return [reply.status, (await reply.text()).slice(0, 2), reply.headers.get("x-request-id")?.length];
  } catch (error) { return String(error); }
}"""


def test_in_a_browser(browser: Any, tiny: Embedder, elsewhere: str) -> None:
    page = browser.new_page()
    with serving(tiny, Settings(name="tiny", keys=(KEY,), origins=(elsewhere,))) as served:
        page.goto(elsewhere)
        assert page.evaluate(ASK, [served.url, KEY]) == [200, "[[", 16]
        assert page.evaluate(ASK, [served.url, "another"]) == [401, "", 16]
        page.goto(elsewhere.replace("localhost", "127.0.0.1"))
        assert "Failed to fetch" in page.evaluate(ASK, [served.url, KEY])
    with serving(tiny) as served:
        page.goto(elsewhere)
        assert "Failed to fetch" in page.evaluate(ASK, [served.url, KEY])
    page.close()
