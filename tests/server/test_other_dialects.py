"""Ollama's, Cohere's and text-embeddings-inference's shapes, the library's vectors."""

import base64

import numpy as np
import pytest
from serving import Reply, Served, rows

from gemlet import Embedder
from gemlet.vectors import quantize

LONG = "a heron " * 3000


@pytest.mark.parametrize("given", ["a heron", ["a heron", "the water", "a heron"]])
def test_ollama_embed(served: Served, tiny: Embedder, given: str | list[str]) -> None:
    reply = served.post("/api/embed", {"model": "tiny", "input": given, "keep_alive": "5m", "options": {"seed": 1}})
    texts = [given] if isinstance(given, str) else given
    assert np.array_equal(rows(reply["embeddings"]), tiny.encode(texts))
    assert reply["model"] == "tiny"
    assert reply["prompt_eval_count"] == tiny.count_tokens(texts).sum()
    assert reply["total_duration"] > 0 == reply["load_duration"]


def test_ollama_takes_the_task_of_the_name(served: Served, tiny: Embedder) -> None:
    reply = served.post("/api/embed", {"model": "tiny:query", "input": "a heron"})
    assert np.array_equal(rows(reply["embeddings"])[0], tiny.encode_query("a heron"))


@pytest.mark.parametrize("rest", [{}, {"input": ""}, {"input": None}, {"input": []}])
def test_ollama_without_a_text(served: Served, rest: dict) -> None:
    assert served.post("/api/embed", {"model": "tiny", **rest})["embeddings"] == []


def test_ollama_cuts_unless_told_not_to(served: Served, tiny: Embedder) -> None:
    with pytest.warns():
        wanted = tiny.encode(LONG)
    assert np.array_equal(rows(served.post("/api/embed", {"model": "tiny", "input": LONG})["embeddings"])[0], wanted)
    reply = served.ask("POST", "/api/embed", {"model": "tiny", "input": LONG, "truncate": False})
    assert (reply.status, reply.json) == (400, {"error": "the input length exceeds the context length"})


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"model": "tiny", "input": [1]}, 400, "invalid input type"),
        ({"model": "tiny", "input": 5}, 400, "invalid input type"),
        (b"", 400, "missing request body"),
        ({"model": "other", "input": "a"}, 404, "model 'other' not found"),
        ({"input": "a"}, 400, "missing required field `model`"),
        ({"model": "tiny", "input": "a", "dimensions": 63}, 400, "trained for 64"),
    ],
)
def test_ollamas_errors(served: Served, body: object, status: int, error: str) -> None:
    reply = served.ask("POST", "/api/embed", body)
    assert reply.status == status
    assert list(reply.json) == ["error"]
    assert error in reply.json["error"]


def test_ollamas_older_route(served: Served, tiny: Embedder) -> None:
    reply = served.post("/api/embeddings", {"model": "tiny", "prompt": "a heron"})
    assert np.array_equal(rows(reply["embedding"]), tiny.encode("a heron"))
    assert served.post("/api/embeddings", {"model": "tiny"}) == {"embedding": []}


def test_what_ollamas_clients_look_at(served: Served) -> None:
    (tag,) = served.get("/api/tags")["models"]
    assert (tag["name"], tag["model"], len(tag["digest"])) == ("tiny:latest", "tiny:latest", 64)
    assert tag["size"] > 100_000
    assert tag["details"]["quantization_level"] == "Q8_0"
    shown = served.post("/api/show", {"model": "tiny"})
    assert shown["capabilities"] == ["embedding"]
    assert shown["model_info"]["gemma-embedding.context_length"] == 2048
    assert served.ask("POST", "/api/show", {"model": "x"}).status == 404
    assert served.get("/api/version")["version"]
    assert served.ask("GET", "/").status == 200


