"""The published model: every dimension it was trained for, the library's bits."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from serving import Served, rows, serving

from gemlet import Embedder


@pytest.fixture(scope="module")
def real(embedder: Embedder) -> Iterator[Served]:
    with serving(embedder) as served:
        yield served


@pytest.mark.parametrize("dim", [768, 512, 256, 128])
def test_dimensions(real: Served, embedder: Embedder, dim: int) -> None:
    wanted = embedder.encode_query("Which planet is red?", truncate_dim=dim)
    request = {"input": "Which planet is red?", "input_type": "query", "dimensions": dim, "encoding_format": "base64"}
    found = real.post("/v1/embeddings", request)["data"][0]["embedding"]
    assert np.array_equal(np.frombuffer(base64.b64decode(found), "<f4"), wanted)
    found = real.post("/embed", {"inputs": "Which planet is red?", "prompt_name": "query", "dimensions": dim})
    assert np.array_equal(rows(found)[0], wanted)


def test_many_clients_at_once(real: Served, embedder: Embedder) -> None:
    texts = [f"Mars, number {number}, is " + "red and " * (number % 5) + "far away." for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        found = pool.map(lambda text: real.post("/api/embed", {"model": "tiny:document", "input": text}), texts)
        assert np.array_equal(rows([one["embeddings"][0] for one in found]), embedder.encode_document(texts))
