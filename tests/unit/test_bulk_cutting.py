"""A file is cut into shards that have each of its rows once, wherever they are cut, and whatever is in them."""

import bz2
import csv
import gzip
import io
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemlet.bulk import Settings, lines
from gemlet.bulk.block import Block
from gemlet.bulk.cutting import BrokenSource, cut
from gemlet.bulk.reading import read_blocks
from gemlet.bulk.settings import Job
from gemlet.bulk.sources import find_sources
from gemlet.bulk.tables import Records
from gemlet.errors import InputError

TEXTS = ["plain", 'a "quoted" word', "two\nlines", "naïve 日本 🎈", "a,b;c\td", "   lead", "x" * 3000, "'"]


def job_of(path: Path, columns: list[str]) -> Job:
    schema = pa.schema([(name, pa.string()) for name in columns])
    return Job("", find_sources([str(path)]), schema, tuple(columns), Settings(text="text"), {}, "")


def blocks(path: Path, rows: int, columns: list[str] | None = None) -> list[Block]:
    """Through shards of so many rows, which must lie end to end."""
    job = job_of(path, columns or ["text"])
    shards = cut(0, job.sources[0], rows)
    for one, other in pairwise(shards):
        assert (one.end, one.part + 1) == (other.begin, other.part)
    found = [list(read_blocks(shard, job)) for shard in shards]
    assert [sum(block.rows for block in part) for part in found] == [shard.rows for shard in shards]
    return [block for part in found for block in part]


def texts(path: Path, rows: int, columns: list[str] | None = None) -> list[str]:
    found = blocks(path, rows, columns)
    assert not [bad for block in found for bad in block.bad]
    return [text for block in found for text in block.texts]


def as_csv(values: list[str]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["n", "text"], *([i, text] for i, text in enumerate(values))])
    return out.getvalue().encode()


def as_lines(values: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in values).encode()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(("name", "write"), [("a.csv", as_csv), ("a.jsonl", as_lines)])
def test_every_row_is_in_one_shard(tmp_path: Path, name: str, write: Callable[[list[str]], bytes], rows: int) -> None:
    path = tmp_path / name
    columns = ["n", "text"] if name == "a.csv" else ["text"]
    path.write_bytes(write(TEXTS))
    assert texts(path, rows, columns) == TEXTS
    path.write_bytes(b"\xef\xbb\xbf" + write(TEXTS).rstrip(b"\r\n"))  # a mark before it, no line feed at its end
    assert texts(path, rows, columns) == TEXTS


