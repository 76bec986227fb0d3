"""For tests of the index: the command line in a process that may be killed, and all that an index holds."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from gemlet.folders import shown
from gemlet.store import Store

State = dict[str, list[tuple[str, bytes]]]
"""File name → (text, codes) of its passages."""


class CommandLine:
    """`gemlet index` on the tiny model."""

    def __init__(self, checkpoint: Path, cache: Path) -> None:
        self._checkpoint = checkpoint
        self.env = {**os.environ, "GEMLET_CACHE": str(cache)}

    def start(self, *arguments: str | Path, **options: Any) -> "subprocess.Popen[str]":
        """A process that indexes; its output is kept."""
        command = [sys.executable, "-m", "gemlet", "index", "--model", str(self._checkpoint), *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, **pipes, text=True, env=self.env, **options)

    def run(self, *arguments: str | Path, **options: Any) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of a process that was left to end."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        return process.returncode, out, err


def state_of(path: Path) -> State:
    """Everything in the index: every row is read, with its checksum, every word is found, SQLite's own checks pass."""
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
