"""/v1: OpenAI's shapes, the library's vectors."""

import base64

import numpy as np
import pytest
from serving import Served, rows

from gemlet import Embedder

EMBED = "/v1/embeddings"


def vectors(reply: dict) -> np.ndarray:
    assert [one["index"] for one in reply["data"]] == list(range(len(reply["data"])))
    return rows([one["embedding"] for one in reply["data"]])


def refused(served: Served, **request: object) -> dict:
    """The error of a request that must be a 400 or 404."""
    reply = served.ask("POST", EMBED, request)
    error = reply.json["error"]
    assert reply.status in (400, 404), reply.body
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    return {"status": reply.status, **error}


def test_a_text_and_texts(served: Served, tiny: Embedder) -> None:
    reply = served.post(EMBED, {"input": "a heron", "model": "tiny"})
    assert (reply["object"], reply["model"], reply["data"][0]["object"]) == ("list", "tiny", "embedding")
    count = int(tiny.count_tokens("a heron")[0])
    assert reply["usage"] == {"prompt_tokens": count, "total_tokens": count}
    assert "truncated" not in reply
    assert np.array_equal(vectors(reply), [tiny.encode("a heron")])
    many = [f"text {number} " * number for number in range(1, 80)]
    assert np.array_equal(vectors(served.post(EMBED, {"input": many})), tiny.encode(many))


def test_base64_is_little_endian_float32(served: Served, tiny: Embedder) -> None:
    reply = served.post(EMBED, {"input": ["a", "b"], "encoding_format": "base64"})
    decoded = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in reply["data"]]
    assert np.array_equal(decoded, tiny.encode(["a", "b"]))


@pytest.mark.parametrize("field", ["input_type", "task", "prompt_name"])
def test_a_task_by_any_of_its_names(served: Served, tiny: Embedder, field: str) -> None:
    for task, name in [("query", "query"), ("search_query", "query"), ("passage", "document"), ("STS", "STS")]:
        reply = served.post(EMBED, {"input": "a heron", field: task})
        assert np.array_equal(vectors(reply)[0], tiny.encode("a heron", prompt_name=name))
    assert np.array_equal(vectors(served.post(EMBED, {"input": "x", field: "none"}))[0], tiny.encode("x"))


def test_titles_go_into_the_document_prompt(served: Served, tiny: Embedder) -> None:
    reply = served.post(EMBED, {"input": ["a", "b"], "titles": ["Birds", None], "input_type": "document"})
    assert np.array_equal(vectors(reply), tiny.encode_document(["a", "b"], titles=["Birds", None]))
    assert "titles for 2 texts" in refused(served, input=["a", "b"], titles=["Birds"])["message"]
    assert "are of documents" in refused(served, input=["a"], titles=["x"], input_type="query")["message"]


def test_the_models_name_may_end_in_a_task_and_never_doubles_a_prompt(served: Served, tiny: Embedder) -> None:
    reply = served.post(EMBED, {"input": ["a heron", "task: search result | query: a heron"], "model": "tiny:query"})
    assert np.array_equal(vectors(reply), tiny.encode_query(["a heron"] * 2))
    assert np.array_equal(vectors(served.post(EMBED, {"input": "x", "model": "tiny:latest"}))[0], tiny.encode("x"))


def test_tokens(served: Served, tiny: Embedder) -> None:
    encodings = tiny.tokenize(["a heron", "the water"], prompt_name="query")
    ids = [encoding.ids.tolist() for encoding in encodings]
    wanted = tiny.encode_query(["a heron", "the water"])
    assert np.array_equal(vectors(served.post(EMBED, {"input": ids})), wanted)
    assert np.array_equal(vectors(served.post(EMBED, {"input": ids[0]})), wanted[:1])
    assert np.array_equal(vectors(served.post(EMBED, {"input": [ids[0][:-1]]})), wanted[:1])  # <eos> may be left out


