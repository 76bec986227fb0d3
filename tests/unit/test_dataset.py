"""Rows come out as they went in, and what is no row is named with its place."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemlet.dataset import Rows, open_rows, read_dataset
from gemlet.errors import InputError, MissingExtra

ROWS = [
    {"text": 'He said "no", twice', "label": "a", "n": 1},
    {"text": "two\nlines", "label": "b", "n": 2.5},
    {"text": "naïve 日本 🎈", "label": "a", "n": None},
]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_all(rows: Rows, values: Iterable[Any]) -> None:
    for row in values:
        rows.write(row)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    with open_rows(str(path), ["text", "label", "n"]) as rows:
        write_all(rows, ROWS)
    data = read_dataset([path])
    assert data.columns == ["text", "label", "n"]
    assert data.texts() == [row["text"] for row in ROWS]
    assert data.labels() == ["a", "b", "a"]
    numbers = [row["n"] for row in data.rows]
    assert numbers == (["1", "2.5", ""] if suffix in (".csv", ".tsv") else [1, 2.5, None])


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("before")
    with pytest.raises(AttributeError), open_rows(str(tmp_path / "old.csv"), ["text"]) as rows:
        write_all(rows, [{"text": "half"}, None])
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
    assert (tmp_path / "old.csv").read_text() == "before"


def test_rows_that_are_no_parquet_table_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Parquet table"), open_rows(str(tmp_path / "x.parquet"), ["n"]) as rows:
        write_all(rows, [{"n": 1}, {"n": "one"}])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", ["rows.xlsx", "rows", ""])
def test_another_suffix_is_refused(output: str) -> None:
    with pytest.raises(InputError, match=r"name a \.csv"), open_rows(output, []):
        pass


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"), open_rows(str(tmp_path / "no" / "rows.csv"), []):
        pass


def test_rows_of_several_files_with_their_places(tmp_path: Path) -> None:
    one = write(tmp_path, "a.csv", 'text,label\n"two\nlines",x\nlast,y\n')
    two = write(tmp_path, "b.jsonl", '{"text": "third", "extra": 1}\n\n"fourth"\n')
    data = read_dataset([one, two])
    assert data.columns == ["text", "label", "extra"]
    assert data.texts() == ["two\nlines", "last", "third", "fourth"]
    assert data.places == [f"{one}:2", f"{one}:4", f"{two}:1", f"{two}:3"]
    with pytest.raises(InputError, match=r"b\.jsonl:1 has no label in 'label'"):
        data.labels()


def test_lines_of_text_without_blank_ones(tmp_path: Path) -> None:
    data = read_dataset([write(tmp_path, "notes.txt", "\ufefffirst\r\n\r\n  \nsecond\n")])
    assert data.texts() == ["first", "second"]
    assert [place.rpartition(":")[2] for place in data.places] == ["1", "4"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_of_a_csv_file_is_seen(tmp_path: Path, separator: str) -> None:
    text = f'id{separator}"a, b; c|d"{separator}text\n1{separator}x{separator}hello\n'
    data = read_dataset([write(tmp_path, "a.csv", text)])
    assert data.columns == ["id", "a, b; c|d", "text"]
    assert data.texts() == ["hello"]


def test_quotes_in_a_tsv_file_may_be_characters(tmp_path: Path) -> None:
    data = read_dataset([write(tmp_path, "a.tsv", 'text\tlabel\n"open\tx\nclosed"\ty\n')])
    assert data.texts() == ['"open', 'closed"']
    assert data.labels() == ["x", "y"]


def test_a_long_cell_is_read(tmp_path: Path) -> None:
    data = read_dataset([write(tmp_path, "a.csv", f"text,label\n{'x' * 300_000},a\n")])
    assert len(data.texts()[0]) == 300_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\nx,y,z\n", r"a\.csv:2 has 3 cells, the first row names 2"),
        ("a.csv", 'text,label\n"x,y\n', "is no table"),
        ("a.csv", "text,text\nx,y\n", "two columns are called 'text'"),
        ("a.csv", "", "there is no row"),
        ("a.csv", "text,label\n", "there is no row"),
        ("a.txt", " \n\n", "there is no row"),
        ("a.jsonl", '{"text": "x"}\nnot json\n', r"a\.jsonl:2 is not JSON"),
        ("a.jsonl", "[1]\n", r"a\.jsonl:1 is neither an object nor a string, but a list"),
        ("a.json", '{"text": "x"}', "no JSON array of rows, but a dict"),
        ("a.json", "[" * 100_000, "is not JSON"),
        ("a.csv", b"\x00\x01\x02", "is a binary file"),
        ("a.parquet", "no parquet", "cannot read"),
    ],
)
def test_what_is_no_table_is_told_with_its_place(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_dataset([write(tmp_path, name, content)])
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*none\.csv: No such file"):
        read_dataset([tmp_path / "none.csv"])


def test_parquet_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"gemlet\[table\]"):
        read_dataset([write(tmp_path, "a.parquet", "")])
    with pytest.raises(MissingExtra, match=r"gemlet\[table\]"), open_rows(str(tmp_path / "b.parquet"), []):
        pass


def rows_of(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    return write(tmp_path, "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def test_columns_are_found_by_their_usual_names_or_told(tmp_path: Path) -> None:
    data = read_dataset([rows_of(tmp_path, [{"id": 1, "Sentence": "x", "Sentiment": "good", "other": "y"}])])
    assert data.texts() == ["x"]
    assert data.labels() == ["good"]
    assert data.texts("OTHER") == ["y"]
    with pytest.raises(InputError, match="there is no column 'body'; the columns are: id, Sentence, Sentiment, other"):
        data.texts("body")


def test_columns_that_cannot_be_told_are_asked_for(tmp_path: Path) -> None:
    data = read_dataset([rows_of(tmp_path, [{"id": 1, "x": "a"}])])
    with pytest.raises(InputError, match=r"which column is the text.*--text; the columns are: id, x"):
        data.texts()
    with pytest.raises(InputError, match=r"which column is the label.*--label"):
        data.labels()
    only = read_dataset([write(tmp_path, "one.csv", "zzz\nhello, world\n")])
    assert only.texts() == ["hello, world"]


@pytest.mark.parametrize("missing", [None, "", "  ", np.nan])
def test_a_row_without_text_or_label_is_named(tmp_path: Path, missing: Any) -> None:
    data = read_dataset([rows_of(tmp_path, [{"text": "x", "label": "a"}, {"text": missing, "label": missing}])])
    with pytest.raises(InputError, match=r"rows\.jsonl:2 has no text in 'text'.*--skip-empty"):
        data.texts()
    with pytest.raises(InputError, match=r"rows\.jsonl:2 has no label in 'label'"):
        data.labels()
    kept = data.with_text()
    assert (kept.texts(), kept.labels(), len(kept.places)) == (["x"], ["a"], 1)


def test_labels_of_numbers_and_sets(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"label": 1}, {"label": 1.0}, {"label": 2.5}, {"label": True}, {"label": " x "}]
    assert read_dataset([rows_of(tmp_path, rows)]).labels() == ["1", "1", "2.5", "True", "x"]
    sets: list[dict[str, Any]] = [{"label": ["a", "b", "a"]}, {"label": "a|c"}, {"label": None}, {"label": 3}]
    assert read_dataset([rows_of(tmp_path, sets)]).label_sets() == [["a", "b"], ["a", "c"], [], ["3"]]
    with pytest.raises(InputError, match="has no label in 'label', but a dict"):
        read_dataset([rows_of(tmp_path, [{"label": [{}]}])]).label_sets()


def test_a_folder_has_a_row_for_each_file(tmp_path: Path) -> None:
    (tmp_path / "spam").mkdir()
    write(tmp_path / "spam", "1.txt", "Win!")
    write(tmp_path / "spam", "2.md", "# Sale\n\nNow.")
    write(tmp_path, "loose.txt", "hello")
    write(tmp_path, "photo.bin", bytes(range(256)))
    data = read_dataset([tmp_path])
    assert data.columns == ["path", "folder", "text"]
    assert [(row["path"], row["folder"]) for row in data.rows] == [
        ("loose.txt", ""), ("spam/1.txt", "spam"), ("spam/2.md", "spam"),
    ]  # fmt: skip
    assert data.texts()[2] == "# Sale\n\nNow."
    assert data.skipped == [("photo.bin", "is a binary file, not text")]
