"""`gemlet mine`, `clean`, `queries` and `soup` as a user meets them, on the tiny model."""

import csv
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from fake_llm import Llm, begin_events, send_bytes, send_event, serve
from tiny_model import write_tiny_checkpoint

WORDS = ["red", "blue", "green", "cold", "hot", "wet"]
PAIRS = [{"query": f"what is {word}", "answer": f"{word} is {word}, number {at}"} for at, word in enumerate(WORDS)]


def run(*arguments: str | Path, model: Path | None = None) -> subprocess.CompletedProcess[str]:
    own = ["--model", str(model)] if model else []
    done = subprocess.run(
        [sys.executable, "-m", "gemlet", *map(str, arguments), *own], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def fails(done: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert done.stdout == ""


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return jsonl(tmp_path / "pairs.jsonl", PAIRS)


def test_mine_writes_what_train_reads(tiny_checkpoint: Path, pairs: Path, tmp_path: Path) -> None:
    done = run("mine", pairs, "--any", "-n", "2", "--scores", "-o", tmp_path / "out.jsonl", model=tiny_checkpoint)
    assert done.returncode == 0, done.stderr
    assert (
        f"6 of 6 pairs have 2 negatives; 0 texts were too near to be surely wrong; wrote 6 rows to {tmp_path}"
        in done.stderr
    )
    rows = lines(tmp_path / "out.jsonl")
    assert [(row["anchor"], row["positive"]) for row in rows] == [(one["query"], one["answer"]) for one in PAIRS]
    answers = {one["answer"] for one in PAIRS}
    for row in rows:
        assert list(row)[2:] == ["negative_1", "negative_2", "positive_score", "negative_1_score", "negative_2_score"]
        assert {row["negative_1"], row["negative_2"]} < answers - {row["positive"]}
        assert row["negative_1_score"] >= row["negative_2_score"]


def test_mine_from_a_corpus_a_row_for_each(tiny_checkpoint: Path, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("a cat\n\na dog\n")
    out = tmp_path / "out.csv"
    done = run("mine", pairs, "--any", "-n", "3", "--each", "--corpus", tmp_path / "corpus.txt", "-o", out, "--json",
               model=tiny_checkpoint)  # fmt: skip
    found = json.loads(done.stdout)
    assert found == {"pairs": 6, "corpus": 2, "with_negatives": 0, "negatives": 12, "too_near": 0, "rows": 12}
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["anchor", "positive", "negative"]
    assert {row["negative"] for row in rows} == {"a cat", "a dog"}


def test_mine_shows_what_it_would_take(tiny_checkpoint: Path, pairs: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    done = run("mine", pairs, "--any", model=tiny_checkpoint)
    assert done.stdout.splitlines()[0] == "what is red"
    assert done.stdout.splitlines()[1].split()[1] == "positive"
    assert done.stdout.splitlines()[-1] == "... and 1 more pairs"
    assert "nothing was written" in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_mine_without_anything_to_find(tiny_checkpoint: Path, tmp_path: Path) -> None:
    one = jsonl(tmp_path / "one.jsonl", PAIRS[:1])
    done = run("mine", one, "-o", tmp_path / "out.jsonl", model=tiny_checkpoint)
    fails(done, 4, "none of 1 pairs has a negative; 0 texts were too near")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([], [], "there is no row in it"),
        ([{"a": 1, "b": 2, "c": 3}], [], "say --anchor and --positive; the columns are: a, b, c"),
        ([{"query": "a", "answer": ""}], [], "rows.jsonl:1 has no text in 'answer': fill it, or leave such rows out"),
        ([{"query": "a", "answer": ""}], ["--skip-empty"], "no row has both 'query' and 'answer'"),
        ([{"query": "a", "answer": ["b"]}], [], "no text in 'answer', but a list"),
        (PAIRS, ["--positive", "reply"], "there is no column 'reply'"),
        (PAIRS, ["--negatives", "5", "--depth", "3"], "depth no less than count"),
        (PAIRS, ["--any", "--margin", "0.1"], "leave one of them out"),
        (PAIRS, ["--text", "body"], "--text is of --corpus"),
        (PAIRS, ["-o", "-", "--json"], "only one result can go to stdout"),
        (PAIRS, ["--corpus", "nowhere.txt"], "cannot read nowhere.txt: No such file or directory"),
        (PAIRS, ["-o", "rows.xlsx", "--any"], "cannot tell what to write from 'rows.xlsx'"),
        (PAIRS, ["-o", "no/such/rows.csv"], "cannot write no/such/rows.csv: No such file or directory"),
    ],
)
def test_mine_refuses(
    tiny_checkpoint: Path, tmp_path: Path, rows: list[dict[str, Any]], arguments: list[str], message: str
) -> None:
    fails(run("mine", jsonl(tmp_path / "rows.jsonl", rows), *arguments, model=tiny_checkpoint), 2, message)


ROWS = [
    {"id": 1, "anchor": "what is red", "positive": "a colour like blood"},
    {"id": 2, "anchor": "What is  red?", "positive": "A colour, like blood."},
    {"id": 3, "anchor": "what is blue", "positive": "*** !!! ***"},
    {"id": 4, "anchor": "what is green", "positive": "the colour of grass and of most leaves"},
    {"id": 5, "anchor": "", "positive": "nobody asked"},
    {"id": 6, "anchor": "what is red", "positive": "a colour like blood "},
]


def test_clean_says_what_goes_and_why(tmp_path: Path) -> None:
    rows = jsonl(tmp_path / "rows.jsonl", ROWS)
    test = jsonl(tmp_path / "test.jsonl", [{"query": "WHAT is green?"}])
    kept, gone = tmp_path / "kept.jsonl", tmp_path / "gone.csv"
    before = rows.read_bytes()
    done = run("clean", rows, "--against", test, "-o", kept, "--dropped", gone)
    assert done.returncode == 0, done.stderr
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines()] == [
        ["1", "mostly symbols"], ["1", "in an evaluation set"], ["1", "empty"], ["1", "the same as another row"],
    ]  # fmt: skip
    assert f"2 of 6 rows stay, 4 go; wrote {kept}" in done.stderr
    assert lines(kept) == ROWS[:2]  # punctuation is a difference, spaces are none
    with gone.open(newline="") as file:
        told = [(row["id"], row["place"], row["reason"], row["column"], row["other"]) for row in csv.DictReader(file)]
    assert told == [
        ("3", f"{rows}:3", "mostly symbols", "positive", ""),
        ("4", f"{rows}:4", "in an evaluation set", "anchor", f"{test}:1"),
        ("5", f"{rows}:5", "empty", "anchor", ""),
        ("6", f"{rows}:6", "the same as another row", "", f"{rows}:1"),
    ]
    assert rows.read_bytes() == before


def test_clean_by_vectors_for_programs(tiny_checkpoint: Path, tmp_path: Path) -> None:
    rows = jsonl(tmp_path / "rows.jsonl", ROWS)
    done = run("clean", rows, "--near", "0.9", "--json", "--text", "anchor", model=tiny_checkpoint)
    found = json.loads(done.stdout)
    assert (found["rows"], found["columns"]) == (6, ["anchor"])
    assert found["kept"] == 6 - len(found["dropped"])
    assert found["dropped"][0] | {"detail": ""} == {
        "place": f"{rows}:2", "reason": "nearly another row", "detail": "", "other": f"{rows}:1",
    }  # fmt: skip
    assert found["dropped"][0]["detail"].startswith("cosine 0.9")


def test_clean_masks(tmp_path: Path) -> None:
    pytest.importorskip("phonenumbers", reason="needs an extra: pip install 'gemlet[privacy]'")
    rows = tmp_path / "rows.csv"
    rows.write_text("id,text,score\n7,write to a@example.org,0.5\n8,a plain row,1.0\n")
    done = run("clean", rows, "--personal", "mask", "-o", tmp_path / "out.csv")
    assert done.stdout.split() == ["1", "masked:", "mail"]
    assert (tmp_path / "out.csv").read_text() == "id,text,score\n7,write to [mail],0.5\n8,a plain row,1.0\n"
    fails(run("clean", rows, "--personal", "drop", "--country", "Atlantis"), 2, "'ATLANTIS' is no country")


def test_an_evaluation_set_with_columns_of_its_own(tmp_path: Path) -> None:
    rows = jsonl(tmp_path / "rows.jsonl", [{"id": 1, "asked": "what is green"}, {"id": 2, "asked": "what is red"}])
    named = jsonl(tmp_path / "named.jsonl", [{"id": 1, "asked": "what is green"}])
    done = run("clean", rows, "--text", "asked", "--against", named)
    assert done.stdout.split(maxsplit=1) == ["1", "in an evaluation set\n"]
    other = jsonl(tmp_path / "other.jsonl", [{"number": 1, "words": "what is green"}])
    fails(run("clean", rows, "--text", "asked", "--against", other), 2, f"{other}: which columns are texts?")


def test_clean_when_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("!!!\n???\n")
    done = run("clean", tmp_path / "rows.txt")
    assert (done.returncode, done.stdout.split()) == (4, ["2", "mostly", "symbols"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--near", "similar"], "--near 'similar' is neither a cosine nor one of: duplicate"),
        (["--near", "7"], "near is 7.0: a cosine lies between -1 and 1"),
        (["--min-words", "5", "--max-words", "3"], "the second no less than the first"),
        (["--country", "DE"], "add --personal drop or mask"),
        (["--text", "body"], "there is no column 'body'"),
        (["--against", "nowhere.csv"], "cannot read nowhere.csv"),
        (["-o", "-", "--json"], "only one result can go to stdout"),
        (["--dropped", "gone.txt"], "cannot tell what to write from 'gone.txt'"),
    ],
)
def test_clean_refuses(tmp_path: Path, arguments: list[str], message: str) -> None:
    fails(run("clean", jsonl(tmp_path / "rows.jsonl", ROWS), *arguments), 2, message)


def test_an_extra_that_is_missing_is_named(tmp_path: Path) -> None:
    rows = jsonl(tmp_path / "rows.jsonl", ROWS)
    hide = "import sys; sys.modules['phonenumbers'] = None; from gemlet.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hide, "clean", rows, "--personal", "mask"], capture_output=True, text=True, check=False
    )
    fails(done, 3, "finding personal data needs an extra: pip install 'gemlet[privacy]'")


