"""Fit the thresholds of src/gemlet/pairs/thresholds.py: which cosine means that two texts say the same.

    python bench/calibrate_pairs.py --data-dir FOLDER --cache FOLDER [--sample 1500]

The data is not part of the project. Judged pairs: STS benchmark (0 to 5; test), SICK (1 to 5; test) and the Armenian
paraphrase corpus (-1 or 1; test), `--sample` of each, of the last half as many, drawn with a fixed seed. Copies are
planted (bench/planted.py) in sentences of the STS benchmark: two of them, one behind the other, make a text whose order
can change.

Prints the distribution of each kind of pair, the table for thresholds.py, and what each threshold lets through.
"""

import csv
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemlet import similarity_pairwise
from gemlet.pairs.thresholds import LEVELS, Level
from gemlet.vectors import MATRYOSHKA_DIMS
from planted import MAKERS
from remembered import Remembered, evaluation_parser

Floats = npt.NDArray[np.float32]
COPIES = 0.9  # of planted copies that a duplicate's threshold lets through
KIN = 0.05  # of pairs that are judged to differ, which the threshold of near-duplicates lets through


@dataclass(frozen=True)
class Judged:
    """Pairs of texts, and what people say of each: from 0, nothing in common, to 1, the same."""

    name: str
    pairs: list[tuple[str, str]]
    same: Floats


def sampled(name: str, rows: list[tuple[str, str, float]], count: int) -> Judged:
    """So many of the rows, always the same."""
    chosen = random.Random(0).sample(rows, min(count, len(rows)))
    return Judged(name, [(a, b) for a, b, _ in chosen], np.array([same for *_, same in chosen], np.float32))


def judged(folder: Path, count: int) -> list[Judged]:
    """The three published sets."""
    sts = [line.split("\t") for line in (folder / "STSBenchmark" / "sts-test.csv").read_text().splitlines()]
    with (folder / "SICK-R" / "SICK_test_annotated.txt").open(newline="") as file:
        sick = list(csv.DictReader(file, delimiter="\t"))
    with (folder / "ArmenianParaphrasePC" / "test.tsv").open(newline="") as file:
        armenian = [row for row in csv.DictReader(file, delimiter="\t") if row["Paraphrase"] != "0"]
    return [
        sampled("STS benchmark", [(row[5], row[6], float(row[4]) / 5) for row in sts], count),
        sampled(
            "SICK",
            [(row["sentence_A"], row["sentence_B"], (float(row["relatedness_score"]) - 1) / 4) for row in sick],
            count,
        ),
        sampled(
            "Armenian paraphrases",
            [(row["Sentence1"], row["Sentence2"], float(row["Paraphrase"] == "1")) for row in armenian],
            count // 2,  # their texts are three times as long
        ),
    ]


def planted(sts: Judged) -> Judged:
    """A copy of each kind of every text that is made of two sentences."""
    chance = random.Random(0)
    firsts = [a for a, _ in sts.pairs]
    texts = [f"{a.rstrip('.')}. {b}" for a, b in zip(firsts[::2], firsts[1::2], strict=False)]
    texts = texts[: len(texts) // 2] + firsts[: len(texts) // 2]  # half of them single sentences
    pairs = [(text, copy) for text in texts for maker in MAKERS.values() if (copy := maker(text, chance)) != text]
    return Judged("planted copies", pairs, np.ones(len(pairs), np.float32))


def best_f1(cosines: Floats, same: npt.NDArray[np.bool_]) -> float:
    """The threshold with the highest F1."""
    order = np.argsort(-cosines)
    hits = np.cumsum(same[order])
    f1 = 2 * hits / (np.arange(1, len(same) + 1) + same.sum())
    return float(cosines[order[f1.argmax()]])


def fitted(cosines: dict[str, Floats], sets: dict[str, Judged]) -> dict[Level, float]:
    """A threshold for each level."""
    judged_sets = [name for name in sets if name != "planted copies"]
    every = np.concatenate([cosines[name] for name in judged_sets])
    same = np.concatenate([sets[name].same for name in judged_sets])
    differ = every[same < 0.7]
    duplicate = np.quantile(cosines["planted copies"], 1 - COPIES)
    near = np.quantile(differ, 1 - KIN)
    paraphrase = float(np.mean([best_f1(cosines[name], sets[name].same >= 0.7) for name in judged_sets]))
    return {"duplicate": float(duplicate), "near-duplicate": float(near), "same meaning": paraphrase}


def main() -> None:
    """Fit and print."""
    parser = evaluation_parser(__doc__)
    parser.add_argument("--sample", type=int, default=1500, help="Pairs of each set.")
    options = parser.parse_args()
    model = Remembered(options.model, options.cache, quantization=options.quantization, offline=True)
    sets = {part.name: part for part in judged(options.data_dir, options.sample)}
    sets["planted copies"] = planted(sets["STS benchmark"])
    table: dict[Level, list[str]] = {level: [] for level in LEVELS}
    for dim in MATRYOSHKA_DIMS:
        cosines: dict[str, Floats] = {}
        for name, part in sets.items():
            left, right = (
                model.encode([pair[side] for pair in part.pairs], prompt_name="sentence similarity", truncate_dim=dim)
                for side in (0, 1)
            )
            cosines[name] = similarity_pairwise(left, right)
        for level, cosine in fitted(cosines, sets).items():
            table[level].append(f"{dim}: {cosine:.2f}")
            for name, part in sets.items():
                bins = {
                    label: cosines[name][(part.same >= low) & (part.same < high)]
                    for label, low, high in (("differ", 0, 0.7), ("close", 0.7, 0.9), ("same", 0.9, 2))
                }
                shares = ", ".join(
                    f"{label} {(c >= cosine).mean():.1%} of {len(c)}" for label, c in bins.items() if len(c)
                )
                print(f"{dim} {level} {cosine:.3f}: {name}: {shares}")
    print("THRESHOLDS: dict[Level, dict[int, float]] = {")
    for level, cells in table.items():
        print(f'    "{level}": {{{", ".join(cells)}}},')
    print("}")


if __name__ == "__main__":
    main()
