"""`gemlet bulk --to`: rows of large files go into every store, each once, and come out by a search."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from storing import MADE, Postgres, item

from gemlet import Embedder, stores
from gemlet.bulk import Model, Settings, Target, run
from gemlet.bulk.estimate import estimate
from gemlet.bulk.storing import shards_beside
from gemlet.errors import BulkError, InputError, StoreError, StoreMismatch
from gemlet.index import Index
from gemlet.scan import quantise
from gemlet.search import Filter, search
from gemlet.stores import Item, Writable, address_of
from gemlet.stores.opened import StoreIndex
from gemlet.stores.publish import publish

TEXTS = [f"row {i} tells of {'a fox' if i == 37 else 'hens'} and number{i}" for i in range(60)]
SETTINGS = Settings(shard_rows=25)


@pytest.fixture(params=["sqlite", "pgvector-halfvec", "qdrant-folder", "qdrant-server"])
def kind(request: pytest.FixtureRequest) -> str:
    """One of each database: which index it has matters to searches of many alone."""
    return str(request.param)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """60 rows and two bad ones, named as from the folder that they are in."""
    monkeypatch.chdir(tmp_path)
    lines = [{"n": f"n{i}", "text": text, "title": f"Title {i}"} for i, text in enumerate(TEXTS)]
    lines[10:10] = [{"n": "none", "text": "", "title": ""}, {"n": "null", "text": None, "title": ""}]
    Path("rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime("rows.jsonl", (1_000_000_000, 1_000_000_000))
    return "rows.jsonl"


@pytest.fixture
def model(tiny_checkpoint: Path) -> Model:
    return Model(str(tiny_checkpoint), offline=True)


def place_of(i: int) -> str:
    return f"rows.jsonl:{i + 1 + 2 * (i >= 10)}"


def held(url: str) -> list[tuple[str, str, str | None]]:
    """(name, text, title) of every row of a store, in the order of the names."""
    with stores.open(url) as store:
        found = []
        for file in store.files():
            found += [(file.path, p.text, p.title) for p in store.passages_of(file.path)]
        assert store.counts()["files"] == len({name for name, _, _ in found})
        return found


def wanted() -> list[tuple[str, str, None]]:
    return sorted((place_of(i), text, None) for i, text in enumerate(TEXTS))


def vector_of(store: Writable, name: str) -> Any:
    scales, codes = store.vectors([p.id for p in store.passages_of(name)])
    return (codes * scales[:, None])[0]


def refuse_to_put(self: object, items: object) -> None:
    raise AssertionError("put")


# --- what goes in ----------------------------------------------------------------------------------------------------


def test_every_good_row_is_in_the_store_once_with_its_vector_and_is_found(
    rows: str, url: str, model: Model, tiny: Embedder
) -> None:
    report = run([rows], "out", SETTINGS, model, to=Target(url))
    assert report.stored is not None
    assert (report.stored.rows, report.stored.passages, report.stored.before) == (60, 60, 0)
    assert report.counts.bad == 2
    assert sum(len(path.read_text().splitlines()) for path in Path("out/_bad").iterdir()) == 2
    assert held(url) == wanted()
    vectors = tiny.encode_document(TEXTS)
    with stores.open(url) as store:
        for i in (0, 37, 59):
            codes, scales = quantise(vectors[i : i + 1])
            assert np.abs(vector_of(store, place_of(i)) - (codes * scales[:, None])[0]).max() < 0.01
        assert {(file.kind, file.mtime) for file in store.files()} == {("row", 1e9)}
    with StoreIndex(url, model=tiny) as index:
        found = search(index, "number37 fox", k=1).hits[0]
        assert (found.path, found.text) == (place_of(37), TEXTS[37])
        found = search(index, TEXTS[50], mode="semantic", k=3, min_probability=0, wanted=Filter("rows.jsonl:5*"))
        assert {hit.path[:12] for hit in found.hits} == {"rows.jsonl:5"}
        like = search(index, like=place_of(3), k=3, min_probability=0)
        assert len(like.hits) == 3
        assert place_of(3) not in {hit.path for hit in like.hits}


def test_a_second_run_puts_nothing_and_a_store_that_lost_its_rows_gets_them_back(
    rows: str, url: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    run([rows], "out", SETTINGS, model, to=Target(url))
    with monkeypatch.context() as patch, stores.open(url) as store:
        patch.setattr(type(store), "put", refuse_to_put)
        store.close()
        again = run([rows], "out", SETTINGS, model, to=Target(url))
    assert again.stored is not None
    assert (again.stored.rows, again.stored.before) == (0, 60)
    with stores.open(url) as store:
        store.remove([place_of(22), place_of(3)])  # the last row of the first file's, and one in it
    again = run([rows], "out", SETTINGS, model, to=Target(url))
    assert again.stored is not None
    assert (again.stored.rows, again.stored.before) == (23, 37)
    assert held(url) == wanted()
    with stores.open(url) as store:
        store.drop()
    run([rows], "out", SETTINGS, model, to=Target(url))
    assert held(url) == wanted()


def test_a_run_that_breaks_off_goes_on_and_doubles_nothing(
    rows: str, url: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gemlet.bulk.storing._NOTED_S", 0)
    with stores.open(url) as store:
        put, calls = type(store).put, []
    with monkeypatch.context() as patch:

        def broken(self: Writable, items: Any) -> None:
            calls.append(1)
            if len(calls) == 3:
                put(self, list(items)[:7])
                raise StoreError("the line is cut")
            put(self, items)

        patch.setattr(type(store), "put", broken)
        with pytest.raises(StoreError, match="the line is cut"):
            run([rows], "out", SETTINGS, model, to=Target(url))
    assert len(held(url)) == 23 + 25 + 7
    report = run([rows], "out", SETTINGS, model, to=Target(url))
    assert report.stored is not None
    assert (report.stored.rows, report.stored.before) == (12, 23 + 25)
    assert held(url) == wanted()


def test_a_run_tells_how_far_it_is(rows: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[int, int] | str] = []

    class Hears:
        def message(self, text: str) -> None:
            heard.append(text)

        def pace(self, pace: object) -> None:
            """Of embedding."""

        def stored(self, rows: int, all_rows: int) -> None:
            heard.append((rows, all_rows))

    monkeypatch.setattr("gemlet.bulk.storing._MANY", 60)
    monkeypatch.setattr("gemlet.bulk.storing.TOGETHER", 10)
    run([rows], "out", SETTINGS, model, to=Target("rows.db"), listener=Hears())
    told = f"{Path('rows.db').absolute()} gets ready to be searched"
    assert heard == [*((n, 62) for n in (10, 20, 25, 35, 45, 50, 60, 62)), told]


def test_rows_are_called_by_an_id_and_have_titles(rows: str, url: str, model: Model, tiny: Embedder) -> None:
    settings = Settings(title="title", precision="float16")
    run([rows], "out", settings, model, to=Target(url, id="n"))
    assert held(url) == sorted((f"n{i}", text, f"Title {i}") for i, text in enumerate(TEXTS))
    exact = tiny.encode_document(TEXTS[:1], titles=["Title 0"])[0]
    with stores.open(url) as store:
        assert np.abs(vector_of(store, "n0") - exact).max() < 0.01


def test_long_rows_go_in_whole_with_their_passages(tmp_path: Path, url: str, model: Model) -> None:
    texts = ["short", "\n\n".join(f"Paragraph {i} of apples and pears and plums." for i in range(40)), "short too"]
    table = pa.table({"text": texts, "name": ["a", None, "c"]})
    pq.write_table(table, tmp_path / "long.parquet")
    inputs, settings = [str(tmp_path / "long.parquet")], Settings(chunk=64, shard_rows=2)
    report = run(inputs, str(tmp_path / "out"), settings, model, to=Target(url, id="name"))
    assert report.stored is not None
    passages = report.stored.passages
    assert report.stored.rows == 3
    assert report.counts.vectors == passages > 5
    nameless = f"{tmp_path}/long.parquet, row 2"
    with stores.open(url) as store:
        assert {file.path: file.passages for file in store.files()} == {"a": 1, nameless: passages - 2, "c": 1}
        found = store.passages_of(nameless)
        assert [p.ord for p in found] == list(range(passages - 2))
        assert found[0].text.startswith("Paragraph 0 of apples")


def test_two_inputs_share_a_store_and_one_output_goes_into_two(
    rows: str, url: str, model: Model, tmp_path: Path
) -> None:
    (tmp_path / "more.txt").write_text("one more line\nand another\n")
    run([rows], "out", SETTINGS, model, to=Target(url))
    run(["more.txt"], "out2", SETTINGS, model, to=Target(url))
    assert held(url) == sorted([*wanted(), ("more.txt:1", "one more line", None), ("more.txt:2", "and another", None)])
    other = str(tmp_path / "other.db")
    report = run([rows], "out", SETTINGS, model, to=Target(other))
    assert (report.before, report.stored and report.stored.rows) == (3, 60)
    assert held(other) == wanted()


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_store_of_another_fingerprint_is_refused_before_anything_is_made(
    rows: str, url: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stores.open(url) as store:
        store.prepare({**MADE, "chunker": "rows"}, "some/model")
        store.put([item("/d/a", "apple")])
    monkeypatch.setattr("gemlet.bulk.running.Here", refuse_to_put)
    for go in (run, estimate):
        with pytest.raises(
            StoreMismatch, match=r"was made with model aaaa.*: go on with the same model, or name"
        ) as caught:
            go([rows], "out", SETTINGS, model, to=Target(url))
        assert "\n" not in str(caught.value)
    assert not Path("out").exists()
    assert held(url) == [("/d/a", "apple", "T")]


@pytest.mark.parametrize(
    ("settings", "target", "message"),
    [
        (Settings(precision="int8"), {}, "leave --precision int8 out, or take float16"),
        (Settings(task="query"), {}, "a store takes --task document, not query"),
        (Settings(task=None), {}, "a store takes --task document, not None"),
        (Settings(columns=("n",)), {}, "the column 'text', the text in the store, is not among those that are kept"),
        (Settings(title="title", drop=("title",)), {}, "the column 'title', the title in the store, is not among"),
        (Settings(), {"id": "key"}, "'key', the id in the store, is not .* kept; the columns are: n, text, title"),
    ],
)
def test_settings_that_are_not_for_a_store(
    rows: str, model: Model, settings: Settings, target: dict[str, str], message: str
) -> None:
    for go in (run, estimate):
        with pytest.raises(InputError, match=message):
            go([rows], "out", settings, model, to=Target("rows.db", **target))
    assert not Path("out").exists()
    assert not Path("rows.db").exists()


def test_ids_that_are_there_twice_are_refused_and_nothing_goes_in(rows: str, model: Model) -> None:
    with Path(rows).open("a") as file:
        file.write(json.dumps({"n": "n4", "text": "another one", "title": ""}) + "\n")
    with pytest.raises(InputError, match=r"rows.jsonl:5 and rows.jsonl:63 both have 'n4' in 'n'"):
        run([rows], "out", SETTINGS, model, to=Target("rows.db", id="n"))
    assert held("rows.db") == []
    assert run([rows], "out", SETTINGS, model, to=Target("rows.db")).before == 3


def test_rows_that_another_run_put_there_are_replaced_when_that_is_wanted_alone(
    rows: str, url: str, model: Model, tmp_path: Path
) -> None:
    run([rows], "out", SETTINGS, model, to=Target(url))
    (tmp_path / "deeper").mkdir()
    os.chdir("deeper")
    Path(rows).write_text('{"text": "something else"}\n')
    with pytest.raises(InputError, match=r"has 'rows\.jsonl:1' already, of another run: --replace lets these rows"):
        run([rows], "out", SETTINGS, model, to=Target(url))
    assert held(url) == wanted()
    run([rows], "out", SETTINGS, model, to=Target(url, replace=True))
    assert ("rows.jsonl:1", "something else", None) in held(url)
    assert len(held(url)) == 60


def test_a_store_keeps_the_names_that_its_rows_were_given(rows: str, model: Model) -> None:
    run([rows], "out", SETTINGS, model, to=Target("rows.db"))
    with pytest.raises(InputError, match="were put with no --id, not n: take the same, or another store"):
        run([rows], "out", SETTINGS, model, to=Target("rows.db", id="n"))


def test_damage_is_told(rows: str, model: Model) -> None:
    run([rows], "out", SETTINGS, model, to=Target("rows.db"))
    (note,) = Path("out").glob("_stored-*")
    note.write_text("{")
    with pytest.raises(
        BulkError, match=r"_stored-\w+\.json is damaged .*: delete it, and run this again with --replace"
    ):
        run([rows], "out", SETTINGS, model, to=Target("rows.db"))
    note.unlink()
    run([rows], "out", SETTINGS, model, to=Target("rows.db", replace=True))
    assert held("rows.db") == wanted()


def test_when_no_row_is_good_nothing_goes_in(tmp_path: Path, model: Model) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": ""}\n{"text": " "}\n')
    url = str(tmp_path / "rows.db")
    report = run([str(tmp_path / "bad.jsonl")], str(tmp_path / "out"), SETTINGS, model, to=Target(url))
    assert (report.counts.bad, report.stored and report.stored.rows) == (2, 0)
    assert held(url) == []


def test_an_index_of_rows_is_not_taken_for_one_of_files(
    rows: str, model: Model, tiny: Embedder, tmp_path: Path
) -> None:
    """A walk through folders would find none of the rows there, and take them out."""
    run([rows], "out", SETTINGS, model, to=Target("rows.db"))
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text("a file")
    with Index("rows.db", model=tiny) as index:
        assert search(index, "number37 fox", k=1).hits[0].path == place_of(37)
        for change in (lambda: index.update([folder]), index.update, index.rebuild):
            with pytest.raises(InputError, match=r"rows\.db holds rows of tables: name another one for files"):
                change()
    assert held("rows.db") == wanted()


def test_files_are_not_put_among_rows(rows: str, url: str, model: Model, tiny: Embedder, tmp_path: Path) -> None:
    run([rows], "out", SETTINGS, model, to=Target(url))
    (tmp_path / "a.txt").write_text("a file")
    with Index("files.db", model=tiny) as index, stores.open(url) as store:
        index.update([tmp_path / "a.txt"])
        with pytest.raises(
            StoreMismatch, match=r"was made with chunker rows, .*: it holds rows of tables: take another"
        ):
            publish(index, store)
    assert held(url) == wanted()


def test_an_index_of_files_takes_no_rows(rows: str, model: Model, tiny: Embedder, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a file")
    with Index("files.db", model=tiny) as index:
        index.update([tmp_path / "a.txt"])
    with pytest.raises(
        StoreMismatch, match=r"with chunker .*, not rows: go on with the same --chunk and --overlap, or name"
    ):
        run([rows], "out", SETTINGS, model, to=Target("files.db"))


# --- the command line ------------------------------------------------------------------------------------------------


def gemlet(*arguments: object, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("GEMLET_INDEX", "PGPASSWORD")}
    clean |= {"GEMLET_INDEX": str(home / "data" / "index.db"), **env}
    command = [sys.executable, "-m", "gemlet", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean, cwd=home, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_from_a_parquet_file_into_postgresql_and_back_out_by_the_command_line(
    postgres: Postgres, tiny: Embedder, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """A dry run, 1,200 rows into a real PostgreSQL, a search for a word, a search by meaning, the same run again."""
    texts = [f"row {i} tells of {'a fox' if i == 517 else 'hens'} and number{i}" for i in range(1200)]
    pq.write_table(pa.table({"n": range(1200), "body": [*texts[:1000], "", *texts[1001:]]}), tmp_path / "posts.parquet")
    url, options = postgres.url(), ("--text", "body", "--shard-rows", 500, "--model", tiny_checkpoint)
    bulk = ("bulk", "posts.parquet", "--to", url, *options)
    done = gemlet(*bulk, "--dry-run", home=tmp_path)
    assert done.stdout.splitlines()[-1] == f"store:   {url}, not there yet"
    done = gemlet(*bulk, home=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{tmp_path}/data/bulk/")
    assert "1,199 vectors of 1,200 rows in 3 files" in first
    assert second.startswith(f"{url}: 1,199 rows put (")
    assert "no vector for 1 row: " in done.stderr
    schema = address_of(url).name
    assert postgres.ask(f"SELECT count(*), count(DISTINCT path) FROM {schema}.files") == [(1199, 1199)]
    done = gemlet("search", "--store", url, "-k", 1, "number517 fox", home=tmp_path)
    assert done.stdout == "posts.parquet, row 518:1:row 517 tells of a fox and number517\n"
    done = gemlet("search", "--store", url, "--semantic", "--json", "--min", 0, "-k", 5, texts[900], home=tmp_path)
    cosines = tiny.encode_document(texts) @ tiny.encode_query(texts[900])
    best = [f"posts.parquet, row {i + 1}" for i in np.argsort(-cosines)[:5]]
    assert (
        len(set(best) & {hit["path"] for hit in json.loads(done.stdout)["hits"]}) >= 4
    )  # in 16 bits two may change places
    again = gemlet(*bulk, "--json", home=tmp_path)
    stored = json.loads(again.stdout)["stored"]
    assert (stored["store"], stored["rows"], stored["before"]) == (url, 0, 1199)
    done = gemlet(*bulk, "--dry-run", home=tmp_path)
    assert done.stdout.splitlines()[-1] == f"store:   {url}, holds 1,199 passages, made with the same settings"


def test_mistakes_on_the_command_line_are_one_line(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("one\ntwo\n")
    model = ("--model", tiny_checkpoint)
    for arguments, code, message in (
        (["rows.txt"], 2, "name INPUTS and a folder for the OUTPUT, or a store with --to"),
        (["rows.txt", "out", "--id", "n"], 2, "--id, --shards and --replace need --to"),
        (
            ["rows.txt", "out", "--to", "rows.db"],
            2,
            "with --to all paths are INPUTS: name the folder with --shards out",
        ),
        (["rows.txt", "--to", "mysql://host/db"], 2, "mysql: is no kind of store"),
        (
            ["rows.txt", "--to", "postgresql://ann:s3cr3t@127.0.0.1:1/db"],
            1,
            "cannot reach postgresql://ann@127.0.0.1:1/db",
        ),
    ):
        done = gemlet("bulk", *arguments, *model, home=tmp_path)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert message in done.stderr
        assert "s3cr3t" not in done.stderr
    assert not (tmp_path / "data").exists()
    assert gemlet("bulk", "rows.txt", "out", *model, home=tmp_path).returncode == 0
    done = gemlet("bulk", "rows.txt", "out", "--to", "rows.db", *model, home=tmp_path)
    assert "name the folder with --shards out" in done.stderr
    done = gemlet("bulk", "rows.txt", "--shards", "out", "--to", "rows.db", *model, home=tmp_path)
    assert done.stdout.splitlines()[1].startswith(f"{tmp_path / 'rows.db'}: 2 rows put (")


def test_the_folder_for_shards_is_of_the_inputs_and_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMLET_INDEX", str(tmp_path / "index.db"))
    monkeypatch.chdir(tmp_path)
    one = shards_beside(address_of("a.db"), ["rows.txt", "s3://bucket/rows"])
    assert one.startswith(f"{tmp_path}/bulk/")
    assert one == shards_beside(address_of("a.db"), ["s3://bucket/rows", f"{tmp_path}/rows.txt"])
    others = (("b.db", ["rows.txt", "s3://bucket/rows"]), ("a.db", ["rows.txt"]), ("a.db", ["rows.csv"]))
    assert len({one, *(shards_beside(address_of(url), inputs) for url, inputs in others)}) == 4


def test_a_row_can_be_found_by_its_name_in_every_store(store: Writable) -> None:
    store.put([Item.row("posts:7", "a heron", np.ones(64, np.float32) / 8), item("/d/a", "apple")])
    assert [p.text for p in store.passages_of("posts:7")] == ["a heron"]
    assert store.passages_of("posts:8") == []
