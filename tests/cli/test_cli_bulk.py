"""`gemlet bulk` as a user meets it, on the tiny model."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gemlet import Embedder

ROWS = "id,body\n1,a cat sat on the mat\n2,\n3,quantum chromodynamics\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path


def run(model: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gemlet", "bulk", *map(str, arguments), "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_file_becomes_a_folder_of_vectors_and_the_bad_rows_are_told(
    tiny_checkpoint: Path, table: Path, tiny: Embedder
) -> None:
    out = table.parent / "out"
    done = run(tiny_checkpoint, table, out, "--text", "body", "--task", "clustering")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}: 2 vectors of 3 rows in 1 file; ")
    assert done.stderr == f"gemlet: no vector for 1 row: {out}/_bad tells why, for each\n"
    found = pq.read_table(out).to_pylist()
    assert [(row["id"], row["body"], row["place"]) for row in found] == [
        ("1", "a cat sat on the mat", f"{table}:2"),
        ("3", "quantum chromodynamics", f"{table}:4"),
    ]
    assert found[0]["vector"] == tiny.encode("a cat sat on the mat", prompt_name="clustering").tolist()
    (bad,) = (out / "_bad" / "part-00000-000000.jsonl").read_text().splitlines()
    assert json.loads(bad) == {"place": f"{table}:3", "reason": "'body' is empty", "row": {"id": "2", "body": ""}}


def test_for_programs(tiny_checkpoint: Path, table: Path) -> None:
    out = table.parent / "out"
    options = ("--precision", "binary", "--columns", "id", "--task", "none", "--json")
    report = json.loads(run(tiny_checkpoint, table, out, *options).stdout)
    assert {name: report[name] for name in ("output", "shards", "before", "failed", "broken")} == {
        "output": str(out), "shards": 1, "before": 0, "failed": [], "broken": [],
    }  # fmt: skip
    assert {name: report["counts"][name] for name in ("rows", "vectors", "bad", "cut")} == {
        "rows": 3, "vectors": 2, "bad": 1, "cut": 0,
    }  # fmt: skip
    assert pq.read_table(out).column_names == ["id", "place", "vector"]
    again = run(tiny_checkpoint, table, out, *options)
    assert json.loads(again.stdout)["before"] == 1
    assert again.returncode == 0


def test_a_dry_run_tells_and_writes_nothing(tiny_checkpoint: Path, table: Path) -> None:
    out = table.parent / "out"
    done = run(tiny_checkpoint, table, out, "--dry-run", "--precision", "int8")
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["rows", "vectors", "tokens", "output", "time"]
    assert "3 in 1 input → 1 file\n" in done.stdout
    assert "2 of 64 bytes; of 3 rows looked at, 33.3% have no text\n" in done.stdout
    assert not out.exists()
    found = json.loads(run(tiny_checkpoint, table, out, "--dry-run", "--json").stdout)
    assert (found["rows"], found["vectors"], found["vector_bytes"]) == (3, 2, 256)
    assert found["seconds"] > 0


def fails(done: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert done.stdout == ""


def test_mistakes_are_one_line_and_code_2(tiny_checkpoint: Path, table: Path) -> None:
    out = table.parent / "out"
    fails(run(tiny_checkpoint, table.parent / "*.parquet", out), 2, "matches no file: quote a glob")
    fails(run(tiny_checkpoint, table, out, "--workers", "2"), 2, "--workers needs --ray")
    fails(run(tiny_checkpoint, table, out, "--text", "nothing"), 2, "there is no column 'nothing'; the columns are: id")
    fails(run(tiny_checkpoint, table, table.parent), 2, "is not empty (rows.csv), and no output of gemlet bulk")
    assert not out.exists()
    assert run(tiny_checkpoint, table, out).returncode == 0
    fails(run(tiny_checkpoint, table, out, "--precision", "int8"), 2, "was begun with precision float32, not int8")


def test_when_no_row_has_a_vector_that_is_a_failure(tiny_checkpoint: Path, table: Path) -> None:
    table.write_text("id,body\n1,\n2,\n")
    done = run(tiny_checkpoint, table, table.parent / "out")
    assert done.returncode == 1
    assert "no vector for 2 rows" in done.stderr


def test_without_its_extras_the_verb_says_what_to_install(tiny_checkpoint: Path, table: Path) -> None:
    for package, options, extra in (("pyarrow", [], "table"), ("ray", ["--ray"], "ray")):
        code = (
            f"import sys; sys.modules[{package!r}] = None; from gemlet.cli.main import main; "
            f"sys.argv = ['gemlet', 'bulk', {str(table)!r}, 'out', '--model', {str(tiny_checkpoint)!r}, *{options}]\n"
            "main()"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        fails(done, 3, f"needs an extra: pip install 'gemlet[{extra}]'")
