"""What the fault tests share: a folder of texts, and the command line in a process that may be killed."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

WORDS = "apple pear plum fig grape cherry peach melon lemon lime orange quince".split()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 files of 1 to 40 paragraphs, each of which names its file; old, so that their times are settled."""
    folder = tmp_path_factory.mktemp("corpus")
    chance = random.Random(0)
    for i in range(60):
        path = folder / f"f{i:02}.txt"
        lines = [f"File {i} part {j}: {' '.join(chance.choices(WORDS, k=60))}." for j in range(chance.randint(1, 40))]
        path.write_text("\n\n".join(lines))
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return folder


class CommandLine:
    """`gemlet index` on the tiny model."""

    def __init__(self, checkpoint: Path, cache: Path) -> None:
        self._checkpoint = checkpoint
        self._env = {**os.environ, "GEMLET_CACHE": str(cache)}

    def start(self, *arguments: str | Path, **options: object) -> "subprocess.Popen[str]":
        """A process that indexes; its output is kept."""
        command = [sys.executable, "-m", "gemlet", "index", "--model", str(self._checkpoint), *map(str, arguments)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._env, **options
        )  # type: ignore[call-overload,no-any-return]

    def run(self, *arguments: str | Path, **options: object) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of a process that was left to end."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        return process.returncode, out, err


@pytest.fixture(scope="session")
def gemlet(tiny_checkpoint: Path, own_cache: Path) -> CommandLine:
    return CommandLine(tiny_checkpoint, own_cache)
