"""`gemlet serve --store`: search, ask, status and the page over every store; what a database cannot give, and says."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from serve_process import ask, started
from storing import Postgres

from gemlet import Embedder, stores
from gemlet.errors import InputError, StoreError, StoreNotFound
from gemlet.index.fingerprint import fingerprint, model_digest
from gemlet.search import search
from gemlet.stores import Item, address_of
from gemlet.stores.opened import StoreIndex

if TYPE_CHECKING:
    from serving import Served

if not all(map(find_spec, ("msgspec", "starlette", "uvicorn", "httptools", "prometheus_client"))):
    pytest.skip("the server needs its extra: pip install 'gemlet[server]'", allow_module_level=True)

TEXTS = {
    "posts.csv:2": "Mars is red. It is cold.",
    "posts.csv:3": "The sea is blue.\nShips go by.",
    "other.csv:2": "The word zyzzyva stands here.",
    "n17": "Phobos is a moon.",
    "n18": "The sea is blue.\nShips go by.",
}


def fill(url: str, embedder: Embedder, texts: dict[str, str] = TEXTS, dim: int | None = None) -> None:
    made = fingerprint(model_digest(embedder.checkpoint, None)[0], embedder.quantization, dim or 64)
    vectors = embedder.encode_document(list(texts.values()))
    if dim:
        vectors = np.concatenate([vectors, np.zeros((len(texts), dim - 64), np.float32)], axis=1)
    with stores.open(url) as store:
        store.prepare({**made, "chunker": "rows"}, embedder.name)
        store.put(Item.row(name, text, vectors[i], mtime=1e9) for i, (name, text) in enumerate(texts.items()))
        store.finish()


@pytest.fixture(params=["sqlite", "pgvector-halfvec", "qdrant-folder", "qdrant-server"])
def kind(request: pytest.FixtureRequest) -> str:
    """One of each database: which index it has matters to searches of many alone."""
    return str(request.param)


Serve = Callable[..., "Served"]


@pytest.fixture
def serve(tiny: Embedder) -> Iterator[Serve]:
    """Serves stores until the test ends."""
    from serving import serving

    from gemlet.server import DIALECTS, OwnRoutes, Settings, pages

    open_ones: list[Any] = []

    def start(*urls: str, embedder: Embedder = tiny) -> "Served":
        own = OwnRoutes(embedder, stores=urls)
        parts = {"dialects": [*DIALECTS, own.dialect()], "pages": pages(), "ending": [own.close]}
        block = serving(embedder, Settings(name="tiny"), **parts)
        open_ones.append(block)
        return block.__enter__()

    yield start
    for block in open_ones:
        block.__exit__(None, None, None)


def refused(served: "Served", path: str, body: Any) -> tuple[int, str]:
    reply = served.ask("POST", path, body)
    assert reply.status >= 400, reply.body
    return reply.status, reply.json["error"]["message"]


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
def test_a_search_finds_what_the_library_finds(serve: Serve, url: str, tiny: Embedder, mode: Any) -> None:
    fill(url, tiny)
    with StoreIndex(url, model=tiny) as index:
        wanted = search(index, "the red sea", mode=mode, min_probability=0, k=3)
    found = serve(url).post("/gemlet/search", {"query": "the red sea", "mode": mode, "min_probability": 0, "k": 3})
    assert [(hit["path"], hit["text"]) for hit in found["hits"]] == [(hit.path, hit.text) for hit in wanted.hits]
    assert [hit["score"] for hit in found["hits"]] == [round(hit.score, 4) for hit in wanted.hits]
    assert found["passages"] == wanted.passages
    assert found["hits"]


def test_names_filters_and_likes(serve: Serve, url: str, tiny: Embedder) -> None:
    """Names are those of the store, in answers, patterns and `like`."""
    fill(url, tiny)
    served = serve(url)
    every = {"query": "sea", "min_probability": 0, "k": 20}
    hits = served.post("/gemlet/search", every)["hits"]
    assert {name for hit in hits for name in (hit["path"], *hit["also"])} == set(TEXTS)
    assert {hit["kind"] for hit in hits} == {"row"}
    only = served.post("/gemlet/search", {**every, "path": "posts.csv:*"})["hits"]
    assert {hit["path"] for hit in only} <= {"posts.csv:2", "posts.csv:3", "n18"}  # n18 says what posts.csv:3 says
    assert len(only) == 2
    assert served.post("/gemlet/search", {**every, "kinds": ["pdf"]})["hits"] == []
    assert len(served.post("/gemlet/search", {**every, "before": 2e9})["hits"]) == len(hits)
    like = served.post("/gemlet/search", {"like": "n17", "min_probability": 0, "k": 20})["hits"]
    assert like
    assert "n17" not in {hit["path"] for hit in like}
    for name in ("/etc/hostname", "nowhere", "../n17"):
        assert refused(served, "/gemlet/search", {"like": name})[0] == 404
    assert refused(served, "/gemlet/search", {"query": " "})[0] == 400


def test_an_answer_quotes_rows(serve: Serve, url: str, tiny: Embedder) -> None:
    fill(url, tiny)
    served = serve(url)
    found = served.post("/gemlet/ask", {"question": "Where does zyzzyva stand?", "quote": True, "min_probability": 0})
    assert "other.csv:2" in {source["path"] for source in found["sources"]}
    assert found["written_by"] is None
    reply = served.ask("POST", "/gemlet/ask", {"question": "zyzzyva", "stream": True, "min_probability": 0})
    assert [line for line in reply.body.decode().splitlines() if line.startswith("event: ")][0::99] == [
        "event: sources"
    ]
    assert "event: done" in reply.body.decode()


def test_status_and_page(serve: Serve, url: str, tiny: Embedder) -> None:
    fill(url, tiny)
    served = serve(url)
    (told,) = served.get("/gemlet/status")["indexes"]
    passages = 4 if address_of(url).kind == "sqlite" else 5  # a file has what two rows share once
    assert (told["ready"], told["files"], told["passages"], told["dim"]) == (True, 5, passages, 64)
    assert (told["unreadable"], told["roots"]) == (0, [])
    assert b"<title>gemlet</title>" in served.ask("GET", "/").body


def test_a_map_is_drawn_of_a_file_and_of_a_database_it_is_said_that_there_is_none(
    serve: Serve, url: str, tiny: Embedder
) -> None:
    fill(url, tiny)
    answer = serve(url).post("/gemlet/map", {})
    if address_of(url).kind == "sqlite":
        assert answer["progress"]["state"] in ("working", "done")
        return
    assert answer["map"] is None
    assert answer["progress"]["state"] == "failed"
    assert answer["progress"]["error"].startswith(
        "a store in a database does not give all its vectors; `gemlet map` draws"
    )


def test_a_store_of_another_model_is_searched_by_words_alone(
    serve: Serve, postgres: Postgres, tiny_f32: Embedder
) -> None:
    url = postgres.url()
    fill(url, tiny_f32)
    served = serve(url)
    status, message = refused(served, "/gemlet/search", {"query": "sea"})
    assert status == 503
    assert "was made with quantization f32, and the server has q8_0" in message
    assert served.post("/gemlet/search", {"query": "zyzzyva", "mode": "keyword"})["hits"]


def test_what_changes_in_a_database_is_seen_by_the_next_request(
    serve: Serve, postgres: Postgres, tiny: Embedder
) -> None:
    """New rows, a lost connection, a store that is dropped, another one in its place."""
    url = postgres.url()
    fill(url, tiny)
    served, asked = serve(url), {"query": "quokka", "mode": "keyword"}
    assert served.post("/gemlet/search", asked)["hits"] == []
    fill(url, tiny, {"n19": "A quokka smiles."})
    assert [hit["path"] for hit in served.post("/gemlet/search", asked)["hits"]] == ["n19"]
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gemlet'"
    assert postgres.ask(cut)
    assert [hit["path"] for hit in served.post("/gemlet/search", asked)["hits"]] == ["n19"]
    with stores.open(url) as store:
        store.drop()
    name = address_of(url).name
    missing = f"the index {name!r} is not there at the moment: make it again with `gemlet index`"
    assert refused(served, "/gemlet/search", asked) == (503, missing)
    (told,) = served.get("/gemlet/status")["indexes"]
    assert (told["ready"], told["problem"]) == (False, missing)
    fill(url, tiny, {"m1": "Another quokka."}, dim=128)
    assert [hit["path"] for hit in served.post("/gemlet/search", asked)["hits"]] == ["m1"]
    assert served.get("/gemlet/status")["indexes"][0]["dim"] == 128


def test_a_pattern_over_a_database_means_no_place_of_this_machine(
    serve: Serve, postgres: Postgres, tiny: Embedder
) -> None:
    url = postgres.url()
    fill(url, tiny)
    served = serve(url)
    for pattern in ("./", "../x", "~", "."):
        status, message = refused(served, "/gemlet/search", {"query": "sea", "path": pattern})
        assert (status, message) == (400, "write a pattern of names as answers give them")


def test_stores_have_the_names_of_schemas_and_collections(
    serve: Serve, postgres: Postgres, tiny: Embedder, tmp_path: Path
) -> None:
    urls = [postgres.url(schema="reviews"), postgres.base, str(tmp_path / "rows.db")]
    for url in urls:
        fill(url, tiny)
    served = serve(*urls)
    assert [one["name"] for one in served.get("/gemlet/status")["indexes"]] == ["rows", "reviews", "postgres"]
    found = served.post("/gemlet/search", {"query": "zyzzyva", "mode": "keyword", "index": "reviews"})
    assert found["index"] == "reviews"
    assert postgres.folder.as_posix().encode() not in served.ask("GET", "/gemlet/status").body
    with pytest.raises(InputError, match="two indexes are called 'reviews'"):
        serve(urls[0], urls[0])


def test_what_is_not_there_is_told_at_the_start(serve: Serve, postgres: Postgres) -> None:
    with pytest.raises(StoreNotFound):
        serve(postgres.url())
    with pytest.raises(StoreError, match=r"cannot reach postgresql://ann@127\.0\.0\.1:1/db"):
        serve("postgresql://ann:s3cr3t@127.0.0.1:1/db")
    with pytest.raises(InputError, match="mysql: is no kind of store"):
        serve("mysql://host/db")


def test_the_page_searches_a_database_and_says_why_it_has_no_map(
    browser: Any, serve: Serve, postgres: Postgres, tiny: Embedder
) -> None:
    url = postgres.url(schema="paged")
    fill(url, tiny)
    page = browser.new_page()
    page.goto(f"{serve(url).url}/#/search")
    page.fill("#query", "zyzzyva")
    page.get_by_text("other.csv:2:1").first.wait_for()
    page.click("nav a[href='#/map']")
    page.get_by_text("There is no map: a store in a database does not give all its vectors").wait_for()
    page.click("nav a[href='#/status']")
    page.get_by_text("Not of folders: rows, or a database").wait_for()
    page.get_by_text("5 files, 5 passages of 64 numbers").wait_for()
    page.close()


@pytest.mark.parametrize("kind", ["sqlite", "pgvector"])
def test_from_a_file_of_rows_to_the_server_by_the_command_line(
    kind: str, tiny_checkpoint: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = str(tmp_path / "rows.db") if kind == "sqlite" else request.getfixturevalue("postgres").url()
    lines = ["id,text", *(f"{name},{text.splitlines()[0]}" for name, text in TEXTS.items())]
    (tmp_path / "posts.csv").write_text("\n".join(lines) + "\n")
    model = ("--model", str(tiny_checkpoint), "--offline")
    command = [
        sys.executable,
        "-m",
        "gemlet",
        "bulk",
        "posts.csv",
        "--to",
        url,
        "--id",
        "id",
        "--shards",
        "out",
        *model,
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=300)
    process, address = started("--store", url, "--port", "0", "--quiet", *model)
    found = ask(address, "/gemlet/search", {"query": "zyzzyva", "min_probability": 0, "k": 1})
    assert [hit["path"] for hit in found["hits"]] == ["other.csv:2"]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def test_a_store_that_is_not_there_is_one_line_on_the_command_line(tiny_checkpoint: Path) -> None:
    command = [sys.executable, "-m", "gemlet", "serve", "--offline", "--model", str(tiny_checkpoint), "--port", "0"]
    done = subprocess.run(
        [*command, "--store", "postgresql://ann:s3cr3t@127.0.0.1:1/db"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("gemlet: cannot reach postgresql://ann@127.0.0.1:1/db: ")
    assert done.stderr.count("\n") == 1
    assert "s3cr3t" not in done.stderr
