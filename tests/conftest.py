"""What every test may ask for: the real checkpoint, a tiny one of the same shape, every instruction set."""

import os
from pathlib import Path

import pytest
from tiny_model import write_tiny_checkpoint

from gemlet import Embedder, _core
from gemlet.pretrained import find


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """The published checkpoint: $GEMLET_CHECKPOINT, else the cache, else fetched into the cache (1.2 GB)."""
    return Path(os.environ.get("GEMLET_CHECKPOINT") or find("google/embeddinggemma-300m"))


@pytest.fixture(scope="session")
def embedder(checkpoint: Path) -> Embedder:
    return Embedder(checkpoint)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers, seeded; see tiny_model.py."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_checkpoint: Path) -> Embedder:
    return Embedder(tiny_checkpoint)


@pytest.fixture(params=_core.isas())
def isa(request: pytest.FixtureRequest) -> str:
    return str(request.param)
