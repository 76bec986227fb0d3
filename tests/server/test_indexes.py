"""Routes over indexes: what the library finds, no path of the disk; an index that changes, vanishes or is wrong."""

import asyncio
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import fake_llm
import numpy as np
import pytest
from serving import Served, schemathesis, serving

from gemlet import Embedder
from gemlet.errors import InputError, StoreNotFound
from gemlet.generate import ServerWriter
from gemlet.index import Index
from gemlet.search import search
from gemlet.server import DIALECTS, OwnRoutes, Problem, Settings
from gemlet.server.indexes import maps
from gemlet.server.indexes.rooms import Room, pending

NOTES = {
    "notes/red.md": "# Planets\n\nMars is red. It is cold.\n\n# Moons\n\nPhobos is near.",
    "notes/blue.md": "# Seas\n\nThe sea is blue. Ships go by.",
    "notes/copy.md": "# Seas\n\nThe sea is blue. Ships go by.",
    "notes/late.txt": "Nothing here.\nThen the word zyzzyva stands\nin the second line.",
    "code/read.py": "def read_lines(path):\n    with open(path) as file:\n        return list(file)\n",
}

PASSAGES = 4  # copy.md shares blue.md's


def write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def make_index(path: Path, embedder: Embedder, *roots: Path) -> Path:
    with Index(path, model=embedder) as index:
        index.update(roots)
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "private-folder"
    write(folder, NOTES)
    return folder


@pytest.fixture
def index(tmp_path: Path, files: Path, tiny: Embedder) -> Path:
    return make_index(tmp_path / "mine.db", tiny, files / "notes", files / "code")


Serve = Callable[..., Served]


@pytest.fixture
def serve(tiny: Embedder) -> Iterator[Serve]:
    """Serves indexes until the test ends."""
    open_ones: list[Any] = []

    def start(*indexes: Path, writer: Any = None, **settings: Any) -> Served:
        own = OwnRoutes(tiny, indexes, writer)
        block = serving(tiny, Settings(**settings), dialects=[*DIALECTS, own.dialect()], ending=[own.close])
        open_ones.append(block)
        return block.__enter__()

    yield start
    for block in open_ones:
        block.__exit__(None, None, None)


def problem(served: Served, path: str, body: Any) -> tuple[int, str]:
    reply = served.ask("POST", path, body)
    assert reply.status >= 400, reply.body
    return reply.status, reply.json["error"]["message"]


# --- search ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
def test_a_search_finds_what_the_library_finds(serve: Serve, index: Path, tiny: Embedder, mode: Any) -> None:
    found = serve(index).post("/gemlet/search", {"query": "the red sea", "mode": mode, "min_probability": 0, "k": 3})
    with Index(index, model=tiny) as opened:
        wanted = search(opened, "the red sea", mode=mode, min_probability=0, k=3)
    assert [hit["text"] for hit in found["hits"]] == [hit.text for hit in wanted.hits]
    assert [hit["score"] for hit in found["hits"]] == [round(hit.score, 4) for hit in wanted.hits]
    assert [tuple(hit["marked"]) for hit in found["hits"]] == [hit.marked for hit in wanted.hits]
    assert found["passages"] == wanted.passages
    assert found["mode"] == mode


def test_reading_an_index_does_not_change_it(serve: Serve, index: Path) -> None:
    os.utime(index, (1e9, 1e9))
    served = serve(index)
    served.post("/gemlet/search", {"query": "sea"})
    assert served.ask("GET", "/gemlet/status").json["indexes"][0]["changed"] == 1e9


def test_files_are_named_from_the_folder_that_was_indexed(serve: Serve, index: Path, files: Path) -> None:
    served = serve(index)
    reply = served.ask("POST", "/gemlet/search", {"query": "sea", "min_probability": 0, "k": 20})
    named = {hit["path"]: hit["also"] for hit in reply.json["hits"]}
    assert named["notes/blue.md"] == ["notes/copy.md"]
    status = served.ask("GET", "/gemlet/status")
    for answer in (reply, status):
        assert b"private-folder" not in answer.body
        assert str(files.parent).encode() not in answer.body
    assert status.json["indexes"][0]["roots"] == ["code", "notes"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"path": "*.txt"}, {"notes/late.txt"}),
        ({"path": "/code/"}, {"code/read.py"}),
        ({"path": "private-folder/"}, set()),
        ({"kinds": ["code"]}, {"code/read.py"}),
        ({"languages": ["python"]}, {"code/read.py"}),
        ({"before": 1000.0}, set()),
    ],
)
def test_filters(serve: Serve, index: Path, filters: dict[str, Any], expected: set[str]) -> None:
    found = serve(index).post("/gemlet/search", {"query": "sea", "min_probability": 0, "k": 20, **filters})
    assert {hit["path"] for hit in found["hits"]} == expected


