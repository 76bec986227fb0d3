"""What every test may ask for: the real checkpoint, a tiny one of the same shape, every instruction set.

An embedder runs in 8 bits unless its name says f32, as the library's default is.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_tiny_checkpoint

from gemlet import Embedder, _core
from gemlet.pretrained import find

USERS_CACHE = os.environ.get("GEMLET_CACHE")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the tests write into gemlet's cache goes here, and away with them."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEMLET_CACHE", str(folder))
        yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """The published checkpoint: $GEMLET_CHECKPOINT, else the user's cache, else fetched into that (1.2 GB)."""
    if given := os.environ.get("GEMLET_CHECKPOINT"):
        return Path(given)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GEMLET_CACHE")
        if USERS_CACHE is not None:
            patch.setenv("GEMLET_CACHE", USERS_CACHE)
        return find("google/embeddinggemma-300m")


@pytest.fixture(scope="session")
def embedder(checkpoint: Path) -> Embedder:
    return Embedder(checkpoint)


@pytest.fixture(scope="session")
def embedder_f32(checkpoint: Path) -> Embedder:
    return Embedder(checkpoint, quantization="f32")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers, seeded; see tiny_model.py."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_checkpoint: Path) -> Embedder:
    return Embedder(tiny_checkpoint)


@pytest.fixture(scope="session")
def tiny_f32(tiny_checkpoint: Path) -> Embedder:
    return Embedder(tiny_checkpoint, quantization="f32")


@pytest.fixture(params=_core.isas())
def isa(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium: $GEMLET_CHROMIUM, or the system's."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("GEMLET_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("there is no Chromium: install the system's package, or name one in GEMLET_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
