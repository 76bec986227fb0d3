"""gemlet beside other runtimes of the same model: one run, the same texts, taking turns.

    python bench/compare.py --model FOLDER --rival openvino=PYTHON,FOLDER --rival litert=PYTHON,FOLDER ...

A rival is a file of bench/rivals/, the interpreter that has its packages, its model, and options after more commas;
`openvino:f32=PYTHON,FOLDER,precision=f32` gives it a name of its own. bench/rivals/README.md says how to set them up.

Every figure is of a fresh process. Within a case the runtimes take turns, round after round, each round in another
order, and are compared round by round, so that a slow minute of the machine falls on all of them. Times are from
Python str to float32 NumPy unit vectors, tokenising included. Writes bench/results/compare.json, and with --publish
bench/published.json, which bench/table.py puts into the README.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from cases import Case, make_cases, make_cosine_case
from gemlet import Embedder
from processes import Row, Runtime, attempt
from table import PUBLISHED, duration, section
from texts import own_sentences, read_sentences

RESULT = Path(__file__).resolve().parent / "results" / "compare.json"
TRUTH = "sentence_transformers"  # whose vectors are right


def main() -> None:
    """Measure everything, print the table, write it down."""
    options = parse()
    ours = f"gemlet={sys.executable},{options.model}"
    runtimes = [runtime(text, options.threads) for text in [ours, *options.rival]]
    if options.reference not in [who.name for who in runtimes]:
        raise SystemExit(f"{options.reference!r} is not among the runtimes: choose another --reference")
    cases, (cosine, languages) = write_texts(options)
    result: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "threads": options.threads,
        "reference": options.reference,
        "names": [who.name for who in runtimes],
        "cases": {},
    }
    for case in cases:
        if wanted(case, options):
            result["cases"][case.name] = take_turns(case, runtimes)
            write(result, RESULT)  # a run that is cut short leaves what it had
    if wanted(cosine, options):
        result["cosine"] = compare_vectors(cosine, languages, runtimes)
    write(result, RESULT)
    if options.publish:
        write(result, PUBLISHED)
    print(section(result))


def write(result: dict[str, Any], path: Path) -> None:
    """Write the figures down."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="what gemlet runs: a checkpoint's folder or a .gguf file")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=PYTHON,MODEL")
    parser.add_argument("--reference", default="openvino", help="whom the ratios are to")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", nargs="+", help="some of: query text-256 ... documents mixed cold cosine")
    parser.add_argument("--rounds", type=int, help="of every case; default: 5, and 3 of the long ones")
    parser.add_argument("--texts", type=Path, help='other sentences: a .jsonl file of {"text": ..., "language": ...}')
    parser.add_argument("--quick", action="store_true", help="fewer texts, calls and rounds; not to be published")
    parser.add_argument("--publish", action="store_true", help=f"also write {PUBLISHED.name}")
    options = parser.parse_args()
    if options.publish and (options.quick or options.cases):
        parser.error("only a whole run is published")
    return options


def runtime(text: str, threads: int) -> Runtime:
    """Read NAME[:LABEL]=PYTHON,MODEL[,OPTION=VALUE ...]."""
    name, _, rest = text.partition("=")
    python, model, *options = rest.split(",")
    settings = dict(option.split("=", 1) for option in options)
    if Path(model).exists():  # else it is the name of a published one
        model = str(Path(model).absolute())
    return Runtime(name, name.split(":")[0], str(Path(python).absolute()), model, settings, threads)


def write_texts(options: argparse.Namespace) -> tuple[list[Case], tuple[Case, int]]:
    """Write every case's texts, counted in tokens by gemlet's own tokenizer."""
    sentences = read_sentences(options.texts) if options.texts else own_sentences()
    embedder = Embedder(options.model, offline=True)

    def count(text: str) -> int:
        return int(embedder.count_tokens(text)[0])

    cases = make_cases(sentences, count, quick=options.quick, rounds=options.rounds)
    return cases, make_cosine_case(sentences, count, quick=options.quick)


def wanted(case: Case, options: argparse.Namespace) -> bool:
    """Whether a case was asked for."""
    return options.cases is None or case.name in options.cases


def take_turns(case: Case, runtimes: list[Runtime]) -> dict[str, Any]:
    """Run all rounds of a case; each round begins with another runtime."""
    rows: dict[str, list[Row | None]] = {who.name: [] for who in runtimes}
    for turn in range(case.rounds):
        first = turn % len(runtimes)
        for who in runtimes[first:] + runtimes[:first]:
            rows[who.name].append(attempt(who, case))
            report(f"{case.name:10} round {turn + 1} {who.name:24}", rows[who.name][-1])
    for name, column in rows.items():
        if times := [row["seconds"] for row in column if row]:
            middle, least, most = map(duration, (statistics.median(times), min(times), max(times)))
            print(f"{case.name:10} {name:24} {middle} ({least} to {most})", flush=True)
    return {"texts": len(case.texts), "tokens": case.tokens, "rows": rows}


def report(where: str, row: Row | None) -> None:
    """Print a line of progress; others' work on the machine makes a figure doubtful, so it is shown."""
    figures = f"{row['seconds'] * 1e3:10.1f} ms" if row else "failed"
    if row and "peak_mb" in row:
        figures += f" {row['peak_mb']:6.0f} MB, others kept {row['foreign']:.2f} cores busy"
    print(time.strftime("%T"), where, figures, flush=True)


def compare_vectors(case: Case, languages: int, runtimes: list[Runtime]) -> dict[str, Any]:
    """Cosine of each one's vectors with those of sentence-transformers in float32."""
    vectors: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for who in runtimes:
            path = f"{folder}/{who.name}.npy"
            row = attempt(who, case, vectors=path)
            report(f"{case.name:18} {who.name:24}", row)
            if row:
                vectors[who.name] = np.load(path)
    found = {name: cosine(case, ours, vectors[TRUTH]) for name, ours in vectors.items() if TRUTH in vectors}
    return {"texts": len(case.texts), "tokens": case.tokens, "languages": languages, "found": found}


def cosine(case: Case, ours: Any, truth: Any) -> Row:
    """Mean and least cosine, and the beginning of the text that has it."""
    cosines = np.sum(ours * truth, axis=1, dtype=np.float64)
    worst = int(cosines.argmin())
    return {"mean": float(cosines.mean()), "min": float(cosines.min()), "worst": case.texts[worst][:60]}


def machine() -> dict[str, Any]:
    """What everything ran on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), platform.machine())
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version()}


if __name__ == "__main__":
    main()