def test_nothing_that_matches_well_is_said(serve: Serve, index: Path) -> None:
    found = serve(index).post("/gemlet/search", {"query": "quarterly revenue", "min_probability": 1})
    assert found["hits"] == []
    assert 1 <= len(found["nearest"]) <= 3
    assert found["message"] == f"nothing matches well among {found['passages']} passages"


def test_more_like_a_file_of_the_index(serve: Serve, index: Path) -> None:
    found = serve(index).post("/gemlet/search", {"like": "notes/blue.md", "min_probability": 0})
    assert "notes/red.md" in {hit["path"] for hit in found["hits"]}
    assert "notes/blue.md" not in {hit["path"] for hit in found["hits"]}


@pytest.mark.parametrize("way", ["notes/../../secret.md", "../secret.md", "/etc/hostname", "ABSOLUTE", "secret.md"])
def test_a_file_outside_of_the_index_is_not_read(serve: Serve, index: Path, files: Path, way: str) -> None:
    secret = files.parent / "secret.md"
    secret.write_text("# Secret\n\nThe sea is blue. Ships go by.", encoding="utf-8")
    name = str(secret) if way == "ABSOLUTE" else way
    status, message = problem(serve(index), "/gemlet/search", {"like": name})
    assert status == 404
    assert "the index has no file" in message


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "the query is empty"),
        ({"query": "x", "k": 0}, 400, ">= 1"),
        ({"query": "x", "mode": "psychic"}, 400, "psychic"),
        ({"query": "x", "task": "guessing"}, 400, "guessing"),
        ({"query": "x", "like": "notes/red.md"}, 400, "takes the place of a query"),
        ({"query": "x", "colour": "red"}, 400, "colour"),
        ({"query": "x", "index": "../mine"}, 404, "no index is called '../mine'; there is mine"),
    ],
)
def test_a_mistake_is_said_in_one_line(serve: Serve, index: Path, body: Any, status: int, said: str) -> None:
    found = problem(serve(index), "/gemlet/search", body)
    assert found[0] == status
    assert said in found[1]
    assert "\n" not in found[1]


# --- which index -----------------------------------------------------------------------------------------------------


def test_two_indexes_are_kept_apart(serve: Serve, tmp_path: Path, files: Path, tiny: Embedder, index: Path) -> None:
    other = make_index(tmp_path / "other.db", tiny, files / "code")
    served = serve(index, other)
    asked = {"query": "zyzzyva", "mode": "keyword"}
    assert len(served.post("/gemlet/search", {**asked, "index": "mine"})["hits"]) == 1
    assert served.post("/gemlet/search", {**asked, "index": "other"})["hits"] == []
    assert served.post("/gemlet/search", asked)["index"] == "mine"
    assert [one["name"] for one in served.get("/gemlet/status")["indexes"]] == ["mine", "other"]


