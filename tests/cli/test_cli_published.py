"""`gemlet eval --data-dir` as a user meets it: scores, what is kept, tables; failures in one line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from published_data import put, write_all

PUBLISHED = "task,split,subset,main_score\nSTS13,test,default,0.5\nCosQA,test,default,0.4\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_all(tmp_path_factory.mktemp("data"))
    put(folder / "mteb_results_embeddinggemma.csv", PUBLISHED)
    return folder


def run(tiny: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gemlet", "eval", "--model", str(tiny), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert "Traceback" not in done.stderr, done.stderr
    return done


def refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2, done
    assert message in done.stderr
    assert done.stdout == ""


def test_scores_are_printed_beside_the_published_and_written_as_mteb_does(
    data: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    tasks = ["--tasks", "STS13", "--tasks", "CosQA", "--tasks", "XQuADRetrieval/th"]
    done = run(tiny_checkpoint, "--data-dir", data, *tasks, "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first.startswith("STS13, 64: ")
    assert "published  50.00 (" in first
    assert second.startswith("CosQA, 64: ")
    assert "published" not in second
    assert third.startswith("XQuADRetrieval, th, 64: ")
    files = {path.name: path for path in (tmp_path / "results").glob("*__q8_0__64/local/*.json")}
    assert set(files) == {"STS13.json", "CosQA.json", "XQuADRetrieval.json"}
    assert [
        row["hf_subset"] for row in json.loads(files["XQuADRetrieval.json"].read_text())["scores"]["validation"]
    ] == ["th"]


def test_what_is_kept_is_not_embedded_again_and_costs_nothing(
    data: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    def costs() -> Any:
        options = [
            "--data-dir",
            data,
            "--tasks",
            "STS13",
            "--tasks",
            "STS14",
            "--results",
            tmp_path,
            "--list",
            "--json",
        ]
        return json.loads(run(tiny_checkpoint, *options).stdout)

    before = costs()
    assert [row["task"] for row in before] == ["STS13", "STS14"]
    assert before[0]["new"] == before[0]["texts"] == 8
    assert before[0]["tokens"] > 8
    assert before[1]["new"] == 0  # the same texts
    run(tiny_checkpoint, "--data-dir", data, "--tasks", "STS13", "--results", tmp_path)
    assert [row["new"] for row in costs()] == [0, 0]
    assert "all" in run(tiny_checkpoint, "--data-dir", data, "--results", tmp_path, "--list").stdout


@pytest.mark.parametrize("suffix", [".md", ".html"])
def test_a_table_needs_the_results_only(data: Path, tiny_checkpoint: Path, tmp_path: Path, suffix: str) -> None:
    run(tiny_checkpoint, "--data-dir", data, "--tasks", "STS13", "--results", tmp_path / "r")
    table = tmp_path / f"quality{suffix}"
    done = run(tiny_checkpoint, "--results", tmp_path / "r", "--table", table)
    assert (done.returncode, done.stdout) == (0, "")
    text = table.read_text()
    assert "STS13" in text
    assert "50.00" in text


def test_json_has_a_row_for_each_score(data: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    done = run(tiny_checkpoint, "--data-dir", data, "--tasks", "STS13", "--results", tmp_path, "--json")
    (row,) = json.loads(done.stdout)
    assert (row["task"], row["part"], row["quantization"], row["dim"]) == ("STS13", "default", "q8_0", 64)
    assert row["published"] == 50


def test_mistakes_are_one_line(data: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (["--data-dir", data], "name a folder for scores and vectors with --results"),
        (["--results", tmp_path], "nothing to do"),
        (["--results", tmp_path, "--tasks", "STS13"], "name their folder with --data-dir"),
        (["--results", tmp_path, "--data-dir", data, "--tasks", "STS99"], "there is no task 'STS99'"),
        (["--results", tmp_path, "--data-dir", data, "--tasks", "Tatoeba/xxx-eng"], "Tatoeba has no part 'xxx-eng'"),
        (["--results", tmp_path, "--data-dir", tmp_path / "none"], "there is no folder"),
        (["--results", tmp_path, "--data-dir", tmp_path, "--tasks", "STS13"], "has no folder STS13: fetch that data"),
        (["--results", tmp_path, "--table", "a.doc"], "cannot tell what to write from 'a.doc'"),
        (["--results", tmp_path, "--table", tmp_path / "none" / "a.md"], "there is no folder"),
        (["--results", tmp_path, "--table", tmp_path / "a.md"], "there are no results to make a table of"),
        (["--results", tmp_path, "--data-dir", data, "--tasks", "STS13", "--dim", "512"], "truncate_dim is 512"),
    ):
        refused(run(tiny_checkpoint, *arguments), message)


def test_broken_data_are_named_with_their_task(data: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    put(tmp_path / "STS13" / "headlines.test.tsv", "1\ta\n")
    done = run(tiny_checkpoint, "--data-dir", tmp_path, "--tasks", "STS13", "--results", tmp_path / "r")
    refused(done, "STS13: ")
    assert "headlines.test.tsv, line 1: found 2 columns, expected 3 or more" in done.stderr