@given(
    values=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip), min_size=1),
    rows=st.integers(1, 5),
    name=st.sampled_from(["a.csv", "a.jsonl"]),
)
def test_any_texts_come_out_of_shards_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, values: list[str], rows: int, name: str
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(as_csv(values) if name == "a.csv" else as_lines(values))
    assert texts(path, rows, ["n", "text"] if name == "a.csv" else ["text"]) == values


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_lines_of_text_keep_their_numbers_and_blank_ones_are_none(tmp_path: Path, end: str, rows: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(end.join(["", "one", "", "", "two", " \t ", "three", ""]).encode())
    found = blocks(path, rows)
    assert [text for block in found for text in block.texts] == ["one", "two", "three"]
    assert [place.rpartition(":")[2] for block in found for place in block.places] == ["2", "5", "7"]


def test_a_row_of_a_table_is_named_by_the_line_that_it_begins_in(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('n,text\n1,"two\nlines"\n\n2,next\n3,last\n')
    for rows in (1, 2, 9):
        places = [place.rpartition(":")[2] for block in blocks(path, rows, ["n", "text"]) for place in block.places]
        assert places == ["2", "5", "6"]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_texts_are_cut_as_what_is_in_them(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(pack(as_lines(TEXTS * 50)))
    assert texts(path, 70) == TEXTS * 50


@pytest.mark.parametrize("group", [3, 10, 1000])
@pytest.mark.parametrize("rows", [1, 4, 7, 1000])
def test_parquet_is_cut_across_its_groups_of_rows(tmp_path: Path, group: int, rows: int) -> None:
    path = tmp_path / "a.parquet"
    values = [f"text {i}" for i in range(23)]
    pq.write_table(pa.table({"text": values, "n": list(range(23))}), path, row_group_size=group)
    assert texts(path, rows) == values
    places = [place.rpartition(" ")[2] for block in blocks(path, rows) for place in block.places]
    assert places == [str(i + 1) for i in range(23)]


def test_tsv_is_lines_and_a_quote_that_stands_alone_is_a_character(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('n\ttext\n1\t5" pipe\n2\t"quoted\n3\t"a ""b"" c"\n')
    assert texts(path, 1, ["n", "text"]) == ['5" pipe', '"quoted', 'a "b" c']


BROKEN: list[tuple[str, bytes, str]] = [
    ("a.parquet", b"not one", "cannot read"),
    ("a.csv", b'n,text\n1,"never ends\n2,x\n' * 3, "is no row of a table"),
    ("a.csv", b"", "has no first row"),
    ("a.csv", b"a,a\n1,2\n", "two columns are called 'a'"),
    ("a.txt", "text\n".encode("utf-16"), "is UTF-16"),
    ("a.csv", "n,text\n".encode("utf-16"), "is UTF-16"),
    ("a.jsonl.gz", b"not one", "cannot read"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_a_broken_file_is_named_before_anything_is_embedded(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BrokenSource, match=message) as error:
        cut(0, find_sources([str(tmp_path / name)])[0], 10)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_line_without_end_passes_through_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES", 1000)
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n" + b"x" * 5_000_000 + b"\ntwo\n" + b"y" * 2_000_000)
    found = blocks(path, 1)
    assert [text for block in found for text in block.texts] == ["one", "two"]
    bad = [row for block in found for row in block.bad]
    assert [(row.place.rpartition(":")[2], row.reason.split(",")[0]) for row in bad] == [
        ("2", "the line has 5"),
        ("4", "the line has 2"),
    ]


BAD_LINES: list[tuple[str, bytes, str]] = [
    ("a.jsonl", b'{"text": "x"', "is not JSON"),
    ("a.jsonl", b"[1, 2]", "is neither an object nor a string, but a list"),
    ("a.jsonl", b'{"text": ""}', "'text' is empty"),
    ("a.jsonl", b'{"text": "  "}', "'text' is empty"),
    ("a.jsonl", b'{"text": null}', "'text' is null, no text"),
    ("a.jsonl", b'{"body": "x"}', "'text' is null, no text"),
    ("a.jsonl", b'{"text": 7}', "'text' is 7, no text"),
    ("a.jsonl", b'{"text": ["x"]}', "'text' is \\[\"x\"\\], no text"),
    ("a.jsonl", b'{"text": "caf\xe9"}', "is not UTF-8 at byte 14"),
    ("a.txt", b"caf\xe9", "is not UTF-8 at byte 4"),
    ("a.csv", b"1,caf\xe9", "is not UTF-8"),
    ("a.csv", b"1,", "'text' is empty"),
    ("a.csv", b"1", "'text' is empty"),
    ("a.csv", b"1,2,3", "has 3 cells, the first row names 2"),
]


@pytest.mark.parametrize(("name", "line", "reason"), BAD_LINES)
def test_a_bad_row_is_told_with_its_place_and_the_others_are_not_lost(
    tmp_path: Path, name: str, line: bytes, reason: str
) -> None:
    head, good = {"a.csv": (b"n,text\n", b"1,good\n"), "a.txt": (b"", b"good\n")}.get(name, (b"", b'"good"\n'))
    (tmp_path / name).write_bytes(head + good + line + b"\n" + good)
    found = blocks(tmp_path / name, 10, ["n", "text"] if name == "a.csv" else ["text"])
    assert [text for block in found for text in block.texts] == ["good", "good"]
    ((place, told, row),) = [bad for block in found for bad in block.bad]
    assert place == f"{tmp_path / name}:{3 if head else 2}"
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(told)
    json.dumps(row)


def test_parquets_nulls_and_blanks_are_bad_rows(tmp_path: Path) -> None:
    values: list[Any] = ["good", None, "", "   ", "good"]
    pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet")
    (block,) = blocks(tmp_path / "a.parquet", 10)
    assert block.texts == ["good", "good"]
    assert [(bad.place.rpartition(" ")[2], bad.reason) for bad in block.bad] == [
        ("2", "'text' is null, no text"),
        ("3", "'text' is empty"),
        ("4", "'text' is empty"),
    ]


def test_a_block_ends_where_its_texts_are_many_bytes(tmp_path: Path) -> None:
    values = ["x" * 400_000] * 8
    pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_bytes(as_lines(values))
    for name in ("a.parquet", "a.jsonl"):
        assert [len(block.texts) for block in blocks(tmp_path / name, 100)] == [3, 3, 2]


@pytest.mark.parametrize(
    ("given_path", "message"),
    [("nothing.csv", "there is no"), ("*.csv", "matches no file"), ("-", "stdin"), ("a.json", "JSON array")],
)
def test_what_is_no_input_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_path: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(InputError, match=message):
        find_sources([given_path])


def test_files_folders_globs_and_addresses_are_found_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.csv", "in/c.csv", "in/d.parquet", "in/e.pdf", "in/.hidden.csv", "in/deep/f.jsonl.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [s.name for s in find_sources(["*.csv"])] == ["a.csv", "b.csv"]
    assert [s.name for s in find_sources(["in"])] == ["in/c.csv", "in/d.parquet", "in/deep/f.jsonl.gz"]
    assert [s.name for s in find_sources(["**/*.csv", "b.csv"])] == ["a.csv", "b.csv", "in/c.csv"]
    base = f"file://{tmp_path}"
    assert [s.name for s in find_sources([f"{base}/*.csv"])] == [f"{base}/a.csv", f"{base}/b.csv"]
    assert [s.name for s in find_sources([f"{base}/**/[!a-b].csv"])] == [f"{base}/in/c.csv"]
    inside = ["in/c.csv", "in/d.parquet", "in/deep/f.jsonl.gz"]
    assert [s.name for s in find_sources([f"{base}/in"])] == [f"{base}/{name}" for name in inside]
    assert [(s.kind, s.size) for s in find_sources([f"{base}/in/d.parquet"])] == [("parquet", 1)]
    with pytest.raises(InputError, match="matches no file"):
        find_sources([f"{base}/nothing*"])
    with pytest.raises(InputError, match="cannot open nosuch://x"):
        find_sources(["nosuch://x/y.csv"])


def test_the_process_keeps_its_limit_of_a_cell() -> None:
    limit = csv.field_size_limit()
    records = iter(Records([(b"a,b", 4), (b"1,2", 4)], ",", "x.csv"))
    assert next(records).cells == ["a", "b"]
    assert csv.field_size_limit() == limit