def parrot(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Two queries of each passage: its words the other way round, and what no passage is about."""
    passage = body["messages"][1]["content"].rpartition("Passage:\n")[2]
    begin_events(handler)
    send_event(handler, f"1. {passage}?\n2. Here they are:\n")
    handler.wfile.write(b"data: [DONE]\n\n")


PASSAGES = [{"text": f"{word} {word}"} for word in WORDS]


def test_queries_find_their_passages(tiny_checkpoint: Path, tmp_path: Path) -> None:
    texts = jsonl(tmp_path / "texts.jsonl", PASSAGES)
    out, rejected = tmp_path / "out.jsonl", tmp_path / "rejected.csv"
    with serve(Llm(parrot)) as llm:
        done = run("queries", texts, "--llm-url", llm.url, "--unchecked", "-o", out, "--rejected", rejected)
        assert done.returncode == 0, done.stderr
        assert len(llm.requests) == 6
        checked = run("queries", texts, "--llm-url", llm.url, "-o", tmp_path / "b.csv", "--json", model=tiny_checkpoint)
    assert lines(out) == [{"anchor": f"{one['text']}?", "positive": one["text"]} for one in PASSAGES]
    assert f"6 of 12 queries by small are kept; wrote {out}" in done.stderr
    assert not (tmp_path / "out.jsonl.part").exists()
    with rejected.open(newline="") as file:
        assert [row["reason"] for row in csv.DictReader(file)] == ["no query"] * 6
    found = json.loads(checked.stdout)
    assert (found["passages"], found["written"], found["model"]) == (6, 12, "small")
    assert found["kept"] + found["reasons"].get("finds other passages first", 0) == 6


def test_queries_go_on_where_the_server_broke_off(tmp_path: Path) -> None:
    texts = jsonl(tmp_path / "texts.jsonl", PASSAGES)
    out = tmp_path / "out.jsonl"

    def breaks(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        if len(llm.requests) > 4:
            send_bytes(handler, b"out of memory", 500)
        else:
            parrot(handler, body)

    with serve(Llm(breaks)) as llm:
        done = run("queries", texts, "--llm-url", llm.url, "--unchecked", "-o", out)
        fails(done, 1, "out of memory; what was written is kept, the same command goes on from there")
    assert not out.exists()
    with serve(Llm(parrot)) as llm:
        done = run("queries", texts, "--llm-url", llm.url, "--unchecked", "-o", out)
        assert (done.returncode, len(llm.requests)) == (0, 2)
    assert [row["positive"] for row in lines(out)] == [one["text"] for one in PASSAGES]


def test_queries_refuse(tmp_path: Path) -> None:
    texts = jsonl(tmp_path / "texts.jsonl", PASSAGES)
    fails(run("queries", texts, "--unchecked", "-o", "-"), 2, "name a file")
    with serve(Llm(parrot)) as llm:
        done = run("queries", texts, "--unchecked", "--llm-url", llm.url, "-o", tmp_path / "out.txt")
        fails(done, 2, "cannot tell what to write from")
        assert llm.requests == []  # nothing is asked that could not be kept
    fails(run("queries", texts, "--text", "body", "-o", tmp_path / "out.csv"), 2, "there is no column 'body'")
    far = run("queries", texts, "--unchecked", "--llm-url", "http://example.org", "-o", tmp_path / "out.csv")
    fails(far, 2, "allow it with --llm-remote")
    with serve(Llm(lambda handler, _: send_bytes(handler, b"{}", 200, "application/json"))) as llm:
        done = run("queries", texts, "--unchecked", "--llm-url", llm.url, "-o", tmp_path / "out.csv")
    assert done.returncode == 4
    assert "0 of 0 queries by small are kept" in done.stderr


def test_soup(tmp_path: Path) -> None:
    folders = [write_tiny_checkpoint(tmp_path / name, seed) for seed, name in enumerate("ab")]
    dev = jsonl(tmp_path / "dev.jsonl", PAIRS)
    done = run("soup", *folders, "-o", tmp_path / "all")
    assert (done.returncode, done.stdout.split()) == (0, ["a", "b"])
    assert f"the mean of 2 of 2 checkpoints; wrote {tmp_path / 'all'}" in done.stderr
    fails(run("soup", *folders, "-o", tmp_path / "all"), 2, "all is there already: name another folder")
    done = run("soup", *folders, "-o", tmp_path / "some", "--dev", dev, "--json")
    made = json.loads(done.stdout)
    assert (made["method"], made["figure"]) == ("greedy", "ndcg@10")
    best, other = made["ingredients"]
    assert best["score"] >= other["score"]
    assert other["taken"] == (other["together"] >= best["score"])
    assert made["score"] == max(best["score"], other["together"])
    assert (tmp_path / "some" / "model.safetensors").exists()
    done = run("soup", *folders, "-o", tmp_path / "third", "--dev", dev, "--method", "uniform")
    assert done.stdout.splitlines()[0].split() == ["ndcg@10", "together"]
    assert done.stdout.splitlines()[-1].split()[1:] == ["the", "soup"]


def test_soup_refuses(tmp_path: Path) -> None:
    a = write_tiny_checkpoint(tmp_path / "a", 0)
    b = write_tiny_checkpoint(tmp_path / "b", 1, rope_theta=10_000.0)
    out = tmp_path / "soup"
    fails(run("soup", a, b, "-o", out), 2, "b is unlike")
    fails(run("soup", a, "-o", out), 2, "two checkpoints or more")
    fails(run("soup", a, tmp_path / "no", "-o", out), 2, "there is no folder")
    fails(run("soup", a, b, "-o", out, "--method", "greedy"), 2, "name one with --dev")
    (tmp_path / "empty.csv").write_text("anchor,positive\n")
    fails(run("soup", a, b, "-o", out, "--dev", tmp_path / "empty.csv"), 2, "there is no row in it")
    assert not out.exists()
