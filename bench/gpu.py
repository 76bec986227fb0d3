"""Tokens per second on a GPU, beside sentence-transformers on the same one in the same run, and parity.

    pip install 'gemlet[gpu]' sentence-transformers
    python bench/gpu.py                                on the first GPU, both in bfloat16
    python bench/gpu.py --model FOLDER --texts 20000 --output bench/results/gpu.json
    python bench/gpu.py --device cpu --texts 24        no GPU: that it runs, in float32; its rates say nothing

The texts are made up of words, with lengths spread evenly over the powers of two from --shortest to --longest tokens;
both sides get them in the same random order, and sort them as they do. sentence-transformers runs with each of several
batch sizes, and its best counts. The sides take turns. Rates are of whole calls, str to NumPy, of real tokens: padding
is not counted. Parity is each side's vectors against gemlet's own engine in float32, for a few texts.
"""

import argparse
import json
import math
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gemlet import Embedder, __version__
from gemlet.pretrained import find

FloatArray = npt.NDArray[np.float32]
Encode = Callable[[list[str]], FloatArray]

WORDS = [
    "the", "a", "of", "and", "to", "in", "it", "is", "was", "for", "on", "with", "as", "at", "by", "an", "be", "this",
    "that", "from", "or", "had", "not", "are", "but", "which", "one", "you", "were", "red", "planet", "night",
    "river", "stone", "letter", "engine", "garden", "winter", "music", "paper", "window", "bridge", "number",
    "question", "city", "water",
]  # fmt: skip
BATCH_SIZES = (32, 128, 512)


def made_texts(model: Embedder, count: int, shortest: int, longest: int, seed: int) -> list[str]:
    """Texts of words; each word is one token, as is checked, and <bos> and <eos> are two."""
    drawn = random.Random(seed)
    lengths = [round(shortest * (longest / shortest) ** drawn.random()) for _ in range(count)]
    texts = [" ".join(drawn.choice(WORDS) for _ in range(max(1, length - 2))) for length in lengths]
    found = model.count_tokens(texts)
    if np.abs(found - np.maximum(lengths, 3)).max() > 0:
        raise SystemExit("a word of this script is not one token of this model: take EmbeddingGemma, or a fine-tune")
    return texts


def rival(folder: str, device: str, dtype: torch.dtype) -> tuple[Any, str] | None:
    """(sentence-transformers' model, what it is) where that is installed."""
    try:
        import sentence_transformers
        import transformers
    except ImportError:
        return None
    options = {"dtype": dtype}
    model = sentence_transformers.SentenceTransformer(
        folder, device=device, local_files_only=True, model_kwargs=options
    )
    model.max_seq_length = 2048
    version = f"sentence-transformers {sentence_transformers.__version__}, transformers {transformers.__version__}"
    return model, version


def theirs_by(model: Any, size: int) -> Encode:
    """sentence-transformers with one size of its batches."""
    return lambda texts: np.asarray(model.encode(texts, batch_size=size, show_progress_bar=False), np.float32)


