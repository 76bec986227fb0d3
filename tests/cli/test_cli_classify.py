"""`gemlet classify` as a user meets it: names, examples, a saved classifier; reports; each mistake one line."""

import csv
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROWS = [
    (f"{word} the {other}", label)
    for other in ("one", "sea", "task", "title", "query")
    for word, label in (("red", "colour"), ("search result", "finding"))
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small files."""
    folder = tmp_path_factory.mktemp("cli-classify")
    table(folder / "sorted.csv", ["text", "label"], ROWS)
    table(folder / "messages.csv", ["id", "message", "kind"], [(n, *row) for n, row in enumerate(ROWS)])
    (folder / "new.txt").write_text("red the sea\nsearch result the one\n", encoding="utf-8")
    table(folder / "odd.csv", ["text", "label"], [*ROWS[:4], ("red the task", "smell")])
    table(folder / "one.csv", ["text", "label"], [(text, "colour") for text, _ in ROWS])
    table(folder / "row.csv", ["text", "label"], ROWS[:1])
    many = [(f"{text} {n % 9}", f"label {n % 9}") for n, (text, _) in enumerate(ROWS * 2)]
    table(folder / "many.csv", ["text", "label"], many)
    table(folder / "same.csv", ["text", "label"], [("same", "a"), ("same", "b")] * 5)
    table(folder / "singles.csv", ["text", "label"], [("red", "a"), ("sea", "b")])
    table(folder / "gap.csv", ["text", "label"], [*ROWS, ("red the one", "")])
    table(folder / "empty-text.csv", ["text", "label"], [*ROWS, ("", "colour")])
    (folder / "nan.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": NaN}\n', encoding="utf-8")
    (folder / "empty.csv").write_text("", encoding="utf-8")
    sets = [{"text": text, "tags": [label, "all"] if n % 3 else [label]} for n, (text, label) in enumerate(ROWS)]
    (folder / "sets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sets), encoding="utf-8")
    for number, (text, label) in enumerate(ROWS):
        (folder / "mail" / label).mkdir(parents=True, exist_ok=True)
        (folder / "mail" / label / f"{number}.txt").write_text(text + "\n", encoding="utf-8")
    return folder


def table(path: Path, head: list[str], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(place: Path, model: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gemlet", "classify", "--model", str(model), *arguments]
    done = subprocess.run(command, capture_output=True, cwd=place, input=stdin, encoding="utf-8")
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_names_alone(place: Path, tiny_checkpoint: Path) -> None:
    done = run(place, tiny_checkpoint, "new.txt", "--labels", "red, blue", "--describe", "blue = the sea", "--json")
    value = json.loads(done.stdout)
    assert (value["method"], value["labels"], value["report"]) == ("zero-shot", ["red", "blue"], None)
    assert [row["place"] for row in value["rows"]] == ["new.txt:1", "new.txt:2"]
    row = value["rows"][0]
    assert row["label"] in ("red", "blue")
    assert row["probability"] == max(row["probabilities"].values())
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_labels_with_a_comma_are_repeated(place: Path, tiny_checkpoint: Path) -> None:
    done = run(
        place, tiny_checkpoint, "-", "--labels", "red, or so", "--labels", "blue", "--json", stdin="red the sea\n"
    )
    assert json.loads(done.stdout)["labels"] == ["red, or so", "blue"]


def test_examples_label_a_pipe(place: Path, tiny_checkpoint: Path) -> None:
    done = run(place, tiny_checkpoint, "new.txt", "--train", "sorted.csv")
    cells = [line.split("\t") for line in done.stdout.splitlines()]
    assert [cell[0] for cell in cells] == ["colour", "finding"]
    assert [cell[2] for cell in cells] == ["red the sea", "search result the one"]
    assert all(0.5 <= float(cell[1]) <= 1 for cell in cells)
    assert done.stderr == ""


def test_what_was_learned_is_kept_and_used(place: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    saved = str(tmp_path / "a.classifier")
    learned = run(place, tiny_checkpoint, "--train", "sorted.csv", "--save", saved)
    assert (learned.returncode, learned.stdout) == (0, "")
    assert "a.classifier tells 2 labels (" in learned.stderr
    assert "% right, macro F1 " in learned.stderr
    used = run(place, tiny_checkpoint, "new.txt", "--classifier", saved)
    assert used.stdout == run(place, tiny_checkpoint, "new.txt", "--train", "sorted.csv").stdout
    unsure = run(place, tiny_checkpoint, "new.txt", "--classifier", saved, "--unsure-below", "1")
    assert [line.split("\t")[0] for line in unsure.stdout.splitlines()] == ["", ""]


def test_a_file_gets_two_columns_more(place: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    options = ["--train", "messages.csv", "--text", "message", "--label", "kind"]
    done = run(place, tiny_checkpoint, "messages.csv", *options, "-o", str(tmp_path / "out.csv"))
    assert (done.stdout, done.stderr) == ("", "")
    rows = read_table(tmp_path / "out.csv")
    assert list(rows[0]) == ["id", "message", "kind", "label", "probability"]
    assert [row["message"] for row in rows] == [text for text, _ in ROWS]
    run(place, tiny_checkpoint, "sorted.csv", "--labels", "a,b", "-o", str(tmp_path / "out.jsonl"))
    first = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert list(first) == ["text", "label", "predicted_label", "predicted_probability"]
    assert first["label"] == "colour"


def test_lines_are_labelled_by_a_table_with_other_names(place: Path, tiny_checkpoint: Path) -> None:
    done = run(place, tiny_checkpoint, "new.txt", "--train", "messages.csv", "--text", "message", "--label", "kind")
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["colour", "finding"]


def test_folders_are_labels(place: Path, tiny_checkpoint: Path) -> None:
    done = run(place, tiny_checkpoint, "mail", "--train", "mail")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) == 10
    assert {line[0] for line in lines} == {"colour", "finding"}
    assert lines[0][2] == "colour/0.txt"


def test_a_report_of_the_file_itself_is_held_out(place: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    picture, out = tmp_path / "a.png", tmp_path / "out.csv"
    done = run(place, tiny_checkpoint, "sorted.csv", "--report", "--picture", str(picture), "-o", str(out))
    assert done.stdout.splitlines()[0] == "label    precision  recall    F1    rows"
    assert "10 rows, held out in five folds (" in done.stdout
    assert "is so" in done.stdout
    assert picture.read_bytes()[:4] == b"\x89PNG"
    rows = read_table(out)
    value = json.loads(
        run(place, tiny_checkpoint, "sorted.csv", "--train", "./sorted.csv", "--report", "--json").stdout
    )
    right = sum(row["label"] == row["predicted_label"] for row in rows) / 10
    assert value["report"]["accuracy"] == right
    assert [row["label"] for row in value["rows"]] == [row["predicted_label"] for row in rows]


def test_a_report_of_another_file_says_what_is_not_known(place: Path, tiny_checkpoint: Path) -> None:
    done = run(place, tiny_checkpoint, "odd.csv", "--train", "sorted.csv", "--report", "--unsure-below", "0.5")
    assert "5 rows, that it has not learned from (" in done.stdout
    assert "1 labels are none that it knows, and their rows count as wrong: smell" in done.stdout
    named = run(place, tiny_checkpoint, "odd.csv", "--labels", "colour,finding,smell", "--report")
    assert "none of them seen (zero-shot)" in named.stdout


def test_many_labels_get_the_pairs_that_are_mixed_up(place: Path, tiny_checkpoint: Path) -> None:
    names = ",".join(f"label {n}" for n in range(9))
    done = run(place, tiny_checkpoint, "many.csv", "--labels", names, "--report")
    assert "is so" not in done.stdout
    wrong = [line for line in done.stdout.splitlines() if " was said to be " in line]
    assert wrong
    assert all(line.split(" × ")[1].startswith("label ") for line in wrong)
    counts = [int(line.split(" × ")[0]) for line in wrong]
    assert counts == sorted(counts, reverse=True)


def test_several_labels(place: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    options = ["--multi-label", "--label", "tags"]
    done = run(place, tiny_checkpoint, "sets.jsonl", *options, "--report", "-o", str(tmp_path / "out.csv"))
    assert "micro F1" in done.stdout
    rows = read_table(tmp_path / "out.csv")
    assert list(rows[0]) == ["text", "tags", "label", "probability"]
    assert all(row["label"].count("|") == row["probability"].count("|") for row in rows)
    piped = run(place, tiny_checkpoint, "new.txt", "--train", "sets.jsonl", *options)
    assert "all" in piped.stdout


def test_a_terminal_gets_a_table_and_the_counts(place: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.txt"
    many.write_text("red the sea\n" * 24 + "search \x1b[31m result\n", encoding="utf-8")
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "gemlet", "classify", "--model", str(tiny_checkpoint), str(many)]
    command += ["--train", "sorted.csv", "--unsure-below", "0.5"]
    subprocess.run(
        command, stdout=follower, stderr=subprocess.DEVNULL, check=True, cwd=place, env={**os.environ, "TERM": "xterm"}
    )
    os.close(follower)
    out = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        out += part
        if b"colour 2" in out:
            break
    os.close(leader)
    assert b"\x1b[1mcolour\x1b[0m" in out
    assert b"... and 5 more rows: -o FILE writes them all" in out
    assert b"\x1b[31m" not in out  # a file cannot colour the terminal


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new.txt"], "say what the labels are"),
        (
            ["new.txt", "--labels", "a,b", "--train", "sorted.csv"],
            "--labels and --train: the labels come from one of them",
        ),
        (["--train", "sorted.csv"], "name a FILE with rows"),
        (["new.txt", "--train", "sorted.csv", "--describe", "a=b"], "--describe says more of a label of --labels"),
        (["new.txt", "--labels", "a,b", "--describe", "a"], "says of no label what it is"),
        (["new.txt", "--labels", "a"], "there is only 1 label"),
        (["new.txt", "--labels", "a,,b"], "label 2 of 3 is empty"),
        (["new.txt", "--labels", "a,b", "--multi-label"], "--multi-label learns from rows with several labels"),
        (["new.txt", "--labels", "a,b", "--report"], "which column is the label?"),
        (["sorted.csv", "--report", "--text", "body"], "there is no column 'body'; the columns are: text, label"),
        (["sorted.csv", "--report", "--label", "kind"], "there is no column 'kind'; the columns are: text, label"),
        (["messages.csv", "--labels", "a,b", "--text", "kinds"], "there is no column 'kinds'"),
        (["empty.csv", "--labels", "a,b"], "there is no row in it"),
        (["none.csv", "--labels", "a,b"], "cannot read none.csv"),
        (["one.csv", "--report"], "all 10 rows are 'colour': a classifier needs examples of two labels or more"),
        (["row.csv", "--report"], "the only row is 'colour'"),
        (["same.csv", "--report"], "all 10 texts are the same"),
        (["singles.csv", "--report"], "no label has two examples"),
        (["nan.jsonl", "--report"], "nan.jsonl:2 has no label in 'label'"),
        (["gap.csv", "--report"], "gap.csv:12 has no label in 'label'"),
        (["empty-text.csv", "--report"], "empty-text.csv:12 has no text in 'text'"),
        (["new.txt", "--labels", "a,b", "--method", "centroid"], "--method says how to learn from examples"),
        (["new.txt", "--classifier", "none", "--dim", "256"], "leave --dim out"),
        (["new.txt", "--classifier", "none", "--save", "a"], "leave one out"),
        (["new.txt", "--classifier", "none"], "cannot read the classifier none"),
        (["new.txt", "--classifier", "sorted.csv"], "sorted.csv is no classifier"),
        (["sorted.csv", "--report", "--picture", "a.bmp"], "cannot draw 'a.bmp'"),
        (["new.txt", "--labels", "a,b", "-o", "a.xls"], "cannot tell what to write from 'a.xls'"),
        (["--train", "sorted.csv", "--save", "none/a"], "cannot write none/a"),
    ],
)
def test_a_mistake_is_one_line(place: Path, tiny_checkpoint: Path, arguments: list[str], said: str) -> None:
    done = run(place, tiny_checkpoint, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len([line for line in done.stderr.splitlines() if line and not line.startswith(("Usage", "Try"))]) == 1


def test_rows_without_text_can_be_left_out(place: Path, tiny_checkpoint: Path) -> None:
    done = run(place, tiny_checkpoint, "empty-text.csv", "--report", "--skip-empty")
    assert "10 rows, held out" in done.stdout
