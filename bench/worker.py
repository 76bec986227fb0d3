"""One measurement in a process of its own, run by a runtime's own interpreter.   (a job on stdin → a result file)

A job: rival, model, threads, options; texts; warm, how many of them to run untimed; repeats; result, and vectors or "".
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Load, warm up, time, write down."""
    job = json.load(sys.stdin)
    start = time.perf_counter()
    rival = importlib.import_module(f"rivals.{job['rival']}").Rival(job["model"], job["threads"], **job["options"])
    load = time.perf_counter() - start
    rival.encode(job["texts"][: job["warm"]])
    before, times = machine_seconds(), []
    for _ in range(job["repeats"]):
        start = time.perf_counter()
        vectors = rival.encode(job["texts"])
        times.append(time.perf_counter() - start)
    foreign = foreign_cores(before, machine_seconds())
    result = {"times": times, "load": load, "peak_mb": peak_mb(), "foreign": foreign, "version": rival.version}
    check(vectors, len(job["texts"]))
    if job["vectors"]:
        save(vectors, job["vectors"])
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")


def check(vectors: Any, texts: int) -> None:
    """Raise unless there is a unit vector for each text."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1)
    if vectors.shape != (texts, 768) or vectors.dtype != np.float32 or abs(lengths - 1).max() > 1e-3:
        raise ValueError(f"{vectors.dtype} {vectors.shape}, lengths {lengths.min()} to {lengths.max()}")


def save(vectors: Any, path: str) -> None:
    """Keep the vectors for the cosines."""
    import numpy as np

    np.save(path, vectors)


def peak_mb() -> float:
    """Return the most memory that this process has had resident, in MB, mapped files included."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def machine_seconds() -> tuple[float, float, float]:
    """Return wall-clock seconds, busy processor seconds of the machine, and those of this process."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    own = os.times()
    return time.perf_counter(), busy, own.user + own.system


def foreign_cores(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    """Return how many cores others kept busy meanwhile."""
    wall, busy, own = (late - early for early, late in zip(before, after, strict=True))
    return max(0.0, round((busy - own) / wall, 2))


if __name__ == "__main__":
    main()
