"""Official clients from the package index, unchanged; one that is not installed is skipped."""

import gc
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from serving import Served, rows

from gemlet import Embedder

TEXTS = ["a heron", "the water"]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is on this machine, whatever a proxy is set for."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def left_open() -> Iterator[None]:
    """For clients that leave their connections to the garbage collector."""
    yield
    with warnings.catch_warnings(action="ignore"):
        gc.collect()


def test_openai(served: Served, tiny: Embedder) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        reply = client.embeddings.create(model="tiny", input=TEXTS)  # asks for base64 by itself
        assert np.array_equal(rows([one.embedding for one in reply.data]), tiny.encode(TEXTS))
        assert reply.usage.prompt_tokens == tiny.count_tokens(TEXTS).sum()
        reply = client.embeddings.create(model="tiny", input="x", extra_body={"input_type": "query"})
        assert np.array_equal(rows(reply.data[0].embedding), tiny.encode_query("x"))
        reply = client.embeddings.create(model="tiny", input="x", encoding_format="float", dimensions=64, user="me")
        assert np.array_equal(rows(reply.data[0].embedding), tiny.encode("x"))
        assert "tiny:query" in [model.id for model in client.models.list()]
        with pytest.raises(openai.NotFoundError, match="there is no model"):
            client.embeddings.create(model="text-embedding-3-small", input="x")
        with pytest.raises(openai.BadRequestError, match="is empty"):
            client.embeddings.create(model="tiny", input="")


def test_ollama(served: Served, tiny: Embedder) -> None:
    ollama = pytest.importorskip("ollama")
    client = ollama.Client(host=served.url)
    reply = client.embed(model="tiny", input=TEXTS)
    assert np.array_equal(rows(reply.embeddings), tiny.encode(TEXTS))
    assert np.array_equal(rows(client.embed("tiny:query", "x").embeddings[0]), tiny.encode_query("x"))
    assert np.array_equal(rows(client.embeddings(model="tiny", prompt="x").embedding), tiny.encode("x"))
    assert [model.model for model in client.list().models] == ["tiny:latest"]
    assert client.show("tiny").capabilities == ["embedding"]
    with pytest.raises(ollama.ResponseError, match="'other' not found"):
        client.embed(model="other", input="x")
    client._client.close()


@pytest.mark.usefixtures("left_open")
def test_huggingface_hub(served: Served, tiny: Embedder) -> None:
    hub = pytest.importorskip("huggingface_hub")
    with hub.InferenceClient(base_url=served.url) as client:
        assert np.array_equal(client.feature_extraction("x")[0], tiny.encode("x"))
        found = client.feature_extraction("x", prompt_name="query", normalize=True)
        assert np.array_equal(found[0], tiny.encode_query("x"))
    with hub.InferenceClient(f"{served.url}/similarity") as client:
        pair = tiny.encode(["x", "y"], prompt_name="STS")
        assert np.float32(client.sentence_similarity("x", other_sentences=["y"])[0]) == tiny.similarity(*pair)[0, 0]


@pytest.mark.usefixtures("left_open")
def test_langchain(served: Served, tiny: Embedder) -> None:
    langchain = pytest.importorskip("langchain_openai", reason="pip install langchain-openai")
    made = {
        name: langchain.OpenAIEmbeddings(
            base_url=f"{served.url}/v1", api_key="none", model=f"tiny:{name}", check_embedding_ctx_length=False
        )
        for name in ("query", "document")
    }
    assert np.array_equal(rows(made["document"].embed_documents(TEXTS)), tiny.encode_document(TEXTS))
    assert np.array_equal(rows(made["query"].embed_query("x")), tiny.encode_query("x"))


@pytest.mark.usefixtures("left_open")
def test_llama_index(served: Served, tiny: Embedder) -> None:
    openai = pytest.importorskip("llama_index.embeddings.openai", reason="pip install llama-index-embeddings-openai")
    model = openai.OpenAIEmbedding(
        api_base=f"{served.url}/v1", api_key="none", model_name="tiny", additional_kwargs={"extra_body": {}}
    )
    assert np.array_equal(rows(model.get_text_embedding_batch(TEXTS)), tiny.encode(TEXTS))


@pytest.mark.usefixtures("left_open")
def test_cohere(served: Served, tiny: Embedder) -> None:
    cohere = pytest.importorskip("cohere", reason="pip install cohere")
    client = cohere.ClientV2(api_key="none", base_url=served.url)
    reply = client.embed(model="tiny", texts=TEXTS, input_type="search_document", embedding_types=["float", "int8"])
    assert np.array_equal(rows(reply.embeddings.float_), tiny.encode_document(TEXTS))
    assert len(reply.embeddings.int8[0]) == 64
