"""One server for the tests that change nothing in it; without the extra `server` there is nothing to test."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from gemlet import Embedder

if TYPE_CHECKING:
    from serving import Served

if not all(map(find_spec, ("msgspec", "starlette", "uvicorn", "httptools", "prometheus_client"))):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="module")
def served(tiny: Embedder) -> Iterator["Served"]:
    from serving import serving

    with serving(tiny) as made:
        yield made