def test_cohere(served: Served, tiny: Embedder) -> None:
    kinds = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    texts = ["a heron", "the water"]
    request = {"model": "tiny", "texts": texts, "input_type": "search_document", "embedding_types": kinds}
    reply = served.post("/v2/embed", request)
    wanted = tiny.encode_document(texts)
    found = reply["embeddings"]
    assert list(found) == kinds
    assert np.array_equal(rows(found["float"]), wanted)
    for kind in kinds[1:5]:
        assert np.array_equal(found[kind], quantize(wanted, kind))
    assert np.array_equal(np.frombuffer(base64.b64decode(found["base64"][1]), "<f4"), wanted[1])
    assert reply["texts"] == texts
    assert reply["meta"]["billed_units"]["input_tokens"] > 4
    for task, name in [("search_query", "query"), ("classification", "classification"), ("clustering", "clustering")]:
        one = served.post("/v2/embed", {"model": "tiny", "texts": ["x"], "input_type": task})
        assert np.array_equal(rows(one["embeddings"]["float"])[0], tiny.encode("x", prompt_name=name))


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"texts": []}, 400, "length >= 1"),
        ({"input_type": "image"}, 400, "no task 'image'"),
        ({"model": "embed-v4.0"}, 404, "no model 'embed-v4.0'"),
        ({"output_dimension": 1536}, 400, "output_dimension is 1536"),
        ({"texts": [LONG], "truncate": "NONE"}, 400, "the limit is 2048"),
    ],
)
def test_coheres_errors(served: Served, change: dict, status: int, message: str) -> None:
    reply = served.ask("POST", "/v2/embed", {"model": "tiny", "texts": ["a"], "input_type": "search_query"} | change)
    assert reply.status == status
    assert list(reply.json) == ["message"]
    assert message in reply.json["message"]


@pytest.mark.parametrize("path", ["/embed", "/"])
def test_tei_embed(served: Served, tiny: Embedder, path: str) -> None:
    assert np.array_equal(rows(served.post(path, {"inputs": "a heron"})), [tiny.encode("a heron")])
    texts = ["a heron", "the water"]
    found = served.post(path, {"inputs": texts, "prompt_name": "query", "normalize": False, "truncate": True})
    assert np.array_equal(rows(found), tiny.encode_query(texts, normalize_embeddings=False))
    ids = [encoding.ids.tolist() for encoding in tiny.tokenize(texts)]
    assert np.array_equal(rows(served.post(path, {"inputs": ids})), tiny.encode(texts))
    assert np.array_equal(rows(served.post(path, {"inputs": ids[0]})), tiny.encode(texts[:1]))


def test_tei_cuts_on_either_side(served: Served, tiny: Embedder) -> None:
    for direction in ("right", "Left"):
        with pytest.warns():
            wanted = tiny.encode_query([LONG], truncation=direction.lower())
        request = {"inputs": LONG, "prompt_name": "query", "truncation_direction": direction}
        assert np.array_equal(rows(served.post("/embed", request)), wanted)


def test_tei_embed_all(served: Served, tiny: Embedder) -> None:
    texts = ["a heron", "the water and the heron"]
    found = served.post("/embed_all", {"inputs": texts, "prompt_name": "document"})
    wanted = tiny.encode_document(texts, output_value="token_embeddings")
    assert all(np.array_equal(rows(one), two) for one, two in zip(found, wanted, strict=True))
    reply = served.ask("POST", "/embed_all", {"inputs": ["a heron " * 1500, "the water"]})
    assert reply.status == 413
    assert "a vector of each token" in reply.json["error"]


def test_tei_similarity_has_the_prompt_for_it(served: Served, tiny: Embedder) -> None:
    inputs = {"source_sentence": "a heron", "sentences": ["a heron", "the water", ""]}
    for parameters, name in [(None, "STS"), ({"prompt_name": "query"}, "query")]:
        found = served.post("/similarity", {"inputs": inputs, "parameters": parameters})
        texts = tiny.encode([inputs["source_sentence"], *inputs["sentences"]], prompt_name=name)
        assert np.array_equal(rows(found), tiny.similarity(texts[0], texts[1:])[0])


def test_tei_rerank_is_by_the_cosine_and_says_so(served: Served, tiny: Embedder) -> None:
    texts = ["the water", "a heron", "one"]
    reply = served.ask("POST", "/rerank", {"query": "heron", "texts": texts, "raw_scores": True, "return_text": True})
    assert reply.headers["x-score"] == "cosine"
    wanted = tiny.similarity(tiny.encode_query("heron"), tiny.encode_document(texts))[0]
    order = np.argsort(-wanted)
    assert [one["index"] for one in reply.json] == order.tolist()
    assert np.array_equal(rows([one["score"] for one in reply.json]), wanted[order])
    assert [one["text"] for one in reply.json] == [texts[index] for index in order]
    moved = served.post("/rerank", {"query": "heron", "texts": texts})
    assert [one["score"] for one in moved] == [(1 + float(wanted[index])) / 2 for index in order]
    assert "text" not in moved[0]


def test_tei_tokenize(served: Served, tiny: Embedder) -> None:
    ((first, *middle, last),) = served.post("/tokenize", {"inputs": "a héron 👍🏽", "prompt_name": "query"})
    encoding = tiny.tokenize("a héron 👍🏽", prompt_name="query")
    assert [first["id"], *(token["id"] for token in middle), last["id"]] == encoding.ids.tolist()
    assert (first["text"], first["special"], first["start"]) == ("<bos>", True, None)
    assert (last["text"], last["special"], last["stop"]) == ("<eos>", True, None)
    prompted = tiny.prompts["query"] + "a héron 👍🏽"
    assert all(prompted[token["start"] : token["stop"]] == token["text"] for token in middle)
    bare = served.post("/tokenize", {"inputs": ["a héron"], "add_special_tokens": False})
    assert not any(token["special"] for token in bare[0])


