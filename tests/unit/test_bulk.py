"""A bulk run: every row once, its vector the one that Embedder gives, and a run that goes on changes nothing."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gemlet import Embedder
from gemlet.bulk import EmbedBatches, Model, Pace, Settings, run, running
from gemlet.bulk.estimate import estimate
from gemlet.bulk.reading import ReadError
from gemlet.errors import BulkError, GemletError, InputError, InvalidDimension, MissingExtra, UnknownPrompt
from gemlet.vectors import quantize

TEXTS = [f"the cat number {i} sat on " + "the mat and " * (i % 7) for i in range(50)]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """50 rows in JSON lines, with a title in some."""
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(json.dumps({"n": i, "text": t, "title": "t" * (i % 3)}) + "\n" for i, t in enumerate(TEXTS))
    )
    return path


@pytest.fixture
def model(tiny_checkpoint: Path) -> Model:
    return Model(str(tiny_checkpoint), offline=True)


def table_of(folder: Path) -> pa.Table:
    return pq.read_table(folder)


def vectors_of(table: pa.Table, name: str = "vector") -> Any:
    column = table.column(name).combine_chunks()
    return column.values.to_numpy().reshape(-1, column.type.list_size)


def files_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_every_row_comes_out_with_its_columns_and_embedders_vector(
    rows: Path, tmp_path: Path, model: Model, tiny: Embedder
) -> None:
    report = run([str(rows)], str(tmp_path / "out"), Settings(shard_rows=20), model)
    assert (report.shards, report.before, report.failed, report.broken) == (3, 0, [], [])
    assert (report.counts.rows, report.counts.vectors, report.counts.bad) == (50, 50, 0)
    assert report.counts.tokens == tiny.count_tokens(TEXTS, prompt_name="document").sum()
    table = table_of(tmp_path / "out")
    assert table.column_names == ["n", "text", "title", "place", "vector"]
    assert table.column("n").to_pylist() == list(range(50))
    assert table.column("place").to_pylist() == [f"{rows}:{i + 1}" for i in range(50)]
    assert vectors_of(table).tobytes() == tiny.encode_document(TEXTS).tobytes()
    assert sum(path.stat().st_size for path in (tmp_path / "out").glob("*.parquet")) == report.counts.bytes


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "uint8", "binary", "ubinary"])
def test_precisions(rows: Path, tmp_path: Path, model: Model, tiny: Embedder, precision: Any) -> None:
    run([str(rows)], str(tmp_path / "out"), Settings(precision=precision, task="clustering"), model)
    found = vectors_of(table_of(tmp_path / "out"))
    exact = tiny.encode(TEXTS, prompt_name="clustering")
    expected = exact.astype(np.float16) if precision == "float16" else quantize(exact, precision)
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


def test_titles_go_into_the_prompt_and_no_task_is_no_prompt(
    rows: Path, tmp_path: Path, model: Model, tiny: Embedder
) -> None:
    run([str(rows)], str(tmp_path / "titled"), Settings(title="title"), model)
    titles = ["t" * (i % 3) for i in range(50)]
    expected = tiny.encode_document(TEXTS, titles=titles)
    assert vectors_of(table_of(tmp_path / "titled")).tobytes() == expected.tobytes()
    run([str(rows)], str(tmp_path / "plain"), Settings(task=None, columns=(), vector="v"), model)
    table = table_of(tmp_path / "plain")
    assert table.column_names == ["place", "v"]
    assert vectors_of(table, "v").tobytes() == tiny.encode(TEXTS).tobytes()


def test_passages_are_rows_with_their_text(tmp_path: Path, model: Model, tiny: Embedder) -> None:
    long = "\n\n".join(f"Paragraph {i}: " + "the cat sat on the mat. " * 6 for i in range(9))
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"id": 1, "text": long}) + "\n" + json.dumps({"id": 2, "text": "short"})
    )
    report = run([str(tmp_path / "a.jsonl")], str(tmp_path / "out"), Settings(chunk=128), model)
    table = table_of(tmp_path / "out")
    assert (report.counts.rows, report.counts.vectors) == (2, len(table))
    assert len(table) > 4
    assert table.column("id").to_pylist() == [1] * (len(table) - 1) + [2]
    assert table.column("passage").to_pylist() == [*range(len(table) - 1), 0]
    texts, titles = table.column("text").to_pylist(), table.column("passage_title").to_pylist()
    assert "".join("".join(texts[:-1]).split()) == "".join(long.split())
    assert vectors_of(table).tobytes() == tiny.encode_document(texts, titles=titles).tobytes()


def test_columns_of_json_lines_are_typed_by_what_is_in_them(tmp_path: Path, model: Model) -> None:
    rows = [
        {"text": "a", "i": 1, "f": 1, "b": True, "s": "x", "mixed": 1, "deep": {"k": [1]}, "none": None},
        {"text": "b", "i": None, "f": 0.5, "b": False, "s": "\ud800", "mixed": "2", "deep": [], "none": None},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run([str(tmp_path / "a.jsonl")], str(tmp_path / "out"), Settings(), model)
    found = table_of(tmp_path / "out").drop_columns(["place", "vector"]).to_pylist()
    assert found == [
        {"text": "a", "i": 1, "f": 1.0, "b": True, "s": "x", "mixed": "1", "deep": '{"k": [1]}', "none": None},
        {"text": "b", "i": None, "f": 0.5, "b": False, "s": "\ufffd", "mixed": '"2"', "deep": "[]", "none": None},
    ]


def test_a_value_that_does_not_fit_is_a_bad_row_and_a_new_field_is_told(tmp_path: Path, model: Model) -> None:
    lines = [json.dumps({"text": f"t{i}", "year": i}) for i in range(1000)]
    lines += [json.dumps({"text": "u", "year": "soon"}), json.dumps({"text": "v", "year": 1 << 70})]
    lines += [json.dumps({"text": "w", "new": 1})]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    report = run([str(tmp_path / "a.jsonl")], str(tmp_path / "out"), Settings(), model)
    assert (report.counts.vectors, report.counts.bad, report.counts.fields) == (1001, 2, {"new": 1})
    bad = [
        json.loads(line) for line in (tmp_path / "out" / "_bad" / "part-00000-000000.jsonl").read_text().splitlines()
    ]
    assert [row["place"].rpartition(":")[2] for row in bad] == ["1001", "1002"]
    assert "'year' is \"soon\", and int64 in the first rows: leave the column out (--drop year)" in bad[0]["reason"]
    assert bad[0]["row"] == {"text": "u", "year": "soon"}


def test_parquet_keeps_its_types(tmp_path: Path, model: Model) -> None:
    table = pa.table(
        {
            "body": pa.array(["a", "b", None, "c"]).dictionary_encode(),
            "when": pa.array([1, 2, 3, None], pa.timestamp("ms")),
            "tags": pa.array([["x"], [], None, ["y", "z"]]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    report = run([str(tmp_path / "a.parquet")], str(tmp_path / "out"), Settings(), model)
    found = table_of(tmp_path / "out")
    assert found.select(["when", "tags"]).equals(table.select(["when", "tags"]).take([0, 1, 3]))
    assert found.column("body").to_pylist() == ["a", "b", "c"]
    assert report.counts.bad == 1


def test_files_of_several_kinds_make_one_table(tmp_path: Path, model: Model) -> None:
    (tmp_path / "a.csv").write_text("id,text\nx,one\n")
    (tmp_path / "b.jsonl").write_text('{"text": "two", "id": "y"}\n')
    pq.write_table(pa.table({"text": ["three"]}), tmp_path / "c.parquet")
    run([str(tmp_path)], str(tmp_path / "d" / "out"), Settings(), model)
    found = table_of(tmp_path / "d" / "out").select(["id", "text"]).to_pylist()
    assert found == [{"id": "x", "text": "one"}, {"id": "y", "text": "two"}, {"id": None, "text": "three"}]
    (tmp_path / "b.jsonl").write_text('{"text": "two", "id": 7}\n')
    with pytest.raises(
        InputError, match=r"'id' is string in .*a\.csv, and int64 in JSON lines: leave it out \(--drop id\)"
    ):
        run([str(tmp_path / "a.csv"), str(tmp_path / "b.jsonl")], str(tmp_path / "e"), Settings(), model)


def test_a_run_goes_on_and_makes_no_finished_file_again(rows: Path, tmp_path: Path, model: Model) -> None:
    out = tmp_path / "out"
    run([str(rows)], str(out), Settings(shard_rows=10), model)
    whole = files_of(out)
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    (out / "part-00000-000001.parquet").unlink()
    (out / "part-00000-000003.parquet").write_bytes(whole["part-00000-000003.parquet"][:-10])  # torn
    (out / ".part-00000-000001.parquet.abc").write_bytes(b"half")
    report = run([str(rows)], str(out), Settings(shard_rows=10), model)
    assert (report.before, report.new.rows, report.counts.rows) == (3, 20, 50)
    assert files_of(out) == whole
    changed = {path.name for path in out.glob("*.parquet") if path.stat().st_mtime_ns != times[path.name]}
    assert changed == {"part-00000-000001.parquet", "part-00000-000003.parquet"}
    report = run([str(rows)], str(out), Settings(shard_rows=10), model)
    assert (report.before, report.new.rows, report.counts.rows) == (5, 0, 50)


def test_an_interrupt_as_a_file_is_begun_leaves_nothing_of_it(
    rows: Path, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tempfile.NamedTemporaryFile

    def interrupted(*args: Any, **options: Any) -> Any:
        file = begun(*args, **options)
        if ".part-00000-000001" in file.name:
            raise KeyboardInterrupt
        return file

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([str(rows)], str(tmp_path / "out"), Settings(shard_rows=20), model)
    left = [path.name for path in (tmp_path / "out").rglob("*part-*")]
    assert left == ["part-00000-000000.parquet"]


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"dim": 64, "precision": "int8"}, "precision float32, not int8"),
    ({"task": "query"}, "prompt title: {title} | text: , not task: search result | query: "),
    ({"shard_rows": 11}, "shard-rows 10, not 11"),
    ({"columns": ("n",)}, "columns none, not n"),
    ({"title": "title"}, "title none, not title"),
    ({"chunk": 64}, "chunk none, not 64,0,1"),
    ({"text": "title"}, "text text, not title"),
    ({"truncation": "left"}, "truncation right, not left"),
]


@pytest.mark.parametrize(("other", "message"), OTHERS)
def test_going_on_with_other_settings_is_refused(
    rows: Path, tmp_path: Path, model: Model, other: dict[str, Any], message: str
) -> None:
    run([str(rows)], str(tmp_path / "out"), Settings(shard_rows=10), model)
    before = files_of(tmp_path / "out")
    with pytest.raises(InputError, match="was begun with") as error:
        run([str(rows)], str(tmp_path / "out"), replace(Settings(shard_rows=10), **other), model)
    assert message in str(error.value)
    assert "name another folder" in str(error.value)
    assert files_of(tmp_path / "out") == before


def test_going_on_with_another_model_or_other_files_is_refused(
    rows: Path, tmp_path: Path, model: Model, tiny_checkpoint: Path
) -> None:
    out = str(tmp_path / "out")
    run([str(rows)], out, Settings(), model)
    with pytest.raises(InputError, match="was begun with quantization q8_0, not f32"):
        run([str(rows)], out, Settings(), replace(model, quantization="f32"))
    (tmp_path / "more.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(InputError, match=r"more\.jsonl was not among the input"):
        run([str(rows), str(tmp_path / "more.jsonl")], out, Settings(), model)
    with pytest.raises(InputError, match=r"rows\.jsonl is not among the input"):
        run([str(tmp_path / "more.jsonl")], out, Settings(), model)
    os.utime(rows, (1, 1))
    with pytest.raises(InputError, match=r"rows\.jsonl has changed since"):
        run([str(rows)], out, Settings(), model)


def test_the_output_must_be_a_folder_of_its_own(rows: Path, tmp_path: Path, model: Model) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("x")
    with pytest.raises(InputError, match=r"is not empty \(precious.txt\), and no output of gemlet bulk"):
        run([str(rows)], str(tmp_path / "full"), Settings(), model)
    with pytest.raises(InputError, match="is a file: name a folder"):
        run([str(rows)], str(rows), Settings(), model)
    with pytest.raises(InputError, match=r"is not empty \(rows.jsonl\)"):
        run([str(rows)], str(tmp_path), Settings(), model)
    (tmp_path / "out" / "in").mkdir(parents=True)
    (tmp_path / "out" / "in" / "a.txt").write_text("x")
    with pytest.raises(InputError, match="is in the output's folder"):
        run([str(tmp_path / "out" / "in")], str(tmp_path / "out"), Settings(), model)
    run([str(rows)], str(tmp_path / "out"), Settings(), model)
    with pytest.raises(InputError, match="is not among the input"):
        run([str(tmp_path / "out" / "*.parquet")], str(tmp_path / "out"), Settings(), model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "out", "rows.jsonl"]


def test_a_damaged_manifest_is_told(rows: Path, tmp_path: Path, model: Model) -> None:
    run([str(rows)], str(tmp_path / "out"), Settings(), model)
    for content in (b"", b"{}", b'{"format": 1}', b"[1]"):
        (tmp_path / "out" / "_manifest.json").write_bytes(content)
        with pytest.raises(BulkError, match=r"_manifest\.json is damaged"):
            run([str(rows)], str(tmp_path / "out"), Settings(), model)
    (tmp_path / "out" / "_manifest.json").write_bytes(b'{"format": 99}')
    with pytest.raises(BulkError, match="made by another version of gemlet"):
        run([str(rows)], str(tmp_path / "out"), Settings(), model)


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "ab")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="holds the lock by fcntl")
def test_two_runs_of_one_output_are_one_too_many(rows: Path, tmp_path: Path, model: Model) -> None:
    out = tmp_path / "out"
    run([str(rows)], str(out), Settings(), model)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out / "_lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BulkError, match=r"another process writes .*out: wait until it has ended"):
            run([str(rows)], str(out), Settings(), model)
        holder.communicate(b"")
    assert run([str(rows)], str(out), Settings(), model).before == 1


WRONG: list[tuple[dict[str, Any], type[GemletError], str]] = [
    ({"text": "nothing"}, InputError, "there is no column 'nothing'; the columns are: n, text, title"),
    ({"text": "n"}, InputError, "the column 'n' is int64, no text: name another with --text"),
    ({"title": "nothing"}, InputError, "there is no column 'nothing'"),
    ({"columns": ("nothing",)}, InputError, "there is no column 'nothing'"),
    ({"drop": ("nothing",)}, InputError, "there is no column 'nothing'"),
    (
        {"vector": "title"},
        InputError,
        r"has a column 'title', as the output has: leave it out \(--drop title\) or name",
    ),
    ({"task": "nothing"}, UnknownPrompt, "no prompt is named 'nothing'"),
    ({"dim": 5}, InvalidDimension, "truncate_dim is 5"),
    ({"chunk": 32, "overlap": 30}, InputError, "tokens is 32 and overlap is 30"),
]


@pytest.mark.parametrize(("settings", "kind", "message"), WRONG)
def test_wrong_settings_are_told_before_anything_is_written(
    rows: Path, tmp_path: Path, model: Model, settings: dict[str, Any], kind: type[GemletError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run([str(rows)], str(tmp_path / "out"), Settings(**settings), model)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "\n\n\n"])
def test_files_without_rows(tmp_path: Path, model: Model, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    (tmp_path / "b.csv").write_text("n,text\n")
    if not content:
        with pytest.raises(InputError, match="there is no row in it"):
            run([str(tmp_path / "a.txt"), str(tmp_path / "b.csv")], str(tmp_path / "out"), Settings(), model)
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "c.parquet")
    with pytest.raises(InputError, match="there is no row in it"):
        run([str(tmp_path / "c.parquet")], str(tmp_path / "out"), Settings(), model)


def test_long_texts_are_cut_and_counted_or_bad_rows(tmp_path: Path, model: Model) -> None:
    (tmp_path / "a.txt").write_text("short\n" + "long " * 5000 + "\nshort\n")
    report = run([str(tmp_path / "a.txt")], str(tmp_path / "out"), Settings(), model)
    assert (report.counts.vectors, report.counts.cut) == (3, 1)
    report = run([str(tmp_path / "a.txt")], str(tmp_path / "error"), Settings(truncation="error"), model)
    assert (report.counts.vectors, report.counts.cut, report.counts.bad) == (2, 0, 1)
    (line,) = (tmp_path / "error" / "_bad" / "part-00000-000000.jsonl").read_text().splitlines()
    assert "tokens, the limit is 2,048: shorten it, or take --chunk" in json.loads(line)["reason"]


def damaged_parquet(path: Path) -> None:
    """Four groups of ten rows, the third of which has no bytes that make sense."""
    texts = [f"row {i} {'x' * 50}" for i in range(40)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=10, compression="zstd", use_dictionary=False)
    column = pq.read_metadata(path).row_group(2).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset : column.data_page_offset + column.total_compressed_size] = (
        b"\xff" * column.total_compressed_size
    )
    path.write_bytes(data)


def test_what_cannot_be_read_fails_alone_and_may_become_a_bad_row(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_PAUSE_S", 0)
    damaged_parquet(tmp_path / "a.parquet")
    report = run([str(tmp_path / "a.parquet")], str(tmp_path / "out"), Settings(shard_rows=10), model)
    ((part, reason),) = report.failed
    assert part == f"{tmp_path / 'a.parquet'}, rows 21 to 30"
    assert reason.startswith(f"cannot read {part}: ")
    assert report.counts.vectors == 30
    assert not list((tmp_path / "out").glob("part-00000-000002*"))
    settings = Settings(shard_rows=10, skip_broken=True)
    report = run([str(tmp_path / "a.parquet")], str(tmp_path / "skipped"), settings, model)
    assert (report.failed, report.counts.vectors, report.counts.bad) == ([], 30, 1)
    (line,) = (tmp_path / "skipped" / "_bad" / "part-00000-000002.jsonl").read_text().splitlines()
    assert json.loads(line)["place"] == part


def test_a_broken_file_stops_the_run_before_it_begins_or_is_left_out(rows: Path, tmp_path: Path, model: Model) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really PAR1")
    inputs = [str(tmp_path / "a.parquet"), str(rows)]
    with pytest.raises(InputError, match=r"cannot read .*a\.parquet: .*: mend it, leave it out, or .* --skip-broken"):
        run(inputs, str(tmp_path / "out"), Settings(), model)
    for _ in range(2):
        report = run(inputs, str(tmp_path / "out"), Settings(skip_broken=True), model)
        assert report.counts.vectors == 50
        assert [name for name, _ in report.broken] == [str(tmp_path / "a.parquet")]


def test_reading_that_fails_for_a_moment_is_tried_again(
    rows: Path, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gemlet.bulk import shards

    monkeypatch.setattr(running, "_PAUSE_S", 0)
    real, calls = shards.read_blocks, []

    def flaky(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) in (2, 3):
            yield from list(real(*arguments))[:1]
            raise ReadError("the network is gone")
        yield from real(*arguments)

    monkeypatch.setattr(shards, "read_blocks", flaky)
    messages: list[str] = []

    class Listener:
        def message(self, text: str) -> None:
            messages.append(text)

        def pace(self, pace: Pace) -> None:
            assert pace.rows <= pace.all_rows == 50

    report = run([str(rows)], str(tmp_path / "out"), Settings(shard_rows=20), model, listener=Listener())
    assert (report.failed, report.counts.rows, len(calls)) == ([], 50, 5)
    assert [message.split("; ")[1] for message in messages] == ["it is tried again"] * 2
    monkeypatch.setattr(shards, "read_blocks", real)
    run([str(rows)], str(tmp_path / "plain"), Settings(shard_rows=20), model)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "plain")


def test_an_output_at_an_address(rows: Path, tmp_path: Path, model: Model) -> None:
    """Here of pyarrow's own local file system, by the way that leads to any other."""
    inputs, settings = [f"file://{rows}"], Settings(shard_rows=20)
    run(inputs, f"file://{tmp_path}/far", settings, model)
    run(inputs, str(tmp_path / "near"), settings, model)
    assert table_of(tmp_path / "far").equals(table_of(tmp_path / "near"))
    (tmp_path / "far" / "part-00000-000001.parquet").unlink()
    assert run(inputs, f"file://{tmp_path}/far/", settings, model).before == 2
    assert [path.name for path in (tmp_path / "far").iterdir() if path.name.startswith(".")] == []