def test_two_indexes_of_one_name_are_refused(index: Path, tiny: Embedder, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    shutil.copy(index, tmp_path / "deeper" / "mine.db")
    with pytest.raises(InputError, match="two indexes are called 'mine'"):
        OwnRoutes(tiny, [index, tmp_path / "deeper" / "mine.db"])


def test_an_index_that_is_not_there_is_told_at_the_start(tiny: Embedder, tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound):
        OwnRoutes(tiny, [tmp_path / "none.db"])


def test_without_an_index_the_server_says_how_to_have_one(serve: Serve) -> None:
    served = serve()
    assert served.get("/gemlet/status")["indexes"] == []
    assert problem(served, "/gemlet/search", {"query": "x"}) == (
        404,
        "this server has no index: start it with --index FILE or --store URL",
    )


def test_the_index_of_another_model_is_searched_by_words_alone(
    serve: Serve, tmp_path: Path, files: Path, tiny_f32: Embedder
) -> None:
    served = serve(make_index(tmp_path / "exact.db", tiny_f32, files))
    status, message = problem(served, "/gemlet/search", {"query": "sea"})
    assert status == 503
    assert "was made with quantization f32, and the server has q8_0" in message
    assert str(tmp_path) not in message
    assert served.post("/gemlet/search", {"query": "zyzzyva", "mode": "keyword"})["hits"]


# --- an index that changes -------------------------------------------------------------------------------------------


def test_what_enters_the_index_is_found_at_once(serve: Serve, index: Path, files: Path, tiny: Embedder) -> None:
    served, asked = serve(index), {"query": "quokka", "mode": "keyword"}
    assert served.post("/gemlet/search", asked)["hits"] == []
    write(files, {"notes/new.md": "A quokka smiles."})
    make_index(index, tiny, files / "notes")
    assert [hit["path"] for hit in served.post("/gemlet/search", asked)["hits"]] == ["notes/new.md"]


def test_an_index_that_vanishes_is_missed_and_one_in_its_place_is_taken(
    serve: Serve, index: Path, files: Path, tiny: Embedder
) -> None:
    served, asked = serve(index), {"query": "zyzzyva", "mode": "keyword"}
    assert served.post("/gemlet/search", asked)["hits"]
    for beside in index.parent.glob("mine.db*"):
        beside.unlink()
    status, message = problem(served, "/gemlet/search", asked)
    assert status == 503
    assert message == "the index 'mine' is not there at the moment: make it again with `gemlet index`"
    told = served.get("/gemlet/status")["indexes"][0]
    assert (told["ready"], told["problem"]) == (False, message)
    make_index(index, tiny, files / "code")
    assert served.post("/gemlet/search", asked)["hits"] == []
    assert served.get("/gemlet/status")["indexes"][0]["files"] == 1


def test_an_index_that_is_damaged_is_told_without_its_place(serve: Serve, index: Path) -> None:
    served = serve(index)
    broken = index.with_name("broken")
    broken.write_bytes(b"not a database at all" * 500)
    os.replace(broken, index)
    status, message = problem(served, "/gemlet/search", {"query": "sea"})
    assert status == 503
    assert "the index 'mine'" in message
    assert str(index.parent) not in message


def test_an_index_rebuilt_with_other_vectors_is_looked_at_again(
    serve: Serve, index: Path, tiny: Embedder, tiny_f32: Embedder
) -> None:
    served = serve(index)
    served.post("/gemlet/search", {"query": "sea"})
    with Index(index, model=tiny_f32) as opened:
        opened.rebuild()
    assert "was made with quantization f32" in problem(served, "/gemlet/search", {"query": "sea"})[1]
    with Index(index, model=tiny) as opened:
        opened.rebuild()
    assert served.post("/gemlet/search", {"query": "sea"})["passages"] == PASSAGES


# --- ask -------------------------------------------------------------------------------------------------------------


def events(body: bytes) -> list[tuple[str, Any]]:
    found = []
    for block in body.decode().strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


ASK = {"question": "what is blue", "min_probability": 0}


def test_without_a_model_that_writes_sentences_are_quoted(serve: Serve, index: Path) -> None:
    answer = serve(index).post("/gemlet/ask", ASK)
    assert answer["written_by"] is None
    assert answer["answer"].startswith("“")
    assert {source["path"].split("/")[0] for source in answer["sources"]} <= {"notes", "code"}
    assert answer["cited"]


def test_an_answer_comes_in_pieces_with_its_sources(serve: Serve, index: Path) -> None:
    with fake_llm.serve(fake_llm.Llm(fake_llm.says("The ", "sea [1]", " is."))) as llm:
        served = serve(index, writer=lambda: ServerWriter(llm.url))
        reply = served.ask("POST", "/gemlet/ask", {**ASK, "stream": True})
        whole = served.post("/gemlet/ask", ASK)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = events(reply.body)
    assert [name for name, _ in found] == ["sources", *["text"] * (len(found) - 2), "done"]
    assert len(found) > 3
    assert "".join(data for name, data in found if name == "text") == "The sea [1] is."
    done = found[-1][1]
    assert (done["answer"], done["cited"], done["written_by"]) == ("The sea [1] is.", [1], "small")
    assert done == whole
    assert done["sources"] == found[0][1]


def test_a_question_that_nothing_answers_is_refused(serve: Serve, index: Path) -> None:
    answer = serve(index).post("/gemlet/ask", {"question": "what is blue", "min_probability": 1})
    assert answer["refused"]
    assert answer["sources"] == []


def test_a_model_that_fails_is_told_without_its_address(serve: Serve, index: Path) -> None:
    def fail(handler: Any, _: Any) -> None:
        fake_llm.send_json(handler, {"error": {"message": "out of memory"}}, 500)

    def break_off(handler: Any, _: Any) -> None:
        fake_llm.begin_events(handler)
        fake_llm.send_event(handler, "The sea")
        handler.wfile.write(b'data: {"error": {"message": "broke"}}\n\n')

    for answer, streamed in ((fail, False), (break_off, True)):
        with fake_llm.serve(fake_llm.Llm(answer)) as llm:
            served = serve(index, writer=lambda url=llm.url: ServerWriter(url))
            reply = served.ask("POST", "/gemlet/ask", {**ASK, "stream": streamed})
        assert b"127.0.0.1" not in reply.body
        assert b"the model that writes failed" in reply.body
        if streamed:
            assert [name for name, _ in events(reply.body)] == ["sources", "text", "error"]
        else:
            assert reply.status == 503


def test_a_client_that_leaves_stops_the_model_that_writes(serve: Serve, index: Path) -> None:
    def for_ever(handler: Any, _: Any) -> None:
        fake_llm.begin_events(handler)
        while True:
            fake_llm.send_event(handler, "word " * 50)
            time.sleep(0.01)

    with fake_llm.serve(fake_llm.Llm(for_ever)) as llm:
        served = serve(index, writer=lambda: ServerWriter(llm.url))
        connection = HTTPConnection("127.0.0.1", served.port, timeout=60)
        connection.request("POST", "/gemlet/ask", json.dumps({**ASK, "stream": True}))
        answer = connection.getresponse()
        assert answer.read(14) == b"event: sources"
        answer.close()
        connection.close()
        assert llm.left_early.wait(30)


# --- texts that are given --------------------------------------------------------------------------------------------


def test_labels_are_those_of_the_library(serve: Serve, tiny: Embedder) -> None:
    from gemlet.classify import Classifier

    texts, labels = ["the sea is blue", "read a file"], ["water", "code", "stars"]
    found = serve().post("/gemlet/classify", {"texts": texts, "labels": labels})
    classifier = Classifier.zero_shot(labels, model=tiny)
    assert [one["label"] for one in found["results"]] == classifier.predict(texts).tolist()
    expected = classifier.predict_proba(texts)
    assert np.array([one["probabilities"] for one in found["results"]]) == pytest.approx(expected, abs=1e-4)


def test_clusters_are_those_of_the_library(serve: Serve, tiny: Embedder) -> None:
    from gemlet.clustering import cluster

    texts = [f"{word} number {i}" for word in ("sea", "file", "moon") for i in range(4)]
    found = serve().post("/gemlet/cluster", {"texts": texts, "k": 3})
    expected = cluster(texts, 3, model=tiny)
    assert found["labels"] == expected.labels.tolist()
    assert [group["size"] for group in found["clusters"]] == expected.sizes
    assert [group["words"] for group in found["clusters"]] == expected.words


def test_two_texts_are_compared_by_every_task(serve: Serve, tiny: Embedder) -> None:
    found = {one["task"]: one for one in serve().post("/gemlet/compare", {"a": "red sea", "b": "The sea."})["tasks"]}
    assert len(found) == 8
    query, document = tiny.encode_query("red sea"), tiny.encode_document("The sea.")
    assert found["search result"]["cosine"] == pytest.approx(float(query @ document), abs=1e-4)
    alike = tiny.encode(["red sea", "The sea."], prompt_name="sentence similarity")
    assert found["sentence similarity"]["cosine"] == pytest.approx(float(alike[0] @ alike[1]), abs=1e-4)
    assert found["sentence similarity"]["level"] is not None
    assert found["search result"]["probability"] is not None


def test_the_same_text_twice_is_a_duplicate(serve: Serve) -> None:
    found = {one["task"]: one for one in serve().post("/gemlet/compare", {"a": "sea", "b": "sea"})["tasks"]}
    assert found["sentence similarity"]["level"] == "duplicate"


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("classify", {"texts": ["a"], "labels": ["x"]}, "length >= 2"),
        ("classify", {"texts": ["a"], "labels": ["x", "x"]}, "is there twice"),
        ("classify", {"texts": [], "labels": ["x", "y"]}, "length >= 1"),
        ("classify", {"texts": ["a"], "labels": ["x", "y"], "descriptions": {"z": "w"}}, "but no label"),
        ("cluster", {"texts": ["a"]}, "length >= 2"),
        ("cluster", {"texts": ["a", "a", "a"]}, "all 3 rows are the same"),
        ("cluster", {"texts": ["a", "b"], "k": 3}, "choose 1 to 2"),
        ("compare", {"a": "x"}, "`b`"),
        ("compare", {"a": "x", "b": "y", "dimensions": 100}, "100"),
    ],
)
def test_given_texts_that_cannot_be_used(serve: Serve, path: str, body: Any, said: str) -> None:
    status, message = problem(serve(), f"/gemlet/{path}", body)
    assert status == 400
    assert said in message


