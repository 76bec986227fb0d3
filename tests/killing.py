"""For tests that kill: which processes there are, and waiting for what they bring about."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def processes(wanted: Callable[[str], bool]) -> Iterator[int]:
    """Those whose command line is wanted."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")):
                yield int(folder.name)
        except OSError:
            continue


def children_of(pid: int) -> set[int]:
    """A process's children and theirs."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def ray_workers_of(pid: int) -> list[int]:
    """Ray's workers that a process has started."""
    mine = children_of(pid)
    return [worker for worker in processes(lambda line: line.startswith("ray::Worker")) if worker in mine]


def until(true: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait for something that a running process brings about."""
    for _ in range(12_000):
        if true():
            return
        if process.poll() is not None:
            raise AssertionError(f"ended before: {process.communicate()[1]}")
        time.sleep(0.02)
    raise AssertionError("it did not come about within four minutes")


def until_gone(pids: list[int]) -> None:
    """Ray's workers end with the driver that started them."""
    for _ in range(600):
        if not set(pids) & set(processes(lambda line: line.startswith("ray::Worker"))):
            return
        time.sleep(0.1)
    raise AssertionError("some of Ray's workers are still there")