def test_an_estimate_counts_rows_and_writes_nothing(rows: Path, tmp_path: Path, model: Model, tiny: Embedder) -> None:
    found = estimate([str(rows)], str(tmp_path / "out"), Settings(shard_rows=10, dim=None, precision="binary"), model)
    assert (found.sources, found.rows, found.shards, found.done, found.sampled_rows) == (1, 50, 5, 0, 50)
    assert (found.vectors, found.vector_bytes) == (50, 8)
    assert found.tokens == tiny.count_tokens(TEXTS, prompt_name="document").sum()
    assert found.seconds == pytest.approx(found.tokens / found.rate)
    assert not (tmp_path / "out").exists()
    run([str(rows)], str(tmp_path / "out"), Settings(shard_rows=10), model)
    (tmp_path / "out" / "part-00000-000000.parquet").unlink()
    assert estimate([str(rows)], str(tmp_path / "out"), Settings(shard_rows=10), model).done == 4
    with pytest.raises(InputError, match="was begun with"):
        estimate([str(rows)], str(tmp_path / "out"), Settings(shard_rows=10, task=None), model)


def test_an_estimate_of_passages_is_of_passages(tmp_path: Path, model: Model) -> None:
    long = "\n\n".join("the cat sat on the mat. " * 6 for _ in range(9))
    (tmp_path / "a.jsonl").write_text((json.dumps({"text": long}) + "\n") * 9)
    report = run([str(tmp_path / "a.jsonl")], str(tmp_path / "out"), Settings(chunk=64), model)
    found = estimate([str(tmp_path / "a.jsonl")], str(tmp_path / "other"), Settings(chunk=64), model)
    assert (found.vectors, found.tokens) == (report.counts.vectors, report.counts.tokens)


