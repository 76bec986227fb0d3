"""A full disk, a read-only index, a damaged page, two processes at once: one clear line each, and no wrong result."""

import contextlib
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from indexing import CommandLine, State, state_of

from gemlet.errors import StoreError, StoreNotFound
from gemlet.store import Store

NOBODY = 65534
PAGE = 4096  # of SQLite's file


def one_line(err: str) -> str:
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("gemlet: ")
    return lines[0]


def test_a_disk_that_fills_up_ends_the_run_with_one_line_and_keeps_what_was_complete(
    gemlet: CommandLine, corpus: Path, tmp_path: Path, expected: State
) -> None:
    """A limit on the size of a file stands for the disk: what the system answers is the same kind of error."""
    path = tmp_path / "index.db"
    counts = []
    for limit in (60_000, 150_000, 250_000, 400_000):
        code, _, err = gemlet.run(
            corpus,
            "--index",
            path,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        if code == 0:
            break
        assert code == 1
        line = one_line(err)
        assert str(path) in line
        assert "the same command goes on from there" in line or "cannot make" in line
        with contextlib.suppress(StoreNotFound):  # the smallest disk has no room for the tables
            found = state_of(path)
            assert all(expected[name] == passages for name, passages in found.items())
            counts.append(len(found))
    assert len(counts) >= 2
    assert counts[-1] < 60  # how many of them, depends on how often a run of this machine's pace writes
    assert counts == sorted(counts)
    assert gemlet.run(corpus, "--index", path)[0] == 0
    assert state_of(path) == expected


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs to mount a small disk")
def test_a_small_disk(gemlet: CommandLine, corpus: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True)
    if done.returncode:
        pytest.skip("may not mount")
    try:
        code, _, err = gemlet.run(corpus, "--index", disk / "index.db")
        assert code == 1
        assert "no room left on the disk" in one_line(err)
        kept = len(state_of_copy(disk / "index.db", tmp_path))
        subprocess.run(["mount", "-o", "remount,size=30m", str(disk)], check=True)
        code, out, _ = gemlet.run(corpus, "--index", disk / "index.db", "--json")
        assert code == 0
        assert json.loads(out)["unchanged"] == kept
        assert len(state_of(disk / "index.db")) == 60
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def state_of_copy(path: Path, folder: Path) -> State:
    """Read a copy: on a full disk there is no room even to open the index."""
    for ending in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(f"{path}{ending}", folder / f"copy.db{ending}")
    return state_of(folder / "copy.db")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users may enter: pytest's own are closed to them."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


def as_nobody(code: str, path: Path) -> str:
    """What Python code prints as a user who may not write: root may everywhere."""
    before = "import os, sys, gemlet.scan, gemlet.store.scanning, tempfile; from gemlet.errors import GemletError\n"
    become = f"os.setuid({NOBODY})\n" if os.geteuid() == 0 else ""
    done = subprocess.run(
        [sys.executable, "-c", before + become + code, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


READ = """
from gemlet.store import Store
try:
    with Store(sys.argv[1]) as store:
        ids = [i for i, _ in store.keyword("apple", 99)]
        print(len(store.passages(ids)), len(store.scan()))
except GemletError as error:
    print(error)
"""

WRITE = """
from gemlet.store import StoreWriter
try:
    StoreWriter(sys.argv[1]).set_meta("a", 1)
except GemletError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
@pytest.mark.parametrize("folder_mode", [0o755, 0o555])
def test_an_index_that_cannot_be_written_can_be_searched(
    gemlet: CommandLine, corpus: Path, folder: Path, folder_mode: int
) -> None:
    path = folder / "index.db"
    assert gemlet.run(corpus, "--index", path)[0] == 0
    (folder / "index.db.scan").unlink()
    with Store(path) as store:
        expected = [str(len(store.keyword("apple", 99))), str(len(store.scan()))]
    (folder / "index.db.scan").unlink()
    path.chmod(0o444)
    folder.chmod(folder_mode)
    assert as_nobody(READ, path).split() == expected
    assert {p.name for p in folder.iterdir()} == {"index.db", "index.db.lock"}


def test_an_index_in_a_read_only_folder_is_not_written_and_says_so(
    gemlet: CommandLine, corpus: Path, folder: Path
) -> None:
    path = folder / "index.db"
    assert gemlet.run(corpus, "--index", path)[0] == 0
    path.chmod(0o444)
    folder.chmod(0o555)
    said = as_nobody(WRITE, path)
    assert f"the index {path}" in said
    assert "look at its permissions, or take another with --index" in said


def test_unfinished_work_in_a_read_only_folder_is_refused_and_never_passed_over(folder: Path) -> None:
    path = folder / "index.db"
    code = (
        "import os, sys\nfrom gemlet.store import StoreWriter\nStoreWriter(sys.argv[1]).set_meta('a', 1)\nos._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.with_name("index.db-wal").stat().st_size
    path.with_name("index.db-shm").unlink()
    for each in folder.iterdir():
        each.chmod(0o444)
    folder.chmod(0o555)
    assert "has unfinished work beside it (-wal)" in as_nobody(READ, path)


def test_damage_to_any_page_is_found_out_or_does_no_harm(whole: Path, tmp_path: Path) -> None:
    """What is read is right, or an error names the file. Only a word may be missed: FTS5 has no checksums."""
    content, expected = whole.read_bytes(), everything(whole)
    path = tmp_path / "damaged.db"
    outcomes = Counter[str]()
    for page in range(len(content) // PAGE):
        for damaged in damages(content, page):
            path.write_bytes(damaged)
            path.with_name("damaged.db.scan").unlink(missing_ok=True)
            try:
                found = everything(path)
            except StoreError as error:
                assert str(path) in str(error)
                outcomes["refused"] += 1
                continue
            assert set(found["words"]) <= set(expected["words"])
            outcomes["a word missed" if found["words"] != expected["words"] else "right"] += 1
            assert {**found, "words": []} == {**expected, "words": []}, f"page {page}"
    assert outcomes["refused"] > 100
    assert outcomes["right"] > 50  # in pages that hold nothing, and in the free space of others
    assert outcomes["a word missed"] < outcomes.total() / 50


def damages(content: bytes, page: int) -> Iterator[bytes]:
    """The file with one page lost or overwritten, or one bit of it changed: in its head, or anywhere."""
    chance = random.Random(page)
    begin, end = page * PAGE, (page + 1) * PAGE
    yield content[:begin] + bytes(PAGE) + content[end:]
    yield content[:begin] + chance.randbytes(PAGE) + content[end:]
    for spot in (begin + chance.randrange(16), begin + chance.randrange(16), begin + chance.randrange(PAGE)):
        yield content[:spot] + bytes([content[spot] ^ 1 << chance.randrange(8)]) + content[spot + 1 :]


def everything(path: Path) -> dict[str, list[object]]:
    """All that a search may show: passages, where they are, and what is scanned."""
    with Store(path) as store:
        found = [p for file in store.files() for p in store.passages_of(file.path)]
        by_word = store.passages([i for i, _ in store.keyword("apple", 2000)])
        scan = store.scan()
        rows = [(int(i), c.tobytes(), float(s)) for i, c, s in zip(scan.ids, scan._codes, scan._scales, strict=True)]
        return {
            "passages": [(p.id, p.text, p.title, p.first_line, p.last_line, p.paths) for p in found],
            "words": sorted(p.id for p in by_word if "apple" in p.text),
            "vectors": rows,
        }


def test_a_damaged_index_is_one_line_and_a_cure_on_the_command_line(
    gemlet: CommandLine, corpus: Path, tmp_path: Path
) -> None:
    path = tmp_path / "index.db"
    assert gemlet.run(corpus, "--index", path)[0] == 0
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    code, _, err = gemlet.run("--index", path)
    assert code == 1
    assert "is damaged" in one_line(err)
    assert "delete it and run `gemlet index` again, the files are untouched" in err


def test_two_processes_at_once_make_one_whole_index(
    gemlet: CommandLine, corpus: Path, tmp_path: Path, expected: State
) -> None:
    path = tmp_path / "index.db"
    processes = [gemlet.start(corpus, "--index", path, "--json") for _ in range(3)]
    reports = []
    waited = 0
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        reports.append(json.loads(out))
        waited += "waiting: another process writes" in err
    assert sorted(report["added"] for report in reports) == [0, 0, 60]
    assert sorted(report["unchanged"] for report in reports) == [0, 60, 60]
    assert waited == 2
    assert state_of(path) == expected


def test_readers_beside_a_writer_see_whole_documents(gemlet: CommandLine, corpus: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(corpus, docs)
    path = tmp_path / "index.db"
    looks = 0
    for change in range(3):
        process = gemlet.start(docs, "--index", path)
        while process.poll() is None:
            with contextlib.suppress(StoreNotFound), Store(path) as store:
                for file in store.files():
                    store.passages_of(file.path)  # StoreCorrupt unless all of the document's are there
                found = store.passages([i for i, _ in store.keyword("apple", 99)])
                assert all("apple" in passage.text for passage in found)
                store.scan()
                looks += 1
        _, err = process.communicate()
        assert process.returncode == 0, err
        for number, file in enumerate(sorted(docs.iterdir())):
            if number % 3 == change:
                file.write_text(f"Changed. {file.read_text()}")
    assert looks > 10


def test_a_foreign_database_is_never_written(gemlet: CommandLine, corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious(x)")
    connection.close()
    before = path.read_bytes()
    code, _, err = gemlet.run(corpus, "--index", path)
    assert code == 1
    assert "is no gemlet index: name another file with --index" in one_line(err)
    assert path.read_bytes() == before