# --- the map ---------------------------------------------------------------------------------------------------------


def map_of(served: Served, other_than: str = "") -> dict[str, Any]:
    """The map, when it is made; `other_than`: the x of an earlier one."""
    for _ in range(600):
        found = served.post("/gemlet/map", {})
        if found["progress"]["state"] != "working" and (found["map"] or {}).get("x") != other_than:
            return found
        time.sleep(0.02)
    raise AssertionError("the map was never made")


def test_a_map_is_made_once_and_again_when_the_index_changes(
    serve: Serve, index: Path, files: Path, tiny: Embedder
) -> None:
    served = serve(index)
    first = map_of(served)
    assert first["progress"] == {"state": "done", "step": "", "share": 1, "error": None}
    made = first["map"]
    assert len(made["texts"]) == made["passages"] == PASSAGES
    assert "notes/late.txt:1" in made["places"]
    assert [one["name"] for one in made["groupings"]] == ["topic", "folder", "kind"]
    assert served.get("/gemlet/status")["indexes"][0]["map"]["state"] == "done"
    assert served.post("/gemlet/map", {}) == first
    write(files, {"notes/new.md": "A quokka smiles at the moon."})
    make_index(index, tiny, files / "notes")
    assert len(map_of(served, made["x"])["map"]["texts"]) == PASSAGES + 1


