"""kill -9 at any moment: no document is lost, none is there by half, and the next run goes on.

$GEMLET_KILLS says how many; a few by default, 200 before a release.
"""

import os
import random
import sqlite3
import time
from pathlib import Path

from conftest import CommandLine

from gemlet.folders import shown
from gemlet.store import Store

KILLS = int(os.environ.get("GEMLET_KILLS", "8"))


def state_of(path: Path) -> dict[str, list[tuple[str, bytes]]]:
    """File name → (text, codes) of its passages; every row is read, with its checksum, and the words are checked."""
    with Store(path) as store:
        found = {}
        for file in store.files():
            passages = store.passages_of(file.path)
            assert [p.ord for p in passages] == list(range(file.passages)), f"{shown(file.path)} is there by half"
            _, codes = store.vectors([p.id for p in passages])
            found[Path(file.path).name] = [(p.text, c.tobytes()) for p, c in zip(passages, codes, strict=True)]
            for passage in passages:
                words = " ".join(passage.text.split()[:4])
                assert passage.id in [i for i, _ in store.keyword(f'"{words}"', 99)]
        assert len(store.scan()) == sum(len(passages) for passages in found.values())
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO passages_fts(passages_fts) VALUES ('integrity-check')")
    connection.close()
    return found


def test_killed_runs_lose_nothing(gemlet: CommandLine, corpus: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    begin = time.monotonic()
    assert gemlet.run(corpus, "--index", whole)[0] == 0
    lasts = time.monotonic() - begin
    expected = state_of(whole)
    assert len(expected) == 60
    chance = random.Random(1)
    path = tmp_path / "killed.db"
    kept_after: list[int] = []
    finished = 0
    for _ in range(KILLS):
        process = gemlet.start(corpus, "--index", path)
        time.sleep(chance.uniform(0, lasts * 1.1))
        process.kill()
        process.communicate()
        if not path.exists():
            continue
        with sqlite3.connect(path) as connection:
            made = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        connection.close()
        if not made:
            continue
        found = state_of(path)
        for name, passages in found.items():
            assert passages == expected[name], f"{name} differs"
        assert len(found) >= (kept_after or [0])[-1], "a document was lost"
        kept_after.append(len(found))
        if len(found) == 60:
            finished += 1
            kept_after.clear()
            for left in tmp_path.glob("killed.db*"):
                left.unlink()
    assert gemlet.run(corpus, "--index", path)[0] == 0
    assert state_of(path) == expected


def test_killed_updates_show_each_file_before_or_after_its_change(
    gemlet: CommandLine, corpus: Path, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for i, source in enumerate(sorted(corpus.iterdir())):
        (docs / source.name).write_text(source.read_text())
        os.utime(docs / source.name, (1_000_000_000 + i, 1_000_000_000 + i))
    path = tmp_path / "index.db"
    assert gemlet.run(docs, "--index", path)[0] == 0
    before = state_of(path)
    for number in range(60):
        file = docs / f"f{number:02}.txt"
        if number % 4 == 0:
            file.unlink()
        elif number % 4 == 1:
            file.write_text(f"Changed. {file.read_text()}")
        elif number % 4 == 2:
            file.rename(docs / f"moved{number}.txt")
    other = tmp_path / "other.db"
    assert gemlet.run(docs, "--index", other)[0] == 0
    after = state_of(other)
    chance = random.Random(2)
    for _ in range(KILLS):
        process = gemlet.start("--index", path)
        time.sleep(chance.uniform(0.2, 2.0))
        process.kill()
        process.communicate()
        for name, passages in state_of(path).items():
            assert passages in (before.get(name), after.get(name)), f"{name} is neither old nor new"
    assert gemlet.run("--index", path)[0] == 0
    assert state_of(path) == after
