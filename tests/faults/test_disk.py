"""A full disk, a read-only index, a damaged page, two processes at once: one clear line each, and no wrong result."""

import contextlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CommandLine
from test_killed import state_of

from gemlet.errors import StoreCorrupt, StoreError
from gemlet.store import Store

NOBODY = 65534


def one_line(err: str) -> str:
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("gemlet: ")
    return lines[0]


def test_a_disk_that_fills_up_ends_the_run_with_one_line_and_keeps_what_was_complete(
    gemlet: CommandLine, corpus: Path, tmp_path: Path
) -> None:
    """A limit on the size of a file stands for the disk: what the system answers is the same kind of error."""
    whole = tmp_path / "whole.db"
    assert gemlet.run(corpus, "--index", whole)[0] == 0
    expected = state_of(whole)
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
        if path.exists() and path.stat().st_size:
            found = state_of(path)
            assert all(expected[name] == passages for name, passages in found.items())
            counts.append(len(found))
    assert len(counts) >= 2
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


def state_of_copy(path: Path, folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Read a copy: on a full disk there is no room even to open the index."""
    for ending in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(f"{path}{ending}", folder / f"copy.db{ending}")
    return state_of(folder / "copy.db")


def as_nobody(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run Python as a user who may not write: root may everywhere."""
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, **user)


READ = """
import sys
from gemlet.store import Store
from gemlet.errors import GemletError
try:
    with Store(sys.argv[1]) as store:
        ids = [i for i, _ in store.keyword("apple", 99)]
        print(len(store.passages(ids)), len(store.scan()))
except GemletError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
@pytest.mark.parametrize("folder_mode", [0o755, 0o555])
def test_an_index_that_cannot_be_written_can_be_searched(
    gemlet: CommandLine, corpus: Path, tmp_path: Path, folder_mode: int
) -> None:
    folder = readable(tmp_path)
    path = folder / "index.db"
    assert gemlet.run(corpus, "--index", path)[0] == 0
    (folder / "index.db.scan").unlink()
    expected = as_root_reads(path)
    (folder / "index.db.scan").unlink()
    path.chmod(0o444)
    folder.chmod(folder_mode)
    done = as_nobody(READ, path)
    if "Permission" in done.stderr or "No module" in done.stderr or done.returncode:
        pytest.skip(f"another user cannot run this Python: {done.stderr[-80:]}")
    assert done.stdout.split() == expected
    assert {p.name for p in folder.iterdir()} == {"index.db", "index.db.lock"}


def test_an_index_in_a_read_only_folder_is_not_written_and_says_so(
    gemlet: CommandLine, corpus: Path, tmp_path: Path
) -> None:
    folder = readable(tmp_path)
    path = folder / "index.db"
    assert gemlet.run(corpus, "--index", path)[0] == 0
    path.chmod(0o444)
    folder.chmod(0o555)
    code = "import sys; from gemlet.store import StoreWriter\ntry:\n StoreWriter(sys.argv[1]).set_meta('a', 1)\nexcept Exception as e: print(e)"
    done = as_nobody(code, path)
    if done.returncode:
        pytest.skip("another user cannot run this Python")
    assert "the index" in done.stdout
    assert "look at its permissions, or take another with --index" in done.stdout


def test_unfinished_work_in_a_read_only_folder_is_refused_and_never_passed_over(tmp_path: Path) -> None:
    folder = readable(tmp_path)
    path = folder / "index.db"
    code = "import os, sys; from gemlet.store import StoreWriter\nw = StoreWriter(sys.argv[1])\nw.set_meta('a', 1)\nos._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.with_name("index.db-wal").stat().st_size
    path.with_name("index.db-shm").unlink()
    for each in folder.iterdir():
        each.chmod(0o444)
    folder.chmod(0o555)
    done = as_nobody(READ, path)
    if done.returncode:
        pytest.skip("another user cannot run this Python")
    assert "has unfinished work beside it (-wal)" in done.stdout


def readable(tmp_path: Path) -> Path:
    """A folder that other users may enter: pytest's own are closed to them."""
    folder = tmp_path / "open"
    folder.mkdir()
    for above in (folder, *folder.parents):
        with contextlib.suppress(PermissionError):
            if (
                above.owner() != "nobody"
                and above.is_relative_to(Path(tmp_path.anchor) / "tmp")
                and above.name != "tmp"
            ):
                above.chmod(0o755)
    return folder


def as_root_reads(path: Path) -> list[str]:
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_every_damaged_page_is_found_out_or_does_no_harm(gemlet: CommandLine, corpus: Path, tmp_path: Path) -> None:
    """Each page in turn is overwritten: what is read then is right, or the error names the index."""
    whole = tmp_path / "whole.db"
    assert gemlet.run(corpus, "--index", whole)[0] == 0
    content = whole.read_bytes()
    size = 4096
    expected = everything(whole)
    outcomes = {"refused": 0, "right": 0}
    damaged = tmp_path / "damaged.db"
    for page in range(len(content) // size):
        for junk in (bytes(size), bytes((i * 37 + page) % 256 for i in range(size)), None):
            begin = page * size
            if junk is None:  # one byte in the middle
                spot = begin + size * 2 // 3
                changed = content[:spot] + bytes([content[spot] ^ 0x10]) + content[spot + 1 :]
            else:
                changed = content[:begin] + junk + content[begin + size :]
            damaged.write_bytes(changed)
            damaged.with_name("damaged.db.scan").unlink(missing_ok=True)
            try:
                found = everything(damaged)
            except (StoreCorrupt, StoreError) as error:
                assert str(damaged) in str(error)
                outcomes["refused"] += 1
            else:
                for what, rows in found.items():
                    assert rows == expected[what] or set(rows) < set(expected[what]), f"page {page}: wrong {what}"
                outcomes["right"] += rows == expected["vectors"]
    assert outcomes["refused"] > outcomes["right"] > 0


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


def test_two_processes_at_once_make_one_whole_index(gemlet: CommandLine, corpus: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.db"
    assert gemlet.run(corpus, "--index", alone)[0] == 0
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
    assert state_of(path) == state_of(alone)


def test_readers_beside_a_writer_never_see_half_a_document(gemlet: CommandLine, corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    process = gemlet.start(corpus, "--index", path)
    looks = 0
    while process.poll() is None:
        try:
            with Store(path) as store:
                for file in store.files():
                    assert len(store.passages_of(file.path)) in (file.passages, 0)
                looks += 1
        except StoreError as error:
            assert "there is no index" in str(error) or "is no gemlet index" in str(error)
    process.communicate()
    assert process.returncode == 0
    assert looks > 3


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
