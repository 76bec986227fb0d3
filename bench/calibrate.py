"""Fit the curves of src/gemlet/relevance.py: what a score says of a hit, for each task and dimension.

Rows are what a search shows: each query's first hits, judged as published. Half of the weight is of queries whose
answer is there, half of queries without one: the same queries with their relevant documents taken out, and the queries
of other sets. So a probability is right for a user of whose queries every second has an answer in the index.

Prints the tables for relevance.py, how well they are calibrated, and what relevance.least_match() lets through.
Usage: python bench/calibrate.py --data-dir FOLDER --cache FOLDER [--sets NAME ...] [--sample N]
"""

import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpora import CORPORA, Corpus
from gemlet.folders import Stamp
from gemlet.passages import Passage
from gemlet.relevance import WORTH, Curve, least_match, word_share
from gemlet.store import Entry, StoreWriter
from gemlet.store.words import match_terms
from gemlet.vectors import MATRYOSHKA_DIMS, normalize
from remembered import Remembered, evaluation_parser

SHOWN = 10  # hits of a query that are looked at
FOREIGN = 300  # queries of other sets at most that are asked of a set
ROUNDS = 50  # of Newton's method
RIDGE = 1e-7

FAMILIES = {
    "search result": ("xquad-en", "xquad-de", "xquad-ar", "xquad-zh", "belebele-deu-eng", "scifact"),
    "question answering": ("xquad-en", "xquad-de", "xquad-ar", "xquad-zh", "belebele-deu-eng"),
    "fact checking": ("scifact",),
    "code retrieval": ("mbpp", "cosqa", "library"),
}
"""The sets that a task's prompt is for."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """Queries asked of one set.

    queries   [q, 768] float32
    shares    [q, documents] float32, see word_share()
    relevant  [q, documents] bool
    answered  whether the set has the answers
    """

    name: str
    queries: npt.NDArray[np.float32]
    documents: npt.NDArray[np.float32]
    shares: npt.NDArray[np.float32]
    relevant: npt.NDArray[np.bool_]
    answered: bool


@dataclass(frozen=True)
class Rows:
    """Hits as they would be shown: score, relevant or not, weight."""

    score: Floats
    relevant: npt.NDArray[np.bool_]
    weight: Floats


class Words:
    """What whole documents have of a query's words, by the store's own FTS5."""

    def __init__(self, corpus: Corpus, folder: Path) -> None:
        self._size = len(corpus.papers)
        self._store = StoreWriter(folder / f"{corpus.name}.db")
        with self._store.transaction():
            for number, paper in enumerate(corpus.papers):
                passage = Passage(paper.text, paper.title, 1, 1, None)
                nothing = np.zeros((1, 1), np.int8)
                entry = Entry(b"%d" % number, "text", None, paper.title, [passage], np.zeros(1, np.float32), nothing)
                self._store.link(Stamp(b"/%d" % number, 0, 0, 0), self._store.add_document(entry))

    def share(self, query: str) -> npt.NDArray[np.float32]:
        """[documents] float32."""
        scores = np.zeros(self._size, np.float32)
        for passage, score in self._store.keyword(query, self._size):
            scores[passage - 1] = score
        return word_share(scores, len(match_terms(query)), self._size)


def sampled(corpus: Corpus, others: int | None) -> Corpus:
    """The set with its relevant documents and so many others, for a machine that takes long to embed all."""
    if others is None:
        return corpus
    relevant = set().union(*corpus.relevant.values())
    names = sorted({paper.name for paper in corpus.papers})
    kept = relevant | set(random.Random(0).sample(names, min(others, len(names))))
    return replace(corpus, papers=[paper for paper in corpus.papers if paper.name in kept])


def ask(model: Remembered, corpus: Corpus, words: Words, texts: list[str], names: list[str | None], task: str) -> Asked:
    """Ask queries of a set: `names` are theirs in the set, None for a query from elsewhere."""
    order = {paper.name: i for i, paper in enumerate(corpus.papers)}
    relevant = np.zeros((len(texts), len(order)), bool)
    for row, name in enumerate(names):
        for paper in corpus.relevant[name] if name is not None else ():
            relevant[row, order[paper]] = True
    documents = model.encode_document([p.text for p in corpus.papers], titles=[p.title for p in corpus.papers])
    shares = np.stack([words.share(text) for text in texts])
    queries = model.encode_query(texts, prompt_name=task)
    return Asked(corpus.name, queries, documents, shares, relevant, names[0] is not None)


def ask_all(model: Remembered, sets: dict[str, Corpus], task: str, folder: Path) -> list[Asked]:
    """Each set's own queries, and those of the others."""
    asked = []
    for name in [name for name in FAMILIES[task] if name in sets]:
        corpus = sets[name]
        words = Words(corpus, folder)
        asked.append(ask(model, corpus, words, list(corpus.queries.values()), list(corpus.queries), task))
        foreign = _foreign(sets, name)
        if foreign:
            asked.append(ask(model, corpus, words, foreign, [None] * len(foreign), task))
    return asked