def test_tokens_of_another_tokenizer_are_refused(served: Served) -> None:
    assert "does not begin with <bos>, 2" in refused(served, input=[[9906, 1917]])["message"]
    assert "not from 0 to 511" in refused(served, input=[[2, 512]])["message"]
    assert "not from 0 to 511" in refused(served, input=[[2, -1]])["message"]
    assert "leave the task" in refused(served, input=[[2, 5]], task="query")["message"]
    assert "cannot be mixed" in refused(served, input=["a", [2, 5]])["message"]


def test_long_texts_are_refused_unless_they_may_be_cut(served: Served, tiny: Embedder) -> None:
    long = "a heron " * 3000
    error = refused(served, input=["short", long])
    assert error["code"] == "context_length_exceeded"
    assert "text 1 has" in error["message"]
    for truncate, how in [(True, "right"), ("right", "right"), ("left", "left"), ("window", "window")]:
        reply = served.post(EMBED, {"input": [long, "short"], "truncate": truncate, "task": "query"})
        with pytest.warns() if how != "window" else pytest.MonkeyPatch.context():
            wanted = tiny.encode([long, "short"], prompt_name="query", truncation=how)
        assert np.array_equal(vectors(reply), wanted)
        assert ("truncated" in reply) == (how != "window")
    assert refused(served, input=long, truncate=False)["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("request_", "param", "message"),
    [
        ({"input": ""}, "input", "empty"),
        ({"input": []}, "input", "empty"),
        ({"input": ["a", ""]}, "input", "empty"),
        ({"input": None}, "input", "Expected"),
        ({"input": {"a": 1}}, "input", "Expected"),
        ({"input": "a", "dimensions": 100}, "dimensions", "trained for 64"),
        ({"input": "a", "dimensions": 0}, "dimensions", ">= 1"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "Invalid enum"),
        ({"input": "a", "input_type": "poem"}, "input_type", "there are query"),
        ({"input": "a", "input_type": "query", "task": "STS"}, "input_type", "send one"),
        ({"input": "a", "model": "tiny:poem"}, "model", "no task"),
        ({"input": "a", "dimension": 64}, None, "unknown field `dimension`"),
        ({"model": "tiny"}, None, "missing required field `input`"),
    ],
)
def test_a_mistake_is_named(served: Served, request_: dict, param: str | None, message: str) -> None:
    error = refused(served, **request_)
    assert message in error["message"]
    assert error["param"] == param


def test_another_model_is_not_there(served: Served) -> None:
    error = refused(served, input="a", model="text-embedding-3-small")
    assert (error["status"], error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "'tiny'" in error["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b'{"input": "\xff"}', b'{"input": "\\ud800"}', b'{"input":' + b"[" * 50_000]
)
def test_a_body_that_is_no_request(served: Served, body: bytes) -> None:
    reply = served.ask("POST", EMBED, body)
    assert reply.status == 400
    assert reply.json["error"]["type"] == "invalid_request_error"


def test_models(served: Served) -> None:
    listed = served.get("/v1/models")
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["tiny", "tiny:query", "tiny:document"]
    assert all(model["object"] == "model" and model["created"] > 0 for model in listed["data"])


def test_what_there_is_not(served: Served) -> None:
    reply = served.ask("GET", "/v1/completions")
    assert (reply.status, reply.json["error"]["type"]) == (404, "invalid_request_error")
    reply = served.ask("GET", EMBED)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("name", ["tiny", "tiny:query", "tiny:latest"])
def test_one_model(served: Served, name: str) -> None:
    found = served.get(f"/v1/models/{name}")
    assert (found["id"], found["object"], found["owned_by"]) == (name, "model", "gemlet")


@pytest.mark.parametrize("name", ["", "other", "tiny/x", "tiny:poem", "tiny%2F"])
def test_a_model_that_there_is_not(served: Served, name: str) -> None:
    reply = served.ask("GET", f"/v1/models/{name}")
    assert reply.status in (400, 404)
    assert reply.json["error"]["param"] == "model"
    assert served.ask("DELETE", f"/v1/models/{name}").status == 405
