"""Near-duplicates among many texts: gemlet's exact scan, NumPy by brute force, semhash or MinHash, in one run.

    python bench/dedupe.py made [--rows 200000] [--dim 768] [--brute-rows 20000]   made-up vectors; nothing is embedded
    python bench/dedupe.py real --texts FILE [--rows 1000]                          texts through the model

`made`: vectors of bench/made_vectors.py, a twentieth of them copies of others at a cosine of 0.93 to 0.99, and a
made-up text beside each, so that memory is that of the whole job but the embedding of its texts. NumPy multiplies
blocks of float32 of the first --brute-rows rows, and says what all would take; what both find there is compared.

`real`: lines of a file, with copies planted in a quarter of them (bench/planted.py): typing errors, case, punctuation,
order of sentences, and their lines of --translations, a file that is parallel to it. What each rival finds of each
kind, and how many of the lines themselves it lets go, some of which say the same as another. gemlet comes first and
has 8 bits of each number; semhash gets the same vectors, for it is its search that is compared.

Prints a table. Memory is the peak of the whole process up to there; the vectors are made in another one.
"""

import argparse
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemlet import Embedder
from gemlet.pairs import LEVELS, Coded, as_coded, code_texts, duplicates, similar_pairs, threshold_for
from gemlet.vectors import normalize, quantize
from made_vectors import MadeVectors
from planted import MAKERS

PART = 10_000
COPIED = 20  # one row in so many is a copy
WORDS = 12  # of a made-up text

Floats = npt.NDArray[np.float32]


def peak_mb() -> float:
    """The most memory that this process ever had."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1e6 if sys.platform == "darwin" else 1e3)


def made_parts(rows: int, dim: int) -> Iterator[tuple[Floats, npt.NDArray[np.int64]]]:
    """Pieces of vectors, and of each row the row of the piece that it copies, itself if none."""
    maker = MadeVectors(dim)
    for part, begin in enumerate(range(0, rows, PART)):
        count = min(PART, rows - begin)
        x = maker.documents(count, part)
        chance = np.random.default_rng([1, part])
        source = np.arange(count)
        copies = chance.choice(np.arange(1, count), count // COPIED, replace=False)
        source[copies] = (copies * chance.random(len(copies))).astype(np.int64)
        source[copies] = source[source[copies]]  # of a copy: what that is a copy of
        cosine = chance.uniform(0.93, 0.99, len(copies)).astype(np.float32)[:, None]
        noise = normalize(chance.standard_normal((len(copies), dim)).astype(np.float32))
        originals = x[source[copies]]
        noise = normalize(noise - (noise * originals).sum(axis=1, keepdims=True) * originals)
        x[copies] = cosine * originals + np.sqrt(1 - cosine**2) * noise
        yield x, source + begin


def made_texts(rows: int) -> list[str]:
    """Sentences of words that are drawn: what a file of so many rows takes in memory."""
    chance = random.Random(0)
    words = ["".join(chance.choices("aeioubdfgklmnprstvz", k=chance.randint(2, 9))) for _ in range(5000)]
    return [" ".join(chance.choices(words, k=WORDS)) for _ in range(rows)]


def write_made(folder: Path, rows: int, dim: int, brute_rows: int) -> None:
    """codes.npy, sources.npy, and few.npy: the first rows in float32."""
    codes, sources = np.empty((rows, dim), np.int8), np.empty(rows, np.int64)
    few = np.empty((min(brute_rows, rows), dim), np.float32)
    for number, (x, source) in enumerate(made_parts(rows, dim)):
        begin = number * PART
        codes[begin : begin + len(x)], sources[begin : begin + len(x)] = quantize(x, "int8"), source
        if begin < len(few):
            few[begin : begin + PART] = x[: len(few) - begin]
    for name, array in (("codes", codes), ("sources", sources), ("few", few)):
        np.save(folder / f"{name}.npy", array)


def made(folder: Path, rows: int, dim: int, brute_rows: int, threads: int | None) -> None:
    """The scan of made-up vectors, then NumPy."""
    maker = multiprocessing.get_context("spawn").Process(target=write_made, args=(folder, rows, dim, brute_rows))
    maker.start()
    maker.join()
    texts = made_texts(rows)
    codes, sources = np.load(folder / "codes.npy"), np.load(folder / "sources.npy")
    coded = as_coded(codes)
    print(f"{rows:,} made-up vectors of {dim} numbers, {len(texts):,} texts; before the scan: {peak_mb():.0f} MB")
    threshold = 0.9
    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    found = duplicates(coded, threshold, threads=threads)
    took, cpu_s = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
    planted = sources != np.arange(rows)
    traced = (found.keeper[planted] == found.keeper[sources[planted]]).mean()
    print(
        f"gemlet, 8 bits, all pairs: {took:.1f} s ({cpu_s:.1f} s of CPU), peak {peak_mb():.0f} MB, "
        f"{len(found.removed):,} rows go; of {planted.sum():,} planted copies {traced:.2%} in their original's group"
    )
    _brute(np.load(folder / "few.npy"), coded, threshold, rows)


def _brute(x: Floats, coded: Coded, threshold: float, rows: int) -> None:
    """All pairs in float32, in blocks, with NumPy; and the same rows by gemlet."""
    coded = coded.take(slice(0, len(x)))
    size = 4096
    begin_s = time.perf_counter()
    pairs: set[tuple[int, int]] = set()
    for left in range(0, len(x), size):
        for right in range(left, len(x), size):
            i, j = np.nonzero(x[left : left + size] @ x[right : right + size].T >= threshold)
            later = i + left < j + right
            pairs |= set(zip((i[later] + left).tolist(), (j[later] + right).tolist(), strict=True))
    took = time.perf_counter() - begin_s
    for name, vectors in (("8 bits", coded), ("8 bits, then float32", as_coded(x))):
        begin_s = time.perf_counter()
        best = similar_pairs(vectors, 10 * len(x), threshold=threshold)
        own = set(zip(best.left.tolist(), best.right.tolist(), strict=True))
        print(
            f"gemlet, {name}, {len(x):,} rows: {time.perf_counter() - begin_s:.1f} s; "
            f"of NumPy's {len(pairs):,} pairs {len(pairs & own):,}, and {len(own - pairs):,} others"
        )
    print(
        f"NumPy, float32, {len(x):,} rows: {took:.1f} s (all {rows:,} would take "
        f"{took * (rows / len(x)) ** 2:.0f} s), peak {peak_mb():.0f} MB"
    )


def real(texts: list[str], translations: list[str], embedder: Embedder, dim: int, threads: int | None) -> None:
    """Copies planted in texts, and who finds them."""
    rows, kinds, sources = plant(texts, translations)
    print(f"{len(texts):,} real texts and {len(rows) - len(texts):,} planted copies")
    begin_s = time.perf_counter()
    coded = code_texts(embedder, rows, truncate_dim=dim)
    print(f"vectors: {time.perf_counter() - begin_s:.1f} s, peak {peak_mb():.0f} MB", flush=True)
    thresholds = {level: threshold_for(level, dim) for level in LEVELS}
    finders: dict[str, Callable[[], npt.NDArray[np.int64]]] = {
        f"gemlet, {level}, cosine >= {threshold:.2f}": partial(_gemlet, coded, threshold, threads)
        for level, threshold in thresholds.items()
    }
    for threshold in thresholds.values():
        finders[f"semhash, cosine >= {threshold:.2f}"] = partial(_semhash, rows, coded, threshold)
    finders["datasketch, MinHash of triples, Jaccard >= 0.7"] = partial(_minhash, rows)
    for name, find in finders.items():
        begin_s = time.perf_counter()
        keeper = find()
        took = time.perf_counter() - begin_s
        hits: dict[str, list[bool]] = defaultdict(list)
        for row in range(len(texts), len(rows)):
            hits[kinds[row]].append(keeper[row] == keeper[sources[row]])
        recall = ", ".join(f"{kind} {np.mean(found):.1%} of {len(found)}" for kind, found in hits.items())
        false = sum(keeper[row] != row for row in range(len(texts)))
        gone = f"{false:,} of {len(texts):,} originals go"
        print(f"{name}: {took:.1f} s, {recall}; {gone}, peak {peak_mb():.0f} MB", flush=True)


def plant(texts: list[str], translations: list[str]) -> tuple[list[str], list[str], list[int]]:
    """The texts, and behind them copies of a quarter of them: rows, kinds, and the row that each is a copy of."""
    chance = random.Random(0)
    rows, kinds, sources = list(texts), ["original"] * len(texts), list(range(len(texts)))
    for source in sorted(chance.sample(range(len(texts)), len(texts) // 4)):
        copies = {kind: maker(texts[source], chance) for kind, maker in MAKERS.items()}
        if translations:
            copies["translation"] = translations[source]
        for kind, copy in copies.items():
            if copy not in ("", texts[source]):
                rows.append(copy)
                kinds.append(kind)
                sources.append(source)
    return rows, kinds, sources


def _minhash(rows: list[str]) -> npt.NDArray[np.int64]:
    """The first row of those that share enough triples of letters, by locality-sensitive hashing."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=0.7, num_perm=128)
    keeper = np.arange(len(rows))
    for row, text in enumerate(rows):
        sketch = MinHash(num_perm=128)
        sketch.update_batch([text[i : i + 3].encode() for i in range(max(1, len(text) - 2))])
        near = index.query(sketch)
        if near:
            keeper[row] = min(near)
        else:
            index.insert(row, sketch)
    return keeper


