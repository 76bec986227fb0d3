"""The file in 8 bits of a folder: written once, beside what it is made from or in the cache, anew when that changes."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_places import Lines, use_empty_caches
from tiny_model import write_tiny_checkpoint

from gemlet import CacheWarning, Embedder, _core, gguf, quantized
from gemlet.checkpoint import checkpoint_files
from gemlet.errors import WeightsError
from gemlet.pretrained import exclusive
from gemlet.pretrained.pins import Pin, PinnedCheckpoint
from gemlet.pretrained.progress import Meter, Silent
from gemlet.pretrained.store import Store
from gemlet.quantized import QuantizedFile

TEXTS = ["a text", "the red planet is seen at night", ""]


@pytest.fixture
def folder(tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own checkpoint, and an empty cache."""
    use_empty_caches(monkeypatch, tmp_path)
    return shutil.copytree(tiny_checkpoint, tmp_path / "mine")


@pytest.fixture
def fetched(folder: Path) -> Path:
    """The same as a pull leaves it: in the cache, with stamps."""
    digests = {
        str(path.relative_to(folder)): (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in checkpoint_files(folder)
    }
    store = Store(PinnedCheckpoint("tiny/model", "0" * 40, tuple(Pin(name, *pin) for name, pin in digests.items())))
    shutil.copytree(folder, store.folder)
    store.recheck(Meter(Silent(), "check", 0))
    return store.folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def forbid(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    def called(*_: object, **__: object) -> None:
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(owner, name, called)


def fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the writing of the file fail half-way."""

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(gguf, "write_gguf", broken)


# Where it lies, and when it is written


def test_the_first_use_writes_it_and_the_next_one_does_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Embedder(folder).encode(TEXTS)
    file = QuantizedFile(folder)
    assert file.is_current()
    assert _core.Gguf.open(str(file.path)).tensors["embed_tokens.weight"][0] == "Q8_0"
    forbid(monkeypatch, gguf, "write_gguf")
    assert np.array_equal(Embedder(folder).encode(TEXTS), first)
    assert np.array_equal(Embedder(file.path).encode(TEXTS), first)


def test_of_ones_own_folder_it_lies_in_the_cache_under_the_folders_name(folder: Path, tmp_path: Path) -> None:
    before = sorted(folder.rglob("*"))
    other = shutil.copytree(folder, tmp_path / "else" / "mine")
    paths = [quantized.quantized(each, Silent()) for each in (folder, other)]
    assert [path.parent for path in paths if path] == [tmp_path.resolve() / "cache" / "quantized"] * 2
    assert len(set(paths)) == 2
    assert all(path.name.startswith("mine-") for path in paths if path)
    assert sorted(folder.rglob("*")) == before


def test_two_names_of_a_folder_are_one(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    paths = {QuantizedFile(Path(name)).path for name in ("mine", "./mine", "link", str(folder))}
    assert len(paths) == 1


def test_of_a_fetched_checkpoint_it_lies_beside_it_and_nothing_is_hashed(
    fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, hashlib, "file_digest")
    path = quantized.quantized(fetched, Silent())
    assert path == fetched.resolve().parent / "000000000000.q8_0.gguf"
    digest = hashlib.sha256((fetched / "model.safetensors").read_bytes()).hexdigest()
    assert _core.Gguf.open(str(path)).metadata["gemlet.source_sha256"] == digest


def test_a_digest_counts_only_for_the_file_that_was_checked(fetched: Path) -> None:
    weights = fetched / "model.safetensors"
    os.utime(weights, ns=(0, 0))
    path = quantized.quantized(fetched, Silent())
    # Computed, as the stamp is of another time.
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert _core.Gguf.open(str(path)).metadata["gemlet.source_sha256"] == digest
    (fetched / "verified.json").write_text('{"model.safetensors": 7}')
    path.unlink()
    assert quantized.quantized(fetched, Silent()) == path


def test_the_bar_counts_to_the_files_end(folder: Path) -> None:
    seen: list[tuple[int, int, str]] = []

    class Counts(Silent):
        def update(self, done: int, total: int, what: str) -> None:
            seen.append((done, total, what))

    path = quantized.quantized(folder, Counts())
    assert path is not None
    assert seen[-1] == (path.stat().st_size, path.stat().st_size, path.name)


# When it is written anew

FILES = (
    "config.json", "modules.json", "tokenizer.json", "config_sentence_transformers.json", "sentence_bert_config.json",
    "model.safetensors", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
    "3_Dense/config.json", "3_Dense/model.safetensors",
)  # fmt: skip


def test_every_file_that_a_run_reads_counts(folder: Path) -> None:
    assert {str(path.relative_to(folder)) for path in checkpoint_files(folder)} == set(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", ["time", "size"])
def test_an_edited_checkpoint_gets_a_new_file(folder: Path, name: str, change: str) -> None:
    path = quantized.quantized(folder, Silent())
    assert path is not None
    before = path.stat().st_ino
    stat = (folder / name).stat()
    if change == "size" and name.endswith(".json"):
        (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
        os.utime(folder / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        os.utime(folder / name, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert not QuantizedFile(folder).is_current()
    kept = open(path, "rb")  # noqa: SIM115 - keeps the old file's number from being given again
    assert quantized.quantized(folder, Silent()) == path
    assert path.stat().st_ino != before
    assert len(list(path.parent.glob("*.gguf"))) == 1
    kept.close()


def test_the_vectors_are_the_edited_checkpoints(folder: Path) -> None:
    before = Embedder(folder).encode(TEXTS)
    write_tiny_checkpoint(folder, seed=1)
    after = Embedder(folder).encode(TEXTS)
    assert not np.allclose(after, before, atol=0.1)
    exact = Embedder(folder, quantization="f32").encode(TEXTS)
    assert (np.sum(after * exact, axis=1) > 0.99).all()


def test_what_is_not_read_does_not_count(folder: Path) -> None:
    path = quantized.quantized(folder, Silent())
    assert path is not None
    (folder / "README.md").write_text("notes")
    (folder / "checkpoint-500").mkdir()
    (folder / "checkpoint-500" / "model.safetensors").write_bytes(b"x")
    assert QuantizedFile(folder).is_current()


def test_another_writer_writes_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantized.quantized(folder, Silent())
    monkeypatch.setattr(quantized, "WRITER", quantized.WRITER + 1)
    assert not QuantizedFile(folder).is_current()
    quantized.quantized(folder, Silent())
    assert QuantizedFile(folder).is_current()


@pytest.mark.parametrize("record", ["", "{", "[]", "[" * 100_000, '{"writer": 1}', "\0\xff"])
def test_a_damaged_record_is_written_anew(folder: Path, record: str) -> None:
    path = quantized.quantized(folder, Silent())
    assert path is not None
    path.with_suffix(".json").write_text(record, encoding="latin-1")
    assert not QuantizedFile(folder).is_current()
    assert quantized.quantized(folder, Silent()) == path
    assert json.loads(path.with_suffix(".json").read_text())["folder"] == str(folder.resolve())


@pytest.mark.parametrize("keep", [None, 0, 1000])
def test_a_file_that_is_gone_or_cut_short_is_written_anew(folder: Path, keep: int | None) -> None:
    expected = Embedder(folder).encode(TEXTS)
    path = QuantizedFile(folder).path
    if keep is None:
        path.unlink()
    else:
        os.truncate(path, keep)
    assert np.array_equal(Embedder(folder).encode(TEXTS), expected)


def test_what_a_killed_writer_left_is_removed(folder: Path) -> None:
    path = QuantizedFile(folder).path
    path.parent.mkdir(parents=True)
    (path.parent / f".{path.name}.0123.tmp").write_bytes(b"half")
    (path.parent / ".other.gguf.0123.tmp").write_bytes(b"of another folder")
    quantized.quantized(folder, Silent())
    stem = path.with_suffix("").name
    assert names(path.parent) == sorted([".other.gguf.0123.tmp", f"{stem}.gguf", f"{stem}.json", f"{stem}.lock"])


def test_bytes_of_a_writer_never_change(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A cache that is read tomorrow was written yesterday: where this fails, raise WRITER with the digest."""
    path = tmp_path / "tiny.gguf"
    gguf.write_gguf(tiny_checkpoint, path, name="tiny", source_sha256="")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (quantized.WRITER, digest) == (3, "12fa14310cd5309407928f76aed6c918154a2ca65464015c41866ed4321ee42e")


# Where it cannot be kept


def assert_runs_without(folder: Path) -> str:
    """The folder runs in 8 bits all the same; returns the warning."""
    with pytest.warns(CacheWarning) as caught:
        embedder = Embedder(folder)
    assert embedder.quantization == "q8_0"
    assert len(caught) == 1
    assert caught[0].filename == __file__
    exact = Embedder(folder, quantization="f32").encode(TEXTS)
    given = embedder.encode(TEXTS)
    assert not np.array_equal(given, exact)
    assert (np.sum(given * exact, axis=1) > 0.99).all()
    message = str(caught[0].message)
    assert "\n" not in message
    assert str(QuantizedFile(folder).path) in message
    assert "set GEMLET_CACHE to a folder that can be written" in message
    return message


def test_a_cache_that_cannot_be_made(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GEMLET_CACHE", str(tmp_path / "file"))
    assert "Not a directory" in assert_runs_without(folder) or os.name == "nt"


def test_a_cache_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, PermissionError(errno.EACCES, "Permission denied", "x"))
    assert "Permission denied" in assert_runs_without(folder)


def test_a_disk_without_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": 1000}))
    assert "bytes needed, 1,000 free" in assert_runs_without(folder)
    assert not QuantizedFile(folder).path.exists()


def test_a_disk_that_fills_up_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    assert "No space left on device" in assert_runs_without(folder)


def test_a_file_that_is_there_needs_no_cache_that_can_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = quantized.quantized(folder, Silent())
    forbid(monkeypatch, Path, "mkdir")
    forbid(monkeypatch, quantized, "exclusive")
    assert quantized.quantized(folder, Silent()) == path


def test_a_checkpoint_that_the_format_cannot_say_runs_from_its_folder(tmp_path: Path, folder: Path) -> None:
    odd = write_tiny_checkpoint(tmp_path / "odd", query_pre_attn_scalar=64)
    assert quantized.quantized(odd, Silent()) is None
    exact = Embedder(odd, quantization="f32").encode(TEXTS)
    assert (np.sum(Embedder(odd).encode(TEXTS) * exact, axis=1) > 0.99).all()


def test_damaged_weights_are_an_error_not_a_warning(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError):
        quantized.quantized(folder, Silent())
    assert not QuantizedFile(folder).path.exists()


# Two at once


def test_a_second_process_waits_and_takes_what_the_first_wrote(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, progress = QuantizedFile(folder), Lines()
    file.path.parent.mkdir(parents=True)
    answers: list[Path | None] = []
    second = threading.Thread(target=lambda: answers.append(quantized.quantized(folder, progress)))
    write = gguf.write_gguf

    def write_meanwhile(*arguments: Any, **options: Any) -> None:
        second.start()
        while not progress.lines:
            second.join(0.01)
        write(*arguments, **options)
        forbid(monkeypatch, gguf, "write_gguf")

    monkeypatch.setattr(gguf, "write_gguf", write_meanwhile)
    assert quantized.quantized(folder, Silent()) == file.path
    second.join()
    assert answers == [file.path]
    assert progress.lines == [f"waiting: another process writes {file.path}"]


def test_without_a_lock_two_processes_write_one_whole_file(folder: Path) -> None:
    """As on a file system that knows no locks: each write is atomic."""
    code = (
        "import contextlib, sys; from gemlet import Embedder, quantized\n"
        "quantized.exclusive = lambda *_: contextlib.nullcontext()\n"
        "quantized.QuantizedFile._clear = lambda self: None\n"
        "print(Embedder(sys.argv[1]).encode('a text').tobytes().hex())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    printed = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0] * 4
    assert printed == {Embedder(folder).encode("a text").tobytes().hex() + "\n"}
    assert not list(QuantizedFile(folder).path.parent.glob(".*"))


def test_processes_at_once_write_it_once(folder: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "gemlet", "embed", "--model", str(folder), "a text"], stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    printed = {process.communicate()[0] for process in started}
    assert len(printed) == 1
    path = QuantizedFile(folder).path
    stem = path.with_suffix("").name
    assert names(path.parent) == sorted([f"{stem}.gguf", f"{stem}.json", f"{stem}.lock"])


def test_the_lock_is_free_again(folder: Path) -> None:
    path = quantized.quantized(folder, Silent())
    assert path is not None
    waits: list[str] = []
    with exclusive(path.with_suffix(".lock"), lambda: waits.append("waits")):
        assert not waits