def _foreign(sets: dict[str, Corpus], name: str) -> list[str]:
    """Queries that the set cannot answer: of sets about other things (all of XQuAD is about the same)."""
    kin = name.split("-")[0]
    texts = [text for other, corpus in sets.items() if other.split("-")[0] != kin for text in corpus.queries.values()]
    return [str(text) for text in np.random.default_rng(0).permutation(np.array(texts))[:FOREIGN]] if texts else []


def scores_of(part: Asked, dim: int, words: bool) -> npt.NDArray[np.float32]:
    """[q, documents] float32: what a search orders by, vectors and words or vectors alone."""
    cosines = normalize(part.queries[:, :dim].copy()) @ normalize(part.documents[:, :dim].copy()).T
    return np.asarray(cosines + WORTH * part.shares if words else cosines, np.float32)


def shown(asked: list[Asked], dim: int, words: bool) -> Rows:
    """The hits that a search would show; each set weighs the same."""
    parts = []
    for part in asked:
        scores = scores_of(part, dim, words)
        for kept in (True, False) if part.answered else (False,):
            left = scores if kept else np.where(part.relevant, -np.inf, scores)  # without the answer
            top = np.argsort(-left, axis=1)[:, :SHOWN]
            row = np.arange(len(top))[:, None]
            share = (0.5 if kept else 0.25) / top.size
            parts.append((left[row, top].ravel(), (part.relevant[row, top] & kept).ravel(), np.full(top.size, share)))
    return Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def fit(rows: Rows) -> Curve:
    """Weighted logistic regression on the score, by Newton's method, with a touch of ridge."""
    x = np.stack([np.ones(len(rows.score)), rows.score], axis=1).astype(np.float64)
    y, weight = rows.relevant.astype(np.float64), rows.weight / rows.weight.sum()
    beta = np.zeros(2)
    for _ in range(ROUNDS):
        p = 1 / (1 + np.exp(-x @ beta))
        gradient = x.T @ (weight * (y - p)) - RIDGE * beta
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(2)
        beta = beta + np.linalg.solve(hessian, gradient)
    return Curve(slope=float(beta[1]), offset=float(beta[0]))


def calibration_error(rows: Rows, curve: Curve, least: float) -> float:
    """How far stated and true probabilities are apart, over hits that are matches: mean over ten bins, by weight."""
    p = curve.probability(rows.score.astype(np.float32)).astype(np.float64)
    matches = p >= least
    bins = (p[matches] * 10).astype(int)
    gap = np.bincount(bins, (rows.weight * (rows.relevant - p))[matches])
    return float(np.abs(gap).sum() / rows.weight[matches].sum())


def passed(asked: list[Asked], dim: int, words: bool, curve: Curve, least: float) -> dict[str, float]:
    """Mean over sets: answers that are matches; queries that find nothing, foreign or without their answer."""
    shares: dict[str, list[float]] = {"answers found": [], "foreign queries refused": [], "near misses refused": []}
    for part in asked:
        p = curve.probability(scores_of(part, dim, words).ravel()).reshape(part.shares.shape)
        if part.answered:
            shares["answers found"].append((np.where(part.relevant, p, 0).max(axis=1) >= least).mean())
            shares["near misses refused"].append((np.where(part.relevant, 0, p).max(axis=1) < least).mean())
        else:
            shares["foreign queries refused"].append((p.max(axis=1) < least).mean())
    return {name: float(np.mean(values)) for name, values in shares.items() if values}


def main() -> None:
    """Fit and print."""
    parser = evaluation_parser(__doc__)
    parser.add_argument("--sets", nargs="+", choices=list(CORPORA), default=list(CORPORA))
    parser.add_argument("--sample", type=int, help="Of each set the relevant documents and so many others.")
    parser.add_argument("--tasks", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    options = parser.parse_args()
    model = Remembered(options.model, options.cache, quantization=options.quantization, offline=True)
    sets = {name: sampled(CORPORA[name](options.data_dir), options.sample) for name in options.sets}
    tables: dict[str, list[str]] = {"BOTH": [], "VECTORS": []}
    for task in options.tasks:
        with tempfile.TemporaryDirectory() as folder:
            asked = ask_all(model, sets, task, Path(folder))
        least = least_match(task)
        for table, lines in tables.items():
            lines.append(f'    "{task}": {{')
            for dim in MATRYOSHKA_DIMS:
                words = table == "BOTH"
                rows = shown(asked, dim, words)
                curve = fit(rows)
                lines.append(f"        {dim}: Curve(slope={curve.slope:.2f}, offset={curve.offset:.2f}),")
                shares = ", ".join(f"{k} {v:.1%}" for k, v in passed(asked, dim, words, curve, least).items())
                error = calibration_error(rows, curve, least)
                print(f"{task}, {table}, {dim}: calibration error {error:.3f}, {shares}", flush=True)
            lines.append("    },")
    for table, lines in tables.items():
        print("\n".join([f"{table}: dict[str, dict[int, Curve]] = {{", *lines, "}"]))


if __name__ == "__main__":
    main()
