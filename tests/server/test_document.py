"""The OpenAPI document is true: schemathesis asks by it, and what comes is what it says."""

import subprocess
import sys
from pathlib import Path

import pytest
from serving import Served

HERE = Path(__file__).parent


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


def schemathesis(url: str, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Ask a server for what its document says; exit code 0: nothing was found."""
    always = ["--max-examples", "10", "--seed", "1", "--generation-database", "none", "--no-color"]
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml")]
    command += ["run", f"{url}/openapi.json", *always, *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)


def test_schemathesis_finds_nothing(served: Served, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    done = schemathesis(served.url, tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
