"""The OpenAPI document is true: schemathesis asks by it, and what comes is what it says."""

from pathlib import Path

import pytest
from serving import Served, schemathesis


def test_every_route_is_in_it(served: Served) -> None:
    document = served.get("/openapi.json")
    assert document["openapi"] == "3.1.0"
    routes = [(method, path) for path, methods in document["paths"].items() for method in methods]
    assert len(routes) >= 18
    for method, path in routes:
        assert served.ask(method.upper(), path.replace("{model}", "tiny")).status not in (404, 405)
    assert document["components"]["schemas"]["EmbeddingsRequest"]["properties"]["dimensions"]["anyOf"][0] == {
        "enum": [64]
    }


def test_schemathesis_finds_nothing(served: Served, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    done = schemathesis(served.url, tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
