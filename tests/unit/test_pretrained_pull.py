"""`gemlet pull`: the folder on stdout, everything else on stderr, an exit code, no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_places import NAME, tiny_files, tiny_pins

from gemlet import pretrained
from gemlet.cli.pull import command
from gemlet.pretrained.progress import Terminal
from gemlet.pretrained.store import Store

FILES = tiny_files()
PINS = tiny_pins(FILES)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("GEMLET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-home"))
    monkeypatch.setitem(pretrained.PINNED, NAME, PINS)
    folder = Store(PINS).folder
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def test_the_folder_goes_to_stdout_and_the_rest_to_stderr(cache: Path) -> None:
    result = CliRunner().invoke(command, [NAME, "--offline"])
    assert result.exit_code == 0
    assert result.stdout == f"{cache}\n"
    assert "Gemma Terms of Use" in result.stderr


def test_json(cache: Path) -> None:
    result = CliRunner().invoke(command, [NAME, "--offline", "--json"])
    assert json.loads(result.stdout) == {"name": NAME, "path": os.fspath(cache), "q8_0": None}  # it is no model


def test_a_failure_lists_the_places_and_exits_with_1() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from gemlet.cli.main import main; main()", "pull", "--offline"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    terms, error, *tried = result.stderr.splitlines()
    assert "Gemma Terms of Use" in terms
    assert error == "gemlet: found no usable checkpoint `google/embeddinggemma-300m`; tried:"
    assert [line.split()[1:3] for line in tried] == [["the", "cache"], ["the", "hub's"], ["the", "network:"]]


def test_help_has_examples() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert "gemlet pull --offline" in result.stdout


def test_no_bar_is_drawn_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with Terminal() as progress:
        progress.update(0, 100, "download")
        progress.message("a line")
        progress.update(100, 100, "download")
        progress.update(7, 9, "check")
    assert capfd.readouterr() == ("", "a line\n")


def test_one_bar_for_each_step_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Terminal() as progress:
        for done in (0, 50, 100):
            progress.update(done, 100, "download")
        progress.update(9, 9, "check")
    drawn = capsys.readouterr().err
    assert "download: 100%" in drawn
    assert "check: 100%" in drawn
