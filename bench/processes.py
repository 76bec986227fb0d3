"""One measurement in one fresh process.   (runtime, case → row)"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cases import Case

BENCH = Path(__file__).resolve().parent
COLD = """
import sys
from rivals.{rival} import Rival
print(Rival({model!r}, {threads}, **{options!r}).encode([sys.argv[1]])[0].tolist())
"""

Row = dict[str, Any]


@dataclass(frozen=True)
class Runtime:
    """Its name in the table, its file in rivals/, the interpreter that has its packages, its model, its options."""

    name: str
    rival: str
    python: str
    model: str
    options: dict[str, str]
    threads: int


def attempt(who: Runtime, case: Case, vectors: str = "") -> Row | None:
    """Return a round's row, or None and say why not: one broken rival does not end the run."""
    try:
        return measure_cold(who, case) if case.name == "cold" else measure(who, case, vectors)
    except RuntimeError as error:
        print(f"{who.name} failed: {error}", file=sys.stderr, flush=True)
        return None


def measure(who: Runtime, case: Case, vectors: str) -> Row:
    """Encode a case's texts in a worker, which keeps the vectors in the file `vectors` if there is to be one."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        job = {
            "rival": who.rival, "model": who.model, "threads": who.threads, "options": who.options,
            "texts": case.texts, "warm": case.warm, "repeats": case.repeats, "vectors": vectors, "result": str(result),
        }  # fmt: skip
        command = [who.python, str(BENCH / "worker.py")]
        done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, **surroundings(who))
        if done.returncode:
            raise RuntimeError(last_line(done.stderr) or f"exit code {done.returncode}")
        row: Row = json.loads(result.read_text(encoding="utf-8"))
    times = row.pop("times")
    return {"seconds": statistics.median(times), "least": min(times), "most": max(times), **row}


def measure_cold(who: Runtime, case: Case) -> Row:
    """Seconds from exec to the first vector on stdout: the second of two starts, so that its files are in memory."""
    if who.rival == "gemlet":
        settings = {"model": who.model, "threads": who.threads, **who.options}
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [who.python, "-m", "gemlet", "embed", "--offline", *options, *case.texts]
    else:
        script = COLD.format(rival=who.rival, model=who.model, threads=who.threads, options=who.options)
        command = [who.python, "-c", script, *case.texts]
    return {"seconds": [first_line(command, who) for _ in range(2)][-1]}


def first_line(command: list[str], who: Runtime) -> float:
    """Seconds until a command's first line."""
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, **surroundings(who)) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            seconds = time.perf_counter() - start
            process.communicate()
        errors.seek(0)
        if process.returncode or not line:
            raise RuntimeError(last_line(errors.read().decode(errors="replace")))
    return seconds


def surroundings(who: Runtime) -> dict[str, Any]:
    """Folder and environment of a measured process: nothing from a network, so many threads."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS"), str(who.threads))
    return {"cwd": BENCH, "env": os.environ | threads | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}}


def last_line(errors: str) -> str:
    """What a process said last."""
    return (errors.strip().splitlines() or [""])[-1]
