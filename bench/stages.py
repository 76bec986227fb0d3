"""Where a call's time goes, against the most that this machine's cores can do.

Prints the peak of products of bytes (measured here, on registers alone), then for each length of text the time of each
stage, the linear layers' operations in a second as a part of the peak, and the same over the whole time.
Usage: python bench/stages.py [--model FOLDER_OR_GGUF] [--threads 2] [--rounds 10]
"""

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from gemlet import _core
from gemlet.checkpoint import read_checkpoint
from gemlet.pretrained import find
from gemlet.pretrained.progress import Terminal
from gemlet.quantized import quantized

LENGTHS = (18, 256, 512, 2048)
SPINS = 4_000_000  # about 15 ms on a core with VNNI


def peak(isa: str, threads: int) -> float:
    """Operations on bytes in a second, all threads together; the best of ten goes."""
    with ThreadPoolExecutor(threads) as pool:
        best = 0.0
        for _ in range(10):
            start = time.perf_counter()
            done = sum(pool.map(lambda _: _core.kernels.spin_int8(isa, SPINS), range(threads)))
            best = max(best, done / (time.perf_counter() - start))
    return best


def linear_operations(config: dict[str, Any], tokens: int) -> int:
    """Multiplications and additions of the linear layers of the body."""
    hidden, middle = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    layer = hidden * (queries + 2 * keys) + queries * hidden + 3 * hidden * middle
    return int(2 * tokens * len(config["sliding"]) * layer)


def show(model: _core.Model, config: dict[str, Any], tokens: int, rounds: int, most: float) -> None:
    """Print one length: the median call's stages."""
    ids = np.random.default_rng(0).integers(1000, config["vocab_size"] - 20_000, tokens).astype(np.int32)
    cu_seqlens = np.array([0, tokens], np.int32)
    model.embed(ids, cu_seqlens)
    calls = []
    for _ in range(rounds):
        start = time.perf_counter()
        stages = model.profile(ids, cu_seqlens)
        calls.append((time.perf_counter() - start, stages))
    middle = statistics.median_low([whole for whole, _ in calls])
    whole, stages = next(call for call in calls if call[0] == middle)
    work = linear_operations(config, tokens)
    parts = "  ".join(f"{name} {seconds * 1e3:.2f}" for name, seconds in stages.items())
    print(
        f"{tokens:5} tokens {whole * 1e3:8.2f} ms: {parts}\n"
        f"             linears {work / stages['linears'] / most:.0%} of the peak, end to end {work / whole / most:.0%}",
        flush=True,
    )


def main() -> None:
    """Measure the machine, then the engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="google/embeddinggemma-300m")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with Terminal() as progress:
        path = find(options.model, offline=True, progress=progress)
        checkpoint = read_checkpoint((path.is_dir() and quantized(path, progress)) or path)
    model = _core.Model(checkpoint.config, checkpoint.weights, "int8", options.threads)
    most = peak(model.isa, options.threads)
    print(f"{model.isa}, {options.threads} threads: {most / 1e9:.0f} GOP/s of bytes at most")
    for tokens in LENGTHS:
        show(model, checkpoint.config, tokens, options.rounds, most)


if __name__ == "__main__":
    main()
