"""`gemlet index` as a user meets it: what it prints where, each failure with its message and exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from indexing import CommandLine

LONG_AGO = (1_000_000_000, 1_000_000_000)


@pytest.fixture(scope="module")
def gemlet(tiny_checkpoint: Path, own_cache: Path) -> CommandLine:
    return CommandLine(tiny_checkpoint, own_cache)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in {"a.txt": "Apples are red.", "b.md": "# Pears\n\nThey are green."}.items():
        (folder / name).write_text(text)
        os.utime(folder / name, LONG_AGO)
    return folder


def test_one_line_tells_what_a_run_did(gemlet: CommandLine, docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.db"
    code, out, err = gemlet.run(docs, "--index", index)
    assert (code, err) == (0, "")
    assert out.startswith(f"{index}: 2 added; 2 passages of ")
    assert out.count("\n") == 1
    assert gemlet.run("--index", index)[1].startswith(f"{index}: 2 unchanged (")
    (docs / "a.txt").unlink()
    assert gemlet.run(docs, "--index", index)[1].startswith(f"{index}: 1 removed, 1 unchanged (")


def test_json_has_every_count(gemlet: CommandLine, docs: Path, tmp_path: Path) -> None:
    (docs / os.fsdecode(b"bad\n\xff.txt")).write_bytes(b"\0")
    code, out, err = gemlet.run(docs, "--index", tmp_path / "i.db", "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert (report["added"], report["passages"], report["index"]) == (2, 2, str(tmp_path / "i.db"))
    assert report["problems"][0]["path"] == str(docs / os.fsdecode(b"bad\n\xff.txt"))
    status = json.loads(gemlet.run("--index", tmp_path / "i.db", "--status", "--json")[1])
    assert (status["files"], status["dim"], status["roots"]) == (2, 64, [str(docs)])
    assert status["unread"] == report["problems"]


def test_problems_are_listed_at_the_end_on_one_line_each_and_are_no_failure(
    gemlet: CommandLine, docs: Path, tmp_path: Path
) -> None:
    for i in range(25):
        (docs / f"new\nline{i:02}.txt").write_bytes(b"\0")
    code, out, err = gemlet.run(docs, "--index", tmp_path / "i.db")
    lines = err.splitlines()
    assert code == 0
    assert "25 could not be read" in out
    assert len(lines) == 21
    assert lines[0].startswith(f"gemlet: {docs}/new\\nline00.txt: ")
    assert lines[20] == "gemlet: ... and 5 more: `gemlet index --status` lists them all"
    assert len(gemlet.run("--index", tmp_path / "i.db", "--status")[2].splitlines()) == 25


def test_status_names_the_roots_and_the_model(gemlet: CommandLine, docs: Path, tmp_path: Path) -> None:
    gemlet.run(docs, "--index", tmp_path / "i.db")
    code, out, _ = gemlet.run("--index", tmp_path / "i.db", "--status")
    assert code == 0
    for line in ("files:         2", "passages:      2", f"  {docs}", "dim:           64", "quantization:  q8_0"):
        assert line in out.splitlines()


def test_remove_takes_a_folder_out(gemlet: CommandLine, docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.db"
    gemlet.run(docs, "--index", index)
    assert gemlet.run("--remove", docs / "a.txt", "--index", index)[1] == f"1 file taken out of {index}\n"
    assert gemlet.run("--remove", docs, "--index", index, "--json")[1] == '{"removed": 1}\n'
    code, _, err = gemlet.run("--remove", docs, "--index", index)
    assert (code, err) == (2, f"gemlet: the index {index} has nothing of {docs}\n")


def test_rebuild_changes_what_an_index_was_made_with(gemlet: CommandLine, docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.db"
    gemlet.run(docs, "--index", index)
    (docs / "a.txt").write_text("changed")
    code, _, err = gemlet.run("--index", index, "--quantization", "f32")
    assert code == 1
    assert err.startswith(f"gemlet: the index {index} was made with quantization q8_0, not f32: ")
    assert err.endswith("or make it anew with `gemlet index --rebuild`\n")
    code, out, _ = gemlet.run("--rebuild", "--index", index, "--quantization", "f32")
    assert (code, out.split(" (")[0].split(";")[0]) == (0, f"{index}: 2 added")
    assert gemlet.run("--index", index, "--quantization", "f32")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 2, "there is no file or folder "),
        ([], 2, "nothing was indexed before: name a file or folder, `gemlet index PATH`"),
        (["--status"], 1, "make it with `gemlet index FOLDER`, or name another with --index"),
        (["--rebuild"], 1, "there is no index "),
        (["--remove", "x"], 1, "there is no index "),
        (["--remove"], 2, "--remove needs PATHS"),
        (["--status", "x"], 2, "--status is of the whole index: leave PATHS out"),
        (["--status", "--watch"], 2, "take one of --watch, --status, --remove and --rebuild"),
        (["--dim", "100"], 2, "is not one of '768', '512', '256', '128'"),
    ],
)
def test_a_users_mistake_is_told(
    gemlet: CommandLine, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    found, _, err = gemlet.run(*arguments, "--index", tmp_path / "none.db", cwd=tmp_path)
    assert found == code
    assert message in err


def test_a_place_where_no_index_can_be_is_told(gemlet: CommandLine, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = gemlet.run(docs, "--index", tmp_path / "file" / "i.db")
    assert code == 1
    assert err.startswith(f"gemlet: cannot make the folder {tmp_path / 'file'}: ")
    code, _, err = gemlet.run(docs, "--index", docs)
    assert code == 1
    assert err.startswith(f"gemlet: cannot open the index {docs}: ")
    assert len(err.splitlines()) == 1


def test_the_environment_names_the_users_index(gemlet: CommandLine, docs: Path, tmp_path: Path) -> None:
    gemlet.env["GEMLET_INDEX"] = str(tmp_path / "deep" / "mine.db")
    try:
        assert gemlet.run(docs)[1].startswith(str(tmp_path / "deep" / "mine.db"))
    finally:
        del gemlet.env["GEMLET_INDEX"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_ctrl_c_says_how_to_go_on(gemlet: CommandLine, tmp_path: Path) -> None:
    docs = tmp_path / "many"
    docs.mkdir()
    for i in range(300):
        (docs / f"{i}.txt").write_text(f"Number {i}. " * 400)
        os.utime(docs / f"{i}.txt", LONG_AGO)
    index = tmp_path / "i.db"
    process = gemlet.start(docs, "--index", index)
    while not index.exists():
        time.sleep(0.01)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "gemlet: interrupted: what was complete is in the index, and the same command goes on\n"
    report = json.loads(gemlet.run(docs, "--index", index, "--json")[1])
    assert report["added"] + report["unchanged"] == 300


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_watch_prints_a_line_for_each_change_until_ctrl_c(gemlet: CommandLine, docs: Path, tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    process = gemlet.start(docs, "--index", tmp_path / "i.db", "--watch", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["added"] == 2
    (docs / "c.txt").write_text("Figs are brown.")
    assert json.loads(process.stdout.readline())["added"] == 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_watch_without_its_extra_names_it(gemlet: CommandLine, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "watchfiles.py").write_text("raise ImportError")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "gemlet", "index", str(docs), "--watch", "--index", str(tmp_path / "i.db")],
        capture_output=True, text=True, env={**gemlet.env, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 3
    assert "pip install 'gemlet[watch]'" in done.stderr