def timed(sides: dict[str, Encode], texts: list[str], rounds: int) -> dict[str, list[float]]:
    """Seconds of each side and round, in turns; one that runs out of memory is left out and told."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, encode in list(sides.items()):
            try:
                begin = time.perf_counter()
                encode(texts)
                seconds[name].append(time.perf_counter() - begin)
            except torch.OutOfMemoryError:
                print(f"{name}: out of memory, left out", flush=True)
                del sides[name]
                del seconds[name]
                torch.cuda.empty_cache()
                continue
            print(f"round {number + 1} of {rounds}: {name} {seconds[name][-1]:.2f} s", flush=True)
    return seconds


def difference(expected: FloatArray, given: FloatArray) -> dict[str, float]:
    """Smallest and mean cosine, and the largest difference of a number."""
    cosines = (expected.astype(np.float64) * given).sum(axis=1) / np.linalg.norm(given.astype(np.float64), axis=1)
    return {
        "smallest_cosine": float(cosines.min()),
        "mean_cosine": float(cosines.mean()),
        "largest_difference": float(np.abs(expected - given).max()),
    }


def of_lengths(model: Embedder, texts: list[str], kept: int) -> list[str]:
    """Some of the texts, of all lengths."""
    order = np.argsort(model.count_tokens(texts))
    return [texts[i] for i in order[np.linspace(0, len(texts) - 1, min(kept, len(texts))).astype(int)]]


def machine(device: str) -> dict[str, Any]:
    """What this ran on."""
    facts: dict[str, Any] = {"python": platform.python_version(), "torch": torch.__version__, "gemlet": __version__}
    if device.startswith("cuda"):
        facts["gpu"] = torch.cuda.get_device_name(device)
        facts["memory_gb"] = round(torch.cuda.get_device_properties(device).total_memory / 1e9, 1)
    return facts


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything and return it."""
    on_gpu = options.device.startswith("cuda")
    quantization, dtype = ("bf16", torch.bfloat16) if on_gpu else ("f32", torch.float32)
    folder = str(find(options.model, offline=options.offline))
    device = options.device if on_gpu else "torch:cpu"
    began = time.perf_counter()
    ours = Embedder(folder, device=device, quantization=quantization)  # type: ignore[arg-type]
    opened = time.perf_counter() - began
    texts = made_texts(ours, options.texts, options.shortest, options.longest, options.seed)
    tokens = int(ours.count_tokens(texts).sum())
    sides: dict[str, Encode] = {"gemlet": ours.encode}
    compiling, works = 0.0, False
    if on_gpu:
        began = time.perf_counter()
        works = ours.compile()
        compiling = time.perf_counter() - began
        plain = Embedder(folder, device=device, quantization=quantization)  # type: ignore[arg-type]
        plain._model.compile_after = math.inf  # type: ignore[attr-defined]
        sides["gemlet, not compiled"] = plain.encode
    theirs = rival(folder, options.device, dtype)
    if theirs:
        sizes = [size for size in BATCH_SIZES if size <= max(len(texts), BATCH_SIZES[0])]
        sides |= {f"sentence-transformers, batches of {size}": theirs_by(theirs[0], size) for size in sizes}
    few = of_lengths(ours, texts, options.parity)
    exact = Embedder(folder, quantization="f32").encode(few)
    parity = {name: difference(exact, encode(few)) for name, encode in list(sides.items())[: 2 + on_gpu]}
    warm = of_lengths(ours, texts, max(1, len(texts) // 8))
    timed(dict(sides), warm, 1)
    began = time.perf_counter()
    ours.count_tokens(texts)
    tokenizing = time.perf_counter() - began
    return {
        "machine": machine(options.device),
        "device": options.device,
        "dtype": str(dtype),
        "rival": theirs[1] if theirs else None,
        "attention": ours._model.attention,  # type: ignore[attr-defined]
        "token_budget": ours.token_budget,
        "opened_s": opened,
        "compiles": works,
        "compiling_s": compiling,
        "tokenizing_s": tokenizing,
        "texts": len(texts),
        "tokens": tokens,
        "lengths": [options.shortest, options.longest],
        "seconds": timed(sides, texts, options.rounds),
        "parity": parity,
        "peak_memory_gb": torch.cuda.max_memory_allocated(options.device) / 1e9 if on_gpu else None,
    }


def show(result: dict[str, Any]) -> None:
    """Print it for people."""
    facts = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    print(f"\n{result['device']}, {result['dtype']}: {facts}")
    print(f"rival: {result['rival'] or 'not installed'}")
    print(
        f"attention: {result['attention']}; budget: {result['token_budget']:,} tokens; opened in "
        f"{result['opened_s']:.1f} s; steps {'' if result['compiles'] else 'not '}compiled, "
        f"{result['compiling_s']:.1f} s; tokenizing is {result['tokenizing_s']:.2f} s of a round"
    )
    low, high = result["lengths"]
    print(f"{result['texts']:,} texts of {low} to {high} tokens, {result['tokens']:,} tokens\n")
    rates = {name: result["tokens"] / statistics.median(times) for name, times in result["seconds"].items()}
    for name, rate in rates.items():
        times = result["seconds"][name]
        print(f"{name:42} {rate:12,.0f} tokens/s   {min(times):.2f} to {max(times):.2f} s")
    others = [rate for name, rate in rates.items() if not name.startswith("gemlet")]
    for name in [name for name in rates if others and name.startswith("gemlet")]:
        print(f"{name} is {rates[name] / max(others):.2f} times the best of sentence-transformers")
    print("\nagainst gemlet's own engine in float32:")
    for name, found in result["parity"].items():
        print(
            f"{name:42} cosine {found['smallest_cosine']:.7f} at least, {found['mean_cosine']:.7f} on the mean; "
            f"numbers differ by {found['largest_difference']:.2g} at most"
        )


def main() -> None:
    """Measure, print, and keep the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="google/embeddinggemma-300m", help="a published name, or a folder")
    parser.add_argument("--offline", action="store_true", help="never touch the network")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu")
    parser.add_argument("--texts", type=int, default=8192)
    parser.add_argument("--shortest", type=int, default=8, help="tokens")
    parser.add_argument("--longest", type=int, default=1024, help="tokens")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parity", type=int, default=64, help="texts that are compared with our own engine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="keep the figures in this JSON file")
    result = measure(options := parser.parse_args())
    show(result)
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
