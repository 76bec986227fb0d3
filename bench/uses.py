"""Classification, clustering, pairs and translations, scored as MTEB scores them, beside the published fp32 figures.

    python bench/uses.py --data-dir FOLDER --cache FOLDER [--tasks banking77 ...] [--dim 768] [--quantization q8_0]

The data is not part of the project: FOLDER has a folder for each task, as its publisher lays it out, and
mteb_results_embeddinggemma.csv with the published scores. The prompts are those of the model card for each kind of
task. Vectors are embedded once and kept in --cache. Needs scikit-learn, whose estimators the protocol names.

Source of the protocol: MTEB's AbsTaskClassification, AbsTaskClustering, AbsTaskPairClassification and
AbsTaskBitextMining, with the seed 42.
"""

import csv
import io
import random
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, v_measure_score

from gemlet import similarity_pairwise
from remembered import Remembered, evaluation_parser

SEED = 42
EXPERIMENTS = 10
Floats = npt.NDArray[np.float32]
Encode = Callable[[list[str], str], Floats]  # texts, name of the prompt


@dataclass(frozen=True)
class Task:
    """A task of MTEB: its score, and under which name the published one is."""

    score: Callable[[Path, Encode], float]
    mteb: str
    subset: str | None = None


def classification(train: list[tuple[str, str]], test: list[tuple[str, str]], per_label: int, encode: Encode) -> float:
    """Mean accuracy of ten logistic regressions on `per_label` rows of each label."""
    order = np.arange(len(train))
    draws = []
    for _ in range(EXPERIMENTS):
        np.random.RandomState(SEED).shuffle(order)  # the order that the last draw left
        seen: Counter[str] = Counter()
        drawn = []
        for i in order:
            if seen[train[i][1]] < per_label:
                seen[train[i][1]] += 1
                drawn.append(int(i))
        draws.append(drawn)
    used = sorted({i for drawn in draws for i in drawn})
    vectors = dict(zip(used, encode([train[i][0] for i in used], "classification"), strict=True))
    wanted, inputs = [label for _, label in test], encode([text for text, _ in test], "classification")
    scores = []
    for drawn in draws:
        model = LogisticRegression(max_iter=100, random_state=SEED)
        model.fit(np.stack([vectors[i] for i in drawn]), [train[i][1] for i in drawn])
        scores.append(model.score(inputs, wanted))
    return float(np.mean(scores))


def clustering(rows: list[tuple[str, str]], encode: Encode) -> float:
    """Mean V-measure of ten k-means on 16,384 rows drawn with replacement."""
    chance = random.Random(SEED)
    rows = [rows[i] for i in chance.sample(range(len(rows)), len(rows))]
    vectors, labels = encode([text for text, _ in rows], "clustering"), np.array([label for _, label in rows])
    model = MiniBatchKMeans(len(set(labels)), batch_size=512, init="k-means++", n_init=1, random_state=SEED)
    scores = []
    for _ in range(EXPERIMENTS):
        drawn = chance.choices(range(len(rows)), k=16_384)
        scores.append(v_measure_score(labels[drawn], model.fit_predict(vectors[drawn])))
    return float(np.mean(scores))


def bitext(texts: list[str], translations: list[str], encode: Encode) -> float:
    """F1 of each text's nearest translation, the mean over the translations."""
    nearest = np.argmax(encode(texts, "BitextMining") @ encode(translations, "BitextMining").T, axis=1)
    times = Counter(nearest.tolist())
    return float(np.mean([2 / (1 + times[i]) if nearest[i] == i else 0 for i in range(len(nearest))]))


def banking77(folder: Path, encode: Encode) -> float:
    """77 intents of a bank's customers."""
    train, test = (_table(folder / "Banking77" / f"{part}.csv", "text", "category") for part in ("train", "test"))
    return classification(train, test, 8, encode)


def counterfactual(folder: Path, encode: Encode) -> float:
    """Does an English product review say what is not so?"""
    files = [folder / "AmazonCounterfactual" / f"EN_{part}.tsv" for part in ("train", "test")]
    train, test = (_table(file, "sentence", "is_counterfactual") for file in files)
    return classification(train, test, 32, encode)