def _gemlet(coded: Coded, threshold: float, threads: int | None) -> npt.NDArray[np.int64]:
    return duplicates(coded, threshold, threads=threads).keeper


def _semhash(rows: list[str], coded: Coded, threshold: float) -> npt.NDArray[np.int64]:
    from semhash import SemHash

    vectors = coded.codes * coded.scales[:, None]
    places = {text: row for row, text in reversed(list(enumerate(rows)))}
    keeper = np.array([places[text] for text in rows])
    index = SemHash.from_embeddings(vectors, rows, model=None)  # it has the vectors
    for gone in index.self_deduplicate(threshold=threshold).filtered:
        row = places[str(gone.record)]
        keeper[row] = min([row, *(places[str(text)] for text, _ in gone.duplicates)])
    return keeper


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["made", "real"])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--brute-rows", type=int, default=20_000)
    parser.add_argument("--texts", type=Path, help="One a line.")
    parser.add_argument("--translations", type=Path, help="The same lines in another language.")
    parser.add_argument("--model", default="google/embeddinggemma-300m")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.what == "made":
        with tempfile.TemporaryDirectory() as folder:
            made(Path(folder), options.rows or 200_000, options.dim, options.brute_rows, options.threads)
    else:
        texts = options.texts.read_text().splitlines()[: options.rows or 1000]
        translations = options.translations.read_text().splitlines()[: len(texts)] if options.translations else []
        embedder = Embedder(options.model, threads=options.threads, offline=True)
        real(texts, translations, embedder, options.dim, options.threads)


if __name__ == "__main__":
    main()