def test_batches_of_other_engines_get_the_same_bits(tiny_checkpoint: Path, tiny: Embedder) -> None:
    embed = EmbedBatches("body", model=str(tiny_checkpoint), precision="int8", vector="v")
    whole = embed(pa.table({"id": list(range(50)), "body": TEXTS}))
    parts = pa.concat_tables(embed(pa.table({"id": [i], "body": [TEXTS[i]]})) for i in range(50))
    assert whole.equals(parts)
    assert vectors_of(whole, "v").tobytes() == quantize(tiny.encode_document(TEXTS), "int8").tobytes()
    with pytest.raises(InputError, match="row 1: 'body' is null, no text: filter such rows out before"):
        embed(pa.table({"body": ["x", None]}))
    with pytest.raises(InputError, match="there is no column 'body'; the columns are: text"):
        embed(pa.table({"text": ["x"]}))


def test_without_pyarrow_the_extra_is_named(
    rows: Path, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"`gemlet bulk` needs an extra: pip install 'gemlet\[table\]'"):
        run([str(rows)], str(tmp_path / "out"), Settings(), model)


def test_without_ray_the_extra_is_named(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from gemlet.bulk.on_ray import ray_workers

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"--ray needs an extra: pip install 'gemlet\[ray\]'"):
        ray_workers(model)


def test_workers_that_have_no_room_are_refused(
    rows: Path, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gemlet.bulk import on_ray

    class Ray:
        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": 4.0}

        def shutdown(self) -> None:
            """Nothing was started."""

    monkeypatch.setattr(on_ray, "_imported", Ray)
    monkeypatch.setattr(on_ray, "_started", lambda: (Ray(), True))
    for threads, count, room in ((1, 5, 4), (2, 3, 2), (5, None, 0)):
        workers = on_ray.ray_workers(replace(model, threads=threads), count)
        with pytest.raises(InputError, match=f"do not fit, Ray has room for {room}: take fewer"):
            run([str(rows)], str(tmp_path / "out"), Settings(), model, workers=workers)


def test_importing_bulk_brings_neither_ray_nor_pyarrow() -> None:
    code = "import sys, gemlet.bulk.on_ray; print([name for name in ('ray', 'pyarrow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
