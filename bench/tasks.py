"""How long a published task takes, beside sentence-transformers: the same texts and prompts, both scored. (→ table)

    python bench/tasks.py --data-dir FOLDER --tasks PoemSentimentClassification GermanSTSBenchmark

gemlet runs as it does by default, in 8 bits; sentence-transformers in float32 on the same processor. Loading counts in
neither. Needs gemlet[train], which brings sentence-transformers.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gemlet import Embedder
from gemlet.evaluation.running import prompted
from gemlet.evaluation.tasks import TASKS
from gemlet.pretrained import find
from gemlet.vectors import FloatArray

MODEL = "google/embeddinggemma-300m"
Encode = Callable[[list[str]], FloatArray]


def main() -> None:
    """Print a line for each part of each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="published data, a folder for each set")
    parser.add_argument("--tasks", nargs="+", default=["PoemSentimentClassification"], choices=sorted(TASKS))
    options = parser.parse_args()
    ours = Embedder(MODEL, offline=True)
    theirs = rival()
    print(f"{'task':36} {'tokens':>9}   gemlet s  score   sentence-transformers s  score   times as fast")
    for name in options.tasks:
        task = TASKS[name]
        for part, measure in task.load(options.data_dir / task.folder):
            given = [prompted(ours, one) for one in measure.inputs()]
            tokens = sum(int(ours.count_tokens(list(dict.fromkeys(texts))).sum()) for texts in given)
            (quick, score), (slow, other) = (scored(encode, measure, given) for encode in (ours.encode, theirs))
            label = name if part == "default" else f"{name}, {part}"
            print(
                f"{label:36} {tokens:9,} {quick:10.1f} {score:6.2f} {slow:25.1f} {other:6.2f} {slow / quick:15.2f}",
                flush=True,
            )


def scored(encode: Encode, measure: Any, given: list[list[str]]) -> tuple[float, float]:
    """Seconds that the vectors take, each text once; and the score."""
    began = time.perf_counter()
    whole = []
    for texts in given:
        places = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        whole.append(encode(list(places))[[places[text] for text in texts]])
    seconds = time.perf_counter() - began
    return seconds, 100 * float(measure.score(whole)["main_score"])


def rival() -> Encode:
    """sentence-transformers, with batches as it has them by default."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(find(MODEL, offline=True)), device="cpu", local_files_only=True)

    def encode(texts: list[str]) -> FloatArray:
        return np.asarray(model.encode(texts, prompt="", show_progress_bar=False), np.float32)

    return encode


if __name__ == "__main__":
    main()
