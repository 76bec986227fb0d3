"""One server for the tests that change nothing in it."""

from collections.abc import Iterator

import pytest

from gemlet import Embedder

serving = pytest.importorskip("serving")


@pytest.fixture(scope="module")
def served(tiny: Embedder) -> Iterator["serving.Served"]:
    with serving.serving(tiny) as made:
        yield made