def tweets(folder: Path, encode: Encode) -> float:
    """Positive, neutral or negative. The names of the published files are swapped, and the larger holds both parts."""
    here = folder / "TweetSentimentExtraction"
    rows = {part: list(_rows(here / f"kaggle_{part}.csv", ",")) for part in ("train", "test")}
    test_names = {row["textID"] for row in rows["train"]}
    train = [(row["text"], row["sentiment"]) for row in rows["test"] if row["textID"] not in test_names]
    return classification(train, [(row["text"], row["sentiment"]) for row in rows["train"]], 32, encode)


def sib200(folder: Path, encode: Encode) -> float:
    """Seven topics of English sentences."""
    rows = []
    with tarfile.open(folder / "SIB200" / "annotated.tar.xz") as archive:
        for part in ("train", "dev", "test"):
            text = _member(archive, f"annotated/eng_Latn/{part}.tsv")
            rows += [(row["text"], row["category"]) for row in csv.DictReader(io.StringIO(text), delimiter="\t")]
    return clustering(rows, encode)


def armenian(folder: Path, encode: Encode) -> float:
    """Average precision of the cosine: is one sentence the other in other words? Pairs that nearly are do not count."""
    rows = [row for row in _rows(folder / "ArmenianParaphrasePC" / "test.tsv", "\t") if row["Paraphrase"] != "0"]
    one, other = (encode([row[name] for row in rows], "sentence similarity") for name in ("Sentence1", "Sentence2"))
    return float(average_precision_score([row["Paraphrase"] == "1" for row in rows], similarity_pairwise(one, other)))


def tatoeba(folder: Path, encode: Encode) -> float:
    """Sentences of 112 languages and their English translations."""
    pairs: dict[str, dict[str, list[str]]] = defaultdict(dict)
    with tarfile.open(folder / "Tatoeba" / "tatoeba-v1.tar.xz") as archive:
        for name in archive.getnames():
            if name.count(".") == 2:
                _, pair, language = name.split(".")
                pairs[pair][language] = _member(archive, name).splitlines(keepends=True)
    scores = {}
    for pair, sides in sorted(pairs.items()):
        (english,) = [side for language, side in sides.items() if language == "eng"]
        (foreign,) = [side for language, side in sides.items() if language != "eng"]
        scores[pair] = bitext(foreign, english, encode)
    return float(np.mean(list(scores.values())))


TASKS = {
    "banking77": Task(banking77, "Banking77Classification"),
    "counterfactual": Task(counterfactual, "AmazonCounterfactualClassification", "en"),
    "tweets": Task(tweets, "TweetSentimentExtractionClassification"),
    "sib200": Task(sib200, "SIB200ClusteringS2S", "eng_Latn"),
    "armenian": Task(armenian, "ArmenianParaphrasePC"),
    "tatoeba": Task(tatoeba, "Tatoeba"),
}


def published(folder: Path, task: Task) -> float:
    """The published score on the test split: of the subset, or the mean over all."""
    rows = _rows(folder / "mteb_results_embeddinggemma.csv", ",")
    found = [
        float(row["main_score"])
        for row in rows
        if row["task"] == task.mteb and row["split"] == "test" and task.subset in (None, row["subset"])
    ]
    return float(np.mean(found))


def _table(path: Path, text: str, label: str) -> list[tuple[str, str]]:
    return [(row[text], row[label]) for row in _rows(path, "\t" if path.suffix == ".tsv" else ",")]


def _rows(path: Path, separator: str) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter=separator)


def _member(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(name)
    assert file is not None, name
    return file.read().decode("utf-8")


def main() -> None:
    """Score and print."""
    parser = evaluation_parser(__doc__)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options = parser.parse_args()
    model = Remembered(options.model, options.cache, quantization=options.quantization, offline=True)

    def encode(texts: list[str], prompt_name: str) -> Floats:
        vectors: Floats = model.encode(texts, prompt_name=prompt_name, truncate_dim=options.dim)
        return vectors

    print(f"{model.quantization}, {options.dim} numbers\n\n| task of MTEB | gemlet | published, fp32 | difference |")
    print("|---|---|---|---|", flush=True)
    for task in (TASKS[name] for name in options.tasks):
        begin = time.perf_counter()
        score, known = 100 * task.score(options.data_dir, encode), 100 * published(options.data_dir, task)
        name = f"{task.mteb}, {task.subset}" if task.subset else task.mteb
        seconds = f"{time.perf_counter() - begin:.0f} s"
        print(f"| {name} | {score:.2f} | {known:.2f} | {score - known:+.2f} | <!-- {seconds} -->", flush=True)


if __name__ == "__main__":
    main()
