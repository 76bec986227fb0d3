"""`gemlet cluster` and `gemlet map` as a user meets them: tables, rows in files, JSON, pages; failures in one line."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROWS = [(f"{word} {number}", word[0]) for word in ("aaaa bbb", "zzzz yyy", "0000 111") for number in range(6)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A folder with tables of all kinds."""
    folder = tmp_path_factory.mktemp("cli-cluster")
    tables = {
        "rows.csv": [("id", "text", "kind"), *((str(i), *row) for i, row in enumerate(ROWS))],
        "one.csv": [("text",), ("alone",)],
        "none.csv": [("text",)],
        "same.csv": [("text",), *[("again",)] * 10],
        "nolabel.csv": [("text", "kind"), ("a", "x"), ("b", "")],
        "notext.csv": [("text",), ("a",), (" ",), ("b",)],
        "unnamed.csv": [("first", "second"), ("a", "b"), ("c", "d")],
        "ids.csv": [("text", "id"), *((f"row {i}", str(i)) for i in range(501))],
    }
    for name, rows in tables.items():
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    (folder / "nan.jsonl").write_text('{"text": "a", "kind": NaN}\n{"text": "b", "kind": 1}\n')
    (folder / "empty.txt").write_text("")
    return folder


def run(place: Path, tiny: Path, verb: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gemlet", verb, "--model", str(tiny), *arguments]
    done = subprocess.run(command, capture_output=True, cwd=place, text=True, encoding="utf-8", input=stdin)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_reader_gets_clusters_with_names_examples_and_what_fits_nowhere(place: Path, tiny_checkpoint: Path) -> None:
    done = run(place, tiny_checkpoint, "cluster", "rows.csv", "-k", "3", "--label", "kind")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("18 rows, 3 clusters  silhouette ")
    assert "V-measure" in lines[0]
    assert "adjusted Rand" in lines[0]
    sizes = [int(line.split()[1]) for line in lines if line[:4].strip().isdigit() and line[:3] != "   "]
    assert sum(sizes) == 18
    below = lines[lines.index("What fits nowhere") + 1 :]
    assert len(below) == 3
    assert all("rows.csv:" in line for line in below)


def test_the_output_has_the_rows_with_their_clusters(place: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    done = run(place, tiny_checkpoint, "cluster", "rows.csv", "--k", "3", "-o", str(output), "--json")
    with open(output, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "text", "kind", "cluster", "cluster_name", "anomaly"]
    assert [(row["text"], row["kind"]) for row in rows] == ROWS
    told = json.loads(done.stdout)
    assert [int(row["cluster"]) for row in rows] == told["labels"]
    names = {one["cluster"]: one["name"] for one in told["clusters"]}
    assert all(row["cluster_name"] == names[int(row["cluster"])] for row in rows)
    assert told["strangest"][0]["anomaly"] == max(float(row["anomaly"]) for row in rows)
    assert told["quality"]["v_measure"] is None
    for one in told["clusters"]:
        assert all(told["labels"][example["row"]] == one["cluster"] for example in one["examples"])


def test_rows_come_from_a_pipe_and_go_into_one_and_repeat(place: Path, tiny_checkpoint: Path) -> None:
    lines = "".join(f"{text}\n" for text, _ in ROWS)
    one, again = (run(place, tiny_checkpoint, "cluster", "-", "-o", "-", stdin=lines) for _ in range(2))
    assert one.returncode == 0
    assert one.stdout == again.stdout
    rows = [json.loads(line) for line in one.stdout.splitlines()]
    assert [row["text"] for row in rows] == [text for text, _ in ROWS]
    assert {"cluster", "cluster_name", "anomaly"} <= set(rows[0])


def test_hdbscan_and_rows_without_text(place: Path, tiny_checkpoint: Path) -> None:
    done = run(place, tiny_checkpoint, "cluster", "rows.csv", "--method", "hdbscan", "--json")
    assert min(json.loads(done.stdout)["labels"]) >= -1
    kept = run(place, tiny_checkpoint, "cluster", "notext.csv", "--skip-empty", "--k", "1", "--json")
    assert json.loads(kept.stdout)["rows"] == 2


def test_a_map_is_a_page_or_a_picture(place: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    page, drawn = tmp_path / "map.html", tmp_path / "map.png"
    options = ["--label", "kind", "--cluster", "3", "--title", "<My> rows"]
    done = run(place, tiny_checkpoint, "map", "rows.csv", "-o", str(page), *options)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"gemlet: {page}: a map of 18 texts\n"
    text = page.read_text(encoding="utf-8")
    assert "<title>&lt;My&gt; rows</title>" in text
    assert '"name":"kind"' in text
    assert '"name":"cluster"' in text
    assert '"rows.csv:2"' in text
    assert run(place, tiny_checkpoint, "map", "rows.csv", "-o", str(drawn)).returncode == 0
    assert drawn.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cluster", "one.csv"], "one.csv: there is 1 row, a clustering needs 2 or more"),
        (["cluster", "none.csv"], "none.csv"),
        (["cluster", "empty.txt"], "empty.txt"),
        (["cluster", "absent.csv"], "absent.csv"),
        (["cluster", "same.csv"], "all 10 rows have the same text: there is nothing to tell apart"),
        (["cluster", "rows.csv", "--k", "19"], "k is 19, with 18 rows: choose 1 to 18"),
        (["cluster", "rows.csv", "--k", "0"], "k is 0, with 18 rows"),
        (["cluster", "rows.csv", "--k", "3", "--method", "hdbscan"], "leave k out"),
        (["cluster", "rows.csv", "--text", "body"], "no column 'body'; the columns are: id, text, kind"),
        (["cluster", "rows.csv", "--label", "sort"], "no column 'sort'"),
        (["cluster", "unnamed.csv"], "name it with --text"),
        (["cluster", "notext.csv"], "notext.csv:3 has no text"),
        (["cluster", "nolabel.csv", "--label", "kind"], "nolabel.csv:3 has no label in 'kind'"),
        (["cluster", "nan.jsonl", "--label", "kind"], "nan.jsonl:1 has no label in 'kind'"),
        (["cluster", "rows.csv", "-o", "out.xlsx"], "cannot tell what to write"),
        (["map", "one.csv", "-o", "map.html"], "there is 1 row, a map needs 2 or more"),
        (["map", "same.csv", "-o", "map.html"], "all 10 rows have the same text"),
        (["map", "rows.csv", "-o", "map.pdf"], "name a .html, .png or .svg file"),
        (["map", "rows.csv", "-o", "map.html", "--cluster", "many"], "write 8, or"),
        (["map", "rows.csv", "-o", "map.html", "--cluster", "19"], "k is 19, with 18 rows"),
        (["map", "nan.jsonl", "-o", "map.html", "--label", "kind"], "nan.jsonl:1 has no label"),
        (["map", "ids.csv", "-o", "map.html", "--label", "id"], "'id' has 501 different values"),
        (["map", "rows.csv", "-o", "none/map.html"], "cannot write none/map.html"),
    ],
)
def test_a_mistake_is_one_line(place: Path, tiny_checkpoint: Path, arguments: list[str], said: str) -> None:
    done = run(place, tiny_checkpoint, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not list(place.glob("map.*"))
