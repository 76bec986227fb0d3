"""`gemlet eval` on one's own data, as a user meets it: figures, comparisons, reports; each mistake one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORDS = ["red", "sea", "one", "task", "title", "query"]
TEXTS = [f"{word} the {other}" for word in WORDS for other in WORDS]
RANKING = ("--queries", "q.jsonl", "--docs", "d.jsonl", "--qrels", "r.tsv")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small files."""
    folder = tmp_path_factory.mktemp("cli-eval")
    lines(folder / "q.jsonl", [{"_id": f"q{n}", "text": word} for n, word in enumerate(WORDS)])
    lines(folder / "twice.jsonl", [{"_id": "q1", "text": word} for word in WORDS])
    lines(folder / "d.jsonl", [{"_id": f"d{n}", "title": text[:3], "text": text} for n, text in enumerate(TEXTS)])
    judged = [f"q{n}\td{6 * n + m}\t{m}\n" for n in range(5) for m in range(3)]
    (folder / "r.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged), encoding="utf-8")
    (folder / "wrong.tsv").write_text("q1\td1\t1\nq1\tnowhere\t1\n", encoding="utf-8")
    rows = [f"{text},{text[::-1] if n % 2 else text},{n % 2}\n" for n, text in enumerate(TEXTS)]
    (folder / "pairs.csv").write_text("sentence1,sentence2,score\n" + "".join(rows), encoding="utf-8")
    (folder / "nan.csv").write_text("a,b,score\nx,y,1\nx,z,nan\nz,y,2\n", encoding="utf-8")
    labels = [f"{text},{text.split()[0]}\n" for text in TEXTS]
    (folder / "labels.csv").write_text("text,label\n" + "".join(labels), encoding="utf-8")
    (folder / "one.csv").write_text("text,label\nred,x\nsea,x\n", encoding="utf-8")
    (folder / "empty.jsonl").write_text("", encoding="utf-8")
    return folder


def lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def run(place: Path, model: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gemlet", "eval", "--model", str(model), *arguments]
    done = subprocess.run(command, capture_output=True, cwd=place, encoding="utf-8")
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_ranking_beside_another_setting(place: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    compare = ("--compare", "quantization=f32", "--report", str(report))
    done = run(place, tiny_checkpoint, *RANKING, *compare)
    said = done.stdout.splitlines()
    assert said[0] == "5 queries, 36 documents, 15 judgements"
    assert said[1].endswith("q8_0, 768 numbers")
    assert [line.split()[0] for line in said[4:9]] == ["nDCG@10", "recall@10", "precision@10", "MRR@10", "MAP@100"]
    assert "quantization=f32, compared" in said
    assert sum(line.startswith("quantization=f32: ") for line in said) == 1
    assert done.stderr.splitlines() == [
        "gemlet: 1 query has no relevant document and is left out (q.jsonl:6, 'q5'): judge a document over 0 "
        "for it, or take it out",
        "gemlet: the intervals are rough ones, of 5 rows: 30 or more make them hold",
    ]
    page = report.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert said[4].split()[1] in page


def test_json_has_figures_and_differences(place: Path, tiny_checkpoint: Path) -> None:
    options = ("-k", "3", "--task", "question answering", "--compare", "quantization=f32", "--seed", "5", "--json")
    first, again = (run(place, tiny_checkpoint, *RANKING, *options).stdout for _ in range(2))
    assert first == again
    value = json.loads(first)
    assert [one["name"] for one in value["figures"]] == ["ndcg@3", "recall@3", "precision@3", "mrr@3", "map@100"]
    assert 0 <= value["figures"][0]["low"] <= value["figures"][0]["value"] <= value["figures"][0]["high"] <= 1
    other = value["comparisons"][0]
    assert other["name"] == "quantization=f32"
    assert set(other["differences"][0]) == {"name", "value", "low", "high", "p"}
    assert other["verdict"]["choice"] in ("better", "good enough", "a trade", "not decided")
    assert value["hardest"] == [] or set(value["hardest"][0]) == {"place", "text", "wanted", "found", "measure"}


def test_pairs_and_labels(place: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    done = run(place, tiny_checkpoint, "--pairs", "pairs.csv", "--columns", "sentence1,sentence2,score")
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[4:9]] == [
        "average precision",
        "best F1",
        "best accuracy",
        "Spearman",
        "Pearson",
    ]
    report = tmp_path / "report.md"
    done = run(place, tiny_checkpoint, "--labels", "labels.csv", "--report", str(report))
    assert done.stdout.splitlines()[0] == "36 texts, 6 labels"
    assert report.read_text(encoding="utf-8").startswith("# How well labels are told\n")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say what to measure: --queries, --docs and --qrels; --pairs; or --labels"),
        (("--queries", "q.jsonl"), "--queries, --docs and --qrels go together"),
        ((*RANKING, "--pairs", "pairs.csv"), "are measured one at a time"),
        (("--pairs", "pairs.csv", "-k", "3"), "--task and -k are of --queries"),
        ((*RANKING, "--columns", "a,b,c"), "--columns is of --pairs"),
        ((*RANKING, "--label", "a"), "--label is of --labels"),
        (("--pairs", "pairs.csv", "--text", "a"), "--text is of --labels"),
        ((*RANKING[:-1], "wrong.tsv"), "wrong.tsv:2 names the document 'nowhere', which is not among the documents"),
        (("--queries", "twice.jsonl", *RANKING[2:]), "twice.jsonl:2 has the id 'q1', as twice.jsonl:1 has"),
        (("--queries", "empty.jsonl", *RANKING[2:]), "empty.jsonl: there is no row in it"),
        ((*RANKING[:-1], "empty.jsonl"), "empty.jsonl: there is no judgement in it"),
        ((*RANKING[:-1], "no.tsv"), "cannot read no.tsv: No such file"),
        (("--pairs", "nan.csv"), "nan.csv:3 has the score 'nan'"),
        (("--labels", "one.csv"), "one.csv: every text is 'x'"),
        ((*RANKING, "--compare", "256"), "'256' is no setting"),
        ((*RANKING, "--compare", "quantization=q4_0"), "gemlet quantize MODEL FILE.gguf --type q4_0"),
        ((*RANKING, "--report", "report.pdf"), "name a .html or .md file"),
        ((*RANKING, "--report", "no/report.md"), "there is no folder no"),
        ((*RANKING, "--task", "nonsense"), "no prompt is named 'nonsense'"),
    ],
)
def test_each_mistake_is_one_line(place: Path, tiny_checkpoint: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run(place, tiny_checkpoint, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr.splitlines()[-1]


def test_a_model_that_is_not_there_is_told_before_anything_is_embedded(place: Path, tiny_checkpoint: Path) -> None:
    done = run(place, tiny_checkpoint, *RANKING, "--offline", "--compare", "model=no.gguf")
    assert done.returncode == 1
    assert "no.gguf" in done.stderr


def test_the_documents_own_data(checkpoint: Path) -> None:
    data = Path(__file__).parents[2] / "docs" / "uses" / "data"
    files = ("--queries", "hire-queries.jsonl", "--docs", "hire-docs.jsonl", "--qrels", "hire-qrels.tsv")
    done = run(data, checkpoint, *files, "--compare", "dim=256", "--json")
    value = json.loads(done.stdout)
    assert value["figures"][0]["value"] == pytest.approx(0.9173, abs=0.02)  # on other machines the last digits differ
    assert value["comparisons"][0]["verdict"]["choice"] == "a trade"
