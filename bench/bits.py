"""What few bits cost: files of gemlet and of other runtimes, the same texts, one table.

    python bench/bits.py --checkpoint FOLDER --file gemlet=PYTHON,FILE.gguf --file llama=PYTHON,FILE.gguf ...

A --file is what compare.py calls a --rival. Prints for each its size, the cosine to the checkpoint's fp32 vectors and
the most memory of a process that has embedded all texts; then, where two runtimes ran one file, the cosine of one's
vectors to the other's. The texts are those of compare.py's cosine case, or those of --texts.
"""

import argparse
import json
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from cases import Case, make_cosine_case
from compare import runtime
from gemlet import Embedder
from processes import Row, Runtime, attempt
from texts import own_sentences


def main() -> None:
    """Run every file over the texts and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the published checkpoint's folder")
    parser.add_argument("--file", action="append", default=[], metavar="NAME[:LABEL]=PYTHON,FILE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="fewer texts")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="JSON lines with `text`, in place of ours")
    options = parser.parse_args()
    exact = Embedder(options.checkpoint, quantization="f32", offline=True)
    case, described = texts_of(options, exact)
    truth = exact.encode(case.texts)
    print(f"{described}, up to {exact.max_seq_length} tokens\n")
    print("| | file | cosine to fp32: mean | 1 in 10 below | least | peak memory |\n|---|---|---|---|---|---|")
    runs = []
    for who in [runtime(text, options.threads) for text in options.file]:
        row, vectors = run(who, case)
        if row:
            runs.append((who, vectors))
            print(line(who, row, np.sum(vectors * truth, axis=1, dtype=np.float64)), flush=True)
    for (one, ours), (other, theirs) in combinations(runs, 2):
        if one.model == other.model:
            cosines: Any = np.sum(ours * theirs, axis=1, dtype=np.float64)
            print(f"\n{one.name} and {other.name}, one file: mean {cosines.mean():.5f}, least:")
            for row in np.argsort(cosines)[:3]:
                print(f"  {cosines[row]:.5f} {case.texts[row][:40]!r}")


def texts_of(options: argparse.Namespace, exact: Embedder) -> tuple[Case, str]:
    """Return the texts, and what they are in a few words."""
    if options.texts:
        texts = [json.loads(row)["text"] for row in options.texts.read_text(encoding="utf-8").splitlines()]
        tokens = int(exact.count_tokens(texts).sum())
        return Case("cosine", texts, tokens, rounds=1), f"{len(texts)} texts of {options.texts.name}"
    case, languages = make_cosine_case(
        own_sentences(), lambda text: int(exact.count_tokens([text])[0]), quick=options.quick
    )
    return case, f"{len(case.texts)} texts in {languages} languages"


def run(who: Runtime, case: Case) -> tuple[Row | None, Any]:
    """Return the row of a process and its vectors."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/vectors.npy"
        row = attempt(who, case, vectors=path)
        return row, np.load(path) if row else None


def line(who: Runtime, row: Row, cosines: Any) -> str:
    """Return a runtime's line of the table."""
    model = Path(who.model)
    size = sum(file.stat().st_size for file in (model.rglob("*") if model.is_dir() else [model]) if file.is_file())
    mean, low, least = cosines.mean(), np.quantile(cosines, 0.1), cosines.min()
    return f"| {who.name} | {size / 1e6:.0f} MB | {mean:.5f} | {low:.5f} | {least:.5f} | {row['peak_mb']:.0f} MB |"


if __name__ == "__main__":
    main()