def test_a_large_index_is_drawn_in_part(serve: Serve, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "MOST", 3)
    made = map_of(serve(index))["map"]
    assert (len(made["texts"]), made["passages"]) == (3, PASSAGES)


def test_an_index_of_one_passage_has_no_map(serve: Serve, tmp_path: Path, tiny: Embedder) -> None:
    write(tmp_path, {"one/only.md": "Alone."})
    found = map_of(serve(make_index(tmp_path / "one.db", tiny, tmp_path / "one")))
    assert found["map"] is None
    assert found["progress"]["error"] == "a map needs 2 passages or more, and the index has 1"


# --- what all routes share -------------------------------------------------------------------------------------------


def test_the_document_tells_of_these_routes(serve: Serve, index: Path) -> None:
    told = serve(index).get("/openapi.json")
    assert {path for path in told["paths"] if path.startswith("/gemlet/")} == {
        f"/gemlet/{name}" for name in ("status", "search", "ask", "map", "classify", "cluster", "compare")
    }
    answer = told["paths"]["/gemlet/search"]["post"]["responses"]
    assert answer["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/SearchAnswer"}
    assert "404" in answer


def test_schemathesis_finds_nothing_here(serve: Serve, index: Path, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    done = schemathesis(serve(index).url, tmp_path, "--include-path-regex", "^/gemlet/")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_the_routes_need_the_key(serve: Serve, index: Path) -> None:
    key = "a-key-of-this-test"
    served = serve(index, keys=(key,))
    assert served.ask("POST", "/gemlet/search", {"query": "sea"}).status == 401
    assert served.ask("GET", "/gemlet/status").status == 401
    assert served.post("/gemlet/search", {"query": "sea"}, authorization=f"Bearer {key}")["index"] == "mine"


def test_too_many_at_once_are_told_to_come_back() -> None:
    async def crowd() -> list[Any]:
        room, door = Room("test", threads=1, waiting=1), threading.Event()
        first = [asyncio.ensure_future(room.run(door.wait, 20)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="too many such requests at once") as refused:
            await room.run(door.wait, 20)
        door.set()
        await asyncio.gather(*first)
        assert room.inside == 0
        room.close()
        return [refused.value.kind, refused.value.retry_after]

    assert asyncio.run(crowd()) == ["overloaded", 2]


def test_work_that_nobody_waits_for_is_given_up() -> None:
    async def leave() -> bool:
        room, never = Room("test", threads=1, waiting=0), Future()
        begun = threading.Event()

        def work() -> None:
            waits = pending.get()
            assert waits is not None
            waits.add(never)
            begun.set()
            never.result()

        waiting = asyncio.ensure_future(room.run(work))
        await asyncio.to_thread(begun.wait, 20)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        room.close()
        return never.cancelled()

    assert asyncio.run(leave())
