"""Whole-process figures on this machine: Python str to NumPy vector, cold start, peak memory.

Each figure is of a fresh process, so that memory is a process's own. Prints a table and keeps the raw figures in
bench/results/.  Usage: python bench/embed.py [--model FOLDER] [--quantization q8_0 f32 bf16] [--threads 2] [--rounds 5]
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LENGTHS = [16, 256, 512, 2048]
BULK = (64, 256)  # texts, tokens of each
RESULTS = Path(__file__).parent / "results"

# Runs in the fresh process: one case, its times in seconds and the peak of resident memory in MB on stdout.
CHILD = """
import json, resource, sys, time
start = time.perf_counter()
from gemlet import Embedder
case = json.loads(sys.argv[1])
model = Embedder(case["model"], quantization=case["quantization"], threads=case["threads"], offline=True)
word = " planet"
def text(tokens):
    return "red" + word * (tokens - int(model.count_tokens("red")[0]))
texts = [text(case["tokens"])] * case["texts"]
assert model.count_tokens(texts[0])[0] == case["tokens"]
first = model.encode(texts[0])
cold = time.perf_counter() - start
times = []
for _ in range(case["rounds"]):
    start = time.perf_counter()
    model.encode(texts if case["texts"] > 1 else texts[0])
    times.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
print(json.dumps({"cold": cold, "times": times, "peak_mb": peak, "isa": model.isa, "threads": model.threads}))
"""


def measure(**case: Any) -> dict[str, Any]:
    """Run one case in a process of its own."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", CHILD, json.dumps(case)], check=True, stdout=subprocess.PIPE)
    return {**case, **json.loads(done.stdout), "process": time.perf_counter() - start}


def command_line(model: str, rounds: int) -> list[float]:
    """Seconds of `gemlet embed TEXT`, from exec to exit."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        command = [sys.executable, "-m", "gemlet", "embed", "--offline", "--model", model, "Which planet is red?"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return times


def show(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    median = statistics.median(row["times"])
    rate = row["texts"] * row["tokens"] / median
    spread = f"{min(row['times']) * 1e3:8.1f} .. {max(row['times']) * 1e3:8.1f}"
    print(
        f"{row['quantization']:5} {row['texts']:3} x {row['tokens']:4} tokens {median * 1e3:9.1f} ms ({spread})"
        f" {rate:8.0f} tokens/s   {row['peak_mb']:6.0f} MB   first vector after {row['cold']:.2f} s",
        flush=True,
    )


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="google/embeddinggemma-300m")
    parser.add_argument("--quantization", nargs="+", default=["q8_0", "f32", "bf16"])
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for quantization in options.quantization:
        for texts, tokens in [*((1, n) for n in LENGTHS), BULK]:
            row = measure(
                model=options.model, quantization=quantization, threads=options.threads, texts=texts, tokens=tokens,
                rounds=options.rounds if texts == 1 else 2,
            )  # fmt: skip
            rows.append(row)
            show(row)
    cli = command_line(options.model, options.rounds)
    print(f"`gemlet embed TEXT`, exec to exit: {statistics.median(cli):.2f} s ({min(cli):.2f} .. {max(cli):.2f})")
    machine = {"cpu": _cpu(), "cores": os.cpu_count(), "isa": rows[0]["isa"], "python": platform.python_version()}
    print(json.dumps(machine))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"embed-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"machine": machine, "rows": rows, "cli": cli}, indent=1))


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    main()
