"""`gemlet train` as a user meets it: one run, and each mistake one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from training import pairs, write_rows

from gemlet.cli.train import command
from gemlet.errors import GemletError, InputError
from gemlet.train import Settings


def test_a_run_prints_what_came_of_it(base: Path, rows: Path, held: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gemlet", "train", rows, "--held-out", held, "--model", base, "--output", "tuned",
         "--dims", "64,32", "--batch", "8", "--lr", "1e-3", "--epochs", "2", "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["folder"] == "tuned"
    assert said["after"]["ndcg@10"] >= said["before"]["ndcg@10"]
    assert (tmp_path / "tuned" / "modules.json").is_file()


MISTAKES = [
    (["no.jsonl"], "cannot read no.jsonl: No such file"),
    (["empty.jsonl"], "there is no row in it"),
    (["broken.jsonl"], "broken.jsonl:2 is not JSON"),
    (["gap.jsonl"], "gap.jsonl:1 has no text in 'positive'"),
    (["odd.jsonl"], "what is there to learn?"),
    (["rows.jsonl", "--columns", "anchor,nothing"], "there is no column 'nothing'"),
    (["rows.jsonl", "--batch", "0"], "batch is 0: it is a whole number, 1 or more"),
    (["rows.jsonl", "--batch", "1"], "a batch of one row has nothing to compare it with"),
    (["one.jsonl"], "1 rows are no batch from which to learn"),
    (["rows.jsonl", "--dims", "64,x"], "--dims '64,x': write numbers with commas between them"),
    (["rows.jsonl", "--weights", "1,2"], "2 weights for 1 data sets"),
    (["rows.jsonl", "--train-table"], 'train_table and qat are for method="full"'),
    (["rows.jsonl", "--prompts", "a,b,c"], "--prompts names 3"),
    (["rows.jsonl", "--model", "packed.gguf"], "training needs the checkpoint's folder"),
    (["rows.jsonl", "--prompts", "nothing"], "no prompt is named 'nothing'"),
    (["rows.jsonl", "--teacher", "nowhere"], "there is no teacher nowhere"),
    (["rows.jsonl", "--dims", "768"], "the model's vectors have 64 numbers: leave out more"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_one_line(
    arguments: list[str], message: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows.jsonl", pairs(20))
    write_rows(tmp_path / "one.jsonl", pairs(1))
    write_rows(tmp_path / "gap.jsonl", [{"anchor": "a", "positive": ""}])
    write_rows(tmp_path / "odd.jsonl", [{"name": "a", "age": 3, "town": "b"}])
    (tmp_path / "broken.jsonl").write_text('{"anchor": "a", "positive": "b"}\n{"anchor":\n')
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "packed.gguf").write_bytes(b"GGUF")
    options = ["--output", "tuned", *([] if "--model" in arguments else ["--model", str(base)])]
    if "--dims" not in arguments:
        options += ["--dims", "64,32"]
    done = CliRunner().invoke(command, [*arguments, *options])
    assert isinstance(done.exception, GemletError), done.output
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "tuned").exists()


def test_the_options_are_the_settings() -> None:
    """What the command line leaves out is what the library leaves out."""
    from gemlet.cli.train import _settings

    context = command.make_context("train", ["rows.jsonl", "--output", "tuned"])
    found = {name: value for name, value in context.params.items() if name not in ("files", "output")}
    assert _settings(found) == Settings()
