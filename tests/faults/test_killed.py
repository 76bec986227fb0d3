"""kill -9 at any moment: no document is lost, none is there by half, and the next run goes on.

$GEMLET_KILLS says how many; a few by default, 200 before a release.
"""

import os
import random
import time
from pathlib import Path

from indexing import CommandLine, State, state_of

from gemlet.errors import StoreNotFound

KILLS = int(os.environ.get("GEMLET_KILLS", "8"))


def test_killed_runs_lose_nothing(gemlet: CommandLine, corpus: Path, tmp_path: Path, expected: State) -> None:
    begin = time.monotonic()
    assert gemlet.run(corpus, "--index", tmp_path / "timed.db")[0] == 0
    lasts = time.monotonic() - begin
    chance = random.Random(1)
    path = tmp_path / "killed.db"
    kept_after: list[int] = []
    for _ in range(KILLS):
        process = gemlet.start(corpus, "--index", path)
        time.sleep(chance.uniform(0, lasts * 1.1))
        process.kill()
        process.communicate()
        try:
            found = state_of(path)
        except StoreNotFound:
            continue
        for name, passages in found.items():
            assert passages == expected[name], f"{name} differs"
        assert len(found) >= (kept_after or [0])[-1], "a document was lost"
        kept_after.append(len(found))
        if len(found) == 60:
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
