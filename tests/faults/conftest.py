"""What the fault tests share: a folder of texts, the command line, and what an undisturbed run makes of the texts."""

import os
import random
from pathlib import Path

import pytest
from indexing import CommandLine, state_of

WORDS = ["apple", "pear", "plum", "fig", "grape", "cherry", "peach", "melon", "lemon", "lime", "orange", "quince"]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 files of 1 to 12 paragraphs, each of which names its file; old, so that their times are settled."""
    folder = tmp_path_factory.mktemp("corpus")
    chance = random.Random(0)
    for i in range(60):
        path = folder / f"f{i:02}.txt"
        lines = [f"File {i} part {j}: {' '.join(chance.choices(WORDS, k=60))}." for j in range(chance.randint(1, 12))]
        path.write_text("\n\n".join(lines))
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return folder


@pytest.fixture(scope="session")
def gemlet(tiny_checkpoint: Path, own_cache: Path) -> CommandLine:
    return CommandLine(tiny_checkpoint, own_cache)


@pytest.fixture(scope="session")
def whole(gemlet: CommandLine, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of an undisturbed run."""
    path = tmp_path_factory.mktemp("whole") / "index.db"
    assert gemlet.run(corpus, "--index", path)[0] == 0
    return path


@pytest.fixture(scope="session")
def expected(whole: Path) -> dict[str, list[tuple[str, bytes]]]:
    """What it holds."""
    found = state_of(whole)
    assert len(found) == 60
    return found
