"""`gemlet dedupe`, `pairs` and `recommend` as a user meets them, on the tiny model."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROWS = ["a cat sat on the mat", "a  cat sat on the mat ", "quantum chromodynamics", "a cat sat on the mat", "12 + 30"]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "review"], *([i, text] for i, text in enumerate(ROWS))])
    return path


def run(model: Path, verb: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gemlet", verb, *map(str, arguments), "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, input=stdin)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def fails(done: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert done.stdout == ""


def test_dedupe_shows_what_would_go_and_writes_nothing(tiny_checkpoint: Path, reviews: Path) -> None:
    before = sorted(reviews.parent.iterdir()), reviews.read_bytes()
    done = run(tiny_checkpoint, "dedupe", reviews, "--threshold", "0.9999")
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        [f"{reviews}:2", *ROWS[0].split()],
        ["1.0000", f"{reviews}:3", *ROWS[0].split()],
        ["1.0000", f"{reviews}:5", *ROWS[0].split()],
    ]
    assert "3 of 5 rows stay, 2 go, at a cosine of 0.9999 or more; nothing was written" in done.stderr
    assert (sorted(reviews.parent.iterdir()), reviews.read_bytes()) == before


def test_dedupe_writes_the_rows_that_stay_and_traces_those_that_go(tiny_checkpoint: Path, reviews: Path) -> None:
    kept, removed = reviews.parent / "kept.csv", reviews.parent / "removed.csv"
    arguments = ("--threshold", "0.9999", "--keep", "longest", "-o", kept, "--removed", removed)
    done = run(tiny_checkpoint, "dedupe", reviews, *arguments)
    assert done.returncode == 0, done.stderr
    assert f"wrote {kept}" in done.stderr
    with kept.open(newline="") as file:
        stay = list(csv.DictReader(file))
    with removed.open(newline="") as file:
        gone = list(csv.DictReader(file))
    assert [row["id"] for row in stay] == ["1", "2", "4"]
    assert [(row["id"], row["place"], row["kept_place"], row["kept_text"], row["cosine"]) for row in gone] == [
        ("0", f"{reviews}:2", f"{reviews}:3", ROWS[1], "1"),
        ("3", f"{reviews}:5", f"{reviews}:3", ROWS[1], "1"),
    ]
    assert list(stay[0]) == ["id", "review"]


def test_dedupe_for_programs(tiny_checkpoint: Path, reviews: Path) -> None:
    done = run(tiny_checkpoint, "dedupe", reviews, "--threshold", "0.9999", "--json")
    found = json.loads(done.stdout)
    assert {name: found[name] for name in ("rows", "kept", "removed")} == {"rows": 5, "kept": 3, "removed": 2}
    assert [group["kept"]["row"] for group in found["groups"]] == [0]
    assert [row["row"] for row in found["groups"][0]["removed"]] == [1, 3]
    done = run(tiny_checkpoint, "dedupe", "-", "-o", "-", "--threshold", "0.9999", stdin="\n".join(ROWS))
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [ROWS[0], ROWS[2], ROWS[4]]


def test_ten_identical_rows_leave_one(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "same.txt").write_text("again\n" * 10)
    done = run(tiny_checkpoint, "dedupe", tmp_path / "same.txt")
    assert "1 of 10 rows stay, 9 go" in done.stderr
    done = run(tiny_checkpoint, "pairs", tmp_path / "same.txt", "-k", "100", "--json")
    assert len(json.loads(done.stdout)) == 45


def test_one_row(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("alone\n")
    assert "1 of 1 rows stay, 0 go" in run(tiny_checkpoint, "dedupe", tmp_path / "one.txt").stderr
    fails(run(tiny_checkpoint, "pairs", tmp_path / "one.txt"), 4, "has one row: nothing to compare it with")
    fails(run(tiny_checkpoint, "recommend", tmp_path / "one.txt", "--like", "1"), 4, "no row is left beside")


def test_pairs_of_one_file(tiny_checkpoint: Path, reviews: Path) -> None:
    done = run(tiny_checkpoint, "pairs", reviews, "-k", "1", "--text", "review")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1.0000", f"{reviews}:5"]
    done = run(tiny_checkpoint, "pairs", reviews, "-k", "4", "-o", reviews.parent / "pairs.jsonl")
    assert done.stdout == ""
    rows = [json.loads(line) for line in (reviews.parent / "pairs.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    assert [row["cosine"] for row in rows] == sorted((row["cosine"] for row in rows), reverse=True)
    assert (rows[0]["left_text"], rows[0]["right_text"]) == (ROWS[0], ROWS[3])


def test_matches_in_another_file(tiny_checkpoint: Path, reviews: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("12 + 30\nquantum chromodynamics\na cat sat on the mat\n")
    done = run(tiny_checkpoint, "pairs", reviews, tmp_path / "other.txt", "--json", "--skip-empty")
    found = json.loads(done.stdout)
    assert [row["left_place"] for row in found] == [f"{reviews}:{line}" for line in range(2, 7)]
    assert [found[at]["right_text"] for at in (0, 2, 4)] == [ROWS[0], ROWS[2], ROWS[4]]
    done = run(tiny_checkpoint, "pairs", reviews, tmp_path / "other.txt", "-k", "2", "--json")
    assert len(json.loads(done.stdout)) == 10


def test_bitext(tiny_checkpoint: Path, reviews: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("12 + 30\nquantum chromodynamics\n")
    done = run(tiny_checkpoint, "pairs", reviews, tmp_path / "other.txt", "--bitext", "--margin", "0", "--json")
    found = json.loads(done.stdout)
    assert {(row["left_text"], row["right_text"]) for row in found} == {(text, text) for text in (ROWS[2], ROWS[4])}
    margins = [row["margin"] for row in found]
    assert margins == sorted(margins, reverse=True)
    shown = run(tiny_checkpoint, "pairs", reviews, tmp_path / "other.txt", "--bitext", "--margin", "0").stdout
    assert [float(line.split()[0]) for line in shown.splitlines()[::2]] == margins


def test_a_place_without_a_row_is_no_text(tiny_checkpoint: Path, reviews: Path) -> None:
    fails(run(tiny_checkpoint, "recommend", reviews, "--like", f"{reviews}:99"), 2, f"there is no row {reviews}:99")


def test_recommend(tiny_checkpoint: Path, reviews: Path) -> None:
    done = run(tiny_checkpoint, "recommend", reviews, "--like", f"{reviews}:2", "--unlike", "5", "--json")
    found = json.loads(done.stdout)
    assert [row["row"] for row in found] == [3, 1, 2]
    assert found[0]["score"] == pytest.approx(found[0]["like"] - 0.5 * found[0]["unlike"], abs=2e-4)
    done = run(tiny_checkpoint, "recommend", reviews, "--like", ROWS[2], "-k", "1")
    assert done.stdout.split()[:2] == ["1.0000", f"{reviews}:4"]


@pytest.mark.parametrize("verb", ["dedupe", "pairs", "recommend"])
def test_what_is_wrong_with_a_file_is_one_line(tiny_checkpoint: Path, reviews: Path, verb: str) -> None:
    more = ("--like", "1") if verb == "recommend" else ()
    fails(run(tiny_checkpoint, verb, reviews, "--text", "revue", *more), 2, "revue")
    fails(run(tiny_checkpoint, verb, reviews.parent / "none.csv", *more), 2, "none.csv")
    empty = reviews.parent / "empty.csv"
    empty.write_text("")
    fails(run(tiny_checkpoint, verb, empty, *more), 2, "empty.csv")
    empty.write_text("id,review\n")
    fails(run(tiny_checkpoint, verb, empty, *more), 2, "empty.csv")
    empty.write_text("id,review\n1,\n2,x\n")
    fails(run(tiny_checkpoint, verb, empty, *more), 2, "empty.csv:2")
    assert "Error" not in run(tiny_checkpoint, verb, empty, "--skip-empty", *more).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dedupe", "FILE", "--threshold", "2"), "--threshold"),
        (("dedupe", "FILE", "-o", "-", "--json"), "only one result can go to stdout"),
        (("dedupe", "FILE", "-o", "kept.xyz"), "cannot tell what to write from 'kept.xyz'"),
        (("pairs", "FILE", "--bitext"), "name the second"),
        (("pairs", "FILE", "--margin", "1.1"), "goes with --bitext"),
        (("pairs", "FILE", "FILE", "--bitext", "-k", "3"), "leave -k out"),
        (("recommend", "FILE"), "--like"),
        (("recommend", "FILE", "--like", "99"), "no row 99: the rows have the numbers 1 to 5"),
        (("recommend", "FILE", "--like", " "), "an example is empty"),
    ],
)
def test_a_mistake_in_the_call(tiny_checkpoint: Path, reviews: Path, arguments: tuple[str, ...], message: str) -> None:
    verb, *rest = (str(reviews) if part == "FILE" else part for part in arguments)
    fails(run(tiny_checkpoint, verb, *rest), 2, message)
