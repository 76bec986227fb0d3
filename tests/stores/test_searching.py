"""An index goes into a store and is searched there: the same hits, by the library and by the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from storing import MADE, Postgres, item

from gemlet import Embedder, stores
from gemlet.ask import ask
from gemlet.errors import InputError, StoreMismatch
from gemlet.index import Index
from gemlet.index.fingerprint import fingerprint, model_digest
from gemlet.search import Filter, Results, search
from gemlet.stores import Item
from gemlet.stores.opened import StoreIndex
from gemlet.stores.publish import Published, publish, withdraw

NOTES = {
    "notes/red.md": "# Planets\n\nMars is red. It is cold.\n\n# Moons\n\nPhobos is near.",
    "notes/blue.md": "# Seas\n\nThe sea is blue. Ships go by.",
    "notes/copy.md": "# Seas\n\nThe sea is blue. Ships go by.",
    "notes/late.txt": "Nothing here.\nThen the word zyzzyva stands\nin the second line.",
    "code/read.py": "def read_lines(path):\n    with open(path) as file:\n        return list(file)\n",
    "empty.txt": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "files"
    for name, text in NOTES.items():
        path = place / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
    return place


@pytest.fixture
def index(folder: Path, tiny: Embedder) -> Iterator[Index]:
    with Index(folder.parent / "index.db", model=tiny) as opened:
        opened.update([folder])
        yield opened


@pytest.fixture
def there(index: Index, url: str, tiny: Embedder) -> Iterator[StoreIndex]:
    with StoreIndex(url, model=tiny) as opened:
        publish(index, opened.store)
        yield opened


def hits(results: Results) -> list[tuple[Any, ...]]:
    return [(hit.path, hit.first_line, hit.snippet, hit.paths, hit.kind, hit.words) for hit in results.hits]


def test_a_store_finds_what_the_index_finds(index: Index, there: StoreIndex) -> None:
    for query in ("a red planet", "the sea", "reading lines of a file"):
        for options in ({"mode": "semantic"}, {"mode": "semantic", "wanted": Filter("notes/")}, {"exact": True}, {}):
            ours, theirs = (search(one, query, k=9, min_probability=0, **options) for one in (index, there))
            assert len(ours.hits) == len(theirs.hits) > 2
            assert theirs.passages == ours.passages + (there.address.kind != "sqlite")  # a copy is there twice
            assert hits(ours)[0] == hits(theirs)[0]
            assert sorted(hits(ours)) == sorted(hits(theirs))
            cosines = [{hit.path: hit.cosine for hit in found.hits} for found in (ours, theirs)]
            assert all(abs(cosines[0][path] - cosines[1][path]) < 0.01 for path in cosines[0])


def test_words_alone_need_no_model(there: StoreIndex) -> None:
    found = search(there, "zyzzyva", mode="keyword")
    assert [Path(hit.path).name for hit in found.hits] == ["late.txt"]
    assert found.hits[0].bm25 > 0


def test_more_like_a_file_and_answers(there: StoreIndex, folder: Path) -> None:
    found = search(there, like=folder / "notes/blue.md", min_probability=0)
    names = [Path(hit.path).name for hit in found.hits]
    assert names
    assert not {"blue.md", "copy.md"} & set(names)
    answer = ask(there, "Which planet is red?", min_probability=0)
    assert "".join(answer)
    assert answer.sources


def test_only_what_differs_goes_in(index: Index, there: StoreIndex, folder: Path) -> None:
    store = there.store
    assert publish(index, store) == Published()
    (folder / "notes/late.txt").write_text("Now it is short.", encoding="utf-8")
    (folder / "notes/red.md").unlink()
    (folder / "code/new.txt").write_text("A new one.", encoding="utf-8")
    store.put([Item.row("posts:1", "a row that somebody else put", np.ones(64, np.float32) / 8)])
    index.update()
    done = publish(index, store)
    assert (done.put, done.removed, done.passages) == (2, 1, 2)
    held = {str(folder / name) for name in [*NOTES, "code/new.txt"] if name != "notes/red.md"}
    assert {file.path for file in store.files()} == held | {"posts:1"}
    store.remove([str(folder / "code/read.py")])  # by somebody else
    assert publish(index, store).put == 1


def test_files_are_withdrawn_from_both(index: Index, there: StoreIndex, folder: Path) -> None:
    assert withdraw(index, there.store, [folder / "notes"]) == 4
    assert {Path(file.path).name for file in there.store.files()} == {"read.py", "empty.txt"}
    assert {Path(file.path).name for file in index.store.files()} == {"read.py", "empty.txt"}
    with pytest.raises(InputError, match="has nothing of"):
        withdraw(index, there.store, [folder / "notes"])


def test_another_model_or_dimension_is_refused_and_can_be_put_anew(
    index: Index, url: str, tiny: Embedder, tiny_f32: Embedder
) -> None:
    with stores.open(url) as store:
        store.prepare(MADE, "some/model")
        store.put([item("/d/a", "apple")])
        with pytest.raises(StoreMismatch, match="model"):
            publish(index, store)
        assert publish(index, store, anew=True).put == len(NOTES)
        assert "/d/a" not in {file.path for file in store.files()}
    with StoreIndex(url, model=tiny_f32) as other, pytest.raises(StoreMismatch, match="quantization"):
        search(other, "a red planet")


def run(*arguments: object, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    names = {"GEMLET_INDEX", "PGPASSWORD"}
    clean = {name: value for name, value in os.environ.items() if name not in names}
    clean |= {"GEMLET_INDEX": str(home / "index.db"), **env}
    command = [sys.executable, "-m", "gemlet", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean, cwd=home)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_the_command_line_from_a_folder_to_hits(url: str, folder: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """index, search from elsewhere, a change, status, remove."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    model = ("--model", tiny_checkpoint)
    done = run("index", folder, "--store", url, *model, home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("6 put with 5 passages") or "6 added" in done.stdout
    found = run("search", "--store", url, "--keyword", "zyzzyva", home=elsewhere)
    assert found.stdout.endswith("late.txt:2:Then the word zyzzyva stands in the second line.\n")
    found = run("search", "--store", url, "--json", "--min", 0, "--path", "notes/", "a red planet", home=elsewhere)
    assert {Path(hit["path"]).parent for hit in json.loads(found.stdout)["hits"]} == {folder / "notes"}
    (folder / "code/read.py").unlink()
    again = run("index", "--store", url, "--json", home=home)
    assert json.loads(again.stdout)["removed"] == 1
    assert run("search", "--store", url, "--keyword", "read_lines", home=elsewhere).returncode == 4
    status = json.loads(run("index", "--status", "--json", "--store", url, home=home).stdout)
    passages = 3 if "sqlite" in url or url.endswith(".db") else 4  # a file index has what copies share once
    assert (status["files"], status["passages"], status["dim"]) == (5, passages, 64)
    gone = run("index", "--store", url, "--remove", folder / "notes", home=home)
    assert gone.stdout.startswith("4 files taken out of ")
    assert run("search", "--store", url, "--keyword", "zyzzyva", home=elsewhere).returncode == 4


def test_rows_go_in_and_come_out_by_the_command_line(
    postgres: Postgres, tiny: Embedder, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Vectors of many rows through the writer into a real PostgreSQL, and back out through `gemlet search --store`."""
    url = postgres.url()
    texts = [f"row {i} tells of {'a fox' if i == 517 else 'hens'} and number{i}" for i in range(1200)]
    vectors = tiny.encode_document(texts)
    digest, _ = model_digest(tiny.checkpoint, None)
    with stores.open(url) as store:
        store.prepare({**fingerprint(digest, tiny.quantization, 64), "chunker": "rows"}, str(tiny_checkpoint))
        store.put(Item.row(f"posts.parquet:{i}", text, vectors[i]) for i, text in enumerate(texts))
        store.finish()
    done = run("search", "--store", url, "-k", 1, "number517 fox", home=tmp_path)
    assert done.stdout == "posts.parquet:517:1:row 517 tells of a fox and number517\n"
    done = run("search", "--store", url, "--semantic", "--json", "--min", 0, "-k", 5, texts[900], home=tmp_path)
    query = tiny.encode_query(texts[900])
    best = [f"posts.parquet:{i}" for i in np.argsort(-(vectors @ query))[:5]]
    found = [hit["path"] for hit in json.loads(done.stdout)["hits"]]
    assert len(set(found) & set(best)) >= 4  # in 16 bits two that are as close may change places


def test_options_that_exclude_each_other(tmp_path: Path) -> None:
    done = run("search", "--store", "postgresql://h/d", "--index", "x.db", "word", home=tmp_path)
    assert done.returncode == 2
    assert "take one of --index and --store" in done.stderr
    done = run("index", ".", "--store", "own.db", "--index", "x.db", home=tmp_path)
    assert done.returncode == 2
    assert "own.db is an index itself" in done.stderr


@pytest.mark.parametrize("verb", [["index", "."], ["search", "word"], ["ask", "--quote", "word"], ["mcp"]])
def test_a_server_that_is_not_there_is_one_line_on_the_command_line(verb: list[str], tmp_path: Path) -> None:
    done = run(*verb, "--store", "postgresql://ann:s3cr3t@127.0.0.1:1/db", home=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("gemlet: cannot reach postgresql://ann@127.0.0.1:1/db: ")
    assert done.stderr.count("\n") == 1
    assert "s3cr3t" not in done.stderr + done.stdout


def test_an_sqlite_file_is_an_index_like_any_other(folder: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    done = run("index", folder, "--store", "own.db", "--model", tiny_checkpoint, home=tmp_path)
    assert done.stdout.startswith(f"{tmp_path / 'own.db'}: 6 added")
    found = run("search", "--store", "own.db", "--keyword", "zyzzyva", home=tmp_path)
    assert "late.txt:2:" in found.stdout