def test_tei_info_and_health(served: Served) -> None:
    info = served.get("/info")
    assert info["model_id"] == "tiny"
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    assert info["max_input_length"] == 2048
    for path in ("/health", "/ping"):
        reply = served.ask("GET", path)
        assert (reply.status, reply.body) == (200, b"")


def tei_refused(reply: Reply, status: int, kind: str) -> str:
    assert (reply.status, reply.json["error_type"]) == (status, kind), reply.body
    return str(reply.json["error"])


def test_teis_errors(served: Served) -> None:
    assert "empty" in tei_refused(served.ask("POST", "/embed", {"inputs": []}), 400, "Empty")
    assert "empty" in tei_refused(served.ask("POST", "/embed", {"inputs": ""}), 422, "Validation")
    assert "2048" in tei_refused(served.ask("POST", "/embed", {"inputs": LONG, "truncate": False}), 422, "Validation")
    assert "at most 2048" in tei_refused(served.ask("POST", "/embed", {"inputs": ["a"] * 2049}), 413, "Validation")
    tei_refused(served.ask("POST", "/embed", b"\xff"), 422, "Validation")
    tei_refused(served.ask("POST", "/embed", {"inputs": "a", "prompt_name": "poem"}), 422, "Validation")
    tei_refused(served.ask("POST", "/rerank", {"query": "a", "texts": []}), 422, "Validation")
    tei_refused(served.ask("GET", "/nowhere"), 404, "Validation")


def test_metrics_count_what_happened(served: Served) -> None:
    served.post("/embed", {"inputs": ["counted once", "counted once"]})
    text = served.ask("GET", "/metrics").body.decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['te_request_success{method="/embed"}']) >= 1
    assert float(lines['te_request_failure{err="empty"}']) >= 1
    assert float(lines["te_embed_success"]) >= 2
    assert float(lines["te_queue_size"]) == 0
    for name in ("te_request_duration", "te_request_tokenization_duration", "te_request_queue_duration"):
        assert float(lines[f"{name}_count"]) >= 1
    assert float(lines["te_request_inference_duration_count"]) >= 1
    assert float(lines["gemlet_cache_bytes"]) > 0


def test_texts_and_tokens_mixed(served: Served, tiny: Embedder) -> None:
    def ids(text: str) -> list[int]:
        return tiny.tokenize(text).ids.tolist()

    mixed = [ids("the water"), "a heron", ids("ABC"), "the water", "two"]
    found = rows(served.post("/embed", {"inputs": mixed}))
    assert np.array_equal(found, tiny.encode(["the water", "a heron", "ABC", "the water", "two"]))
    assert np.array_equal(rows(served.post("/embed", {"inputs": ids("ABC")}))[0], tiny.encode("ABC"))
    queries = rows(served.post("/embed", {"inputs": [ids("ABC"), "ABC"], "prompt_name": "query"}))
    assert np.array_equal(queries, np.stack([tiny.encode("ABC"), tiny.encode_query("ABC")]))


@pytest.mark.parametrize(
    ("inputs", "status"), [([], 400), (["a", 5], 422), ([5, "a"], 422), (["a", ""], 422), ([[], "a"], 422), ([5], 422)]
)
def test_mixtures_that_are_none(served: Served, inputs: list, status: int) -> None:
    assert served.ask("POST", "/embed", {"inputs": inputs}).status == status


@pytest.mark.parametrize("text", ["a heron", "AB  héron 🦘\n", "", " x"])
def test_decode_gives_back_what_tokenize_took(served: Served, text: str) -> None:
    ids = [token["id"] for token in served.post("/tokenize", {"inputs": text or "x"})[0]] if text else [2, 1]
    assert served.post("/decode", {"ids": ids}) == [text]
    assert served.post("/decode", {"ids": [ids, ids[1:-1] or [2]], "skip_special_tokens": False}) == [
        f"<bos>{text}<eos>",
        text or "<bos>",
    ]


@pytest.mark.parametrize(
    ("ids", "status"), [([], 400), ([-1], 422), ([512], 422), ([10**30], 422), (["a"], 422), ([1, [2]], 422), (5, 422)]
)
def test_ids_that_are_none(served: Served, ids: object, status: int) -> None:
    assert served.ask("POST", "/decode", {"ids": ids}).status == status
