"""nDCG@10 through the real index, beside an exact search of whole documents in fp32.

Each set's documents are written to files and indexed as `gemlet index` does: read, cut into passages, embedded, stored
in 8 bits. Then every query is searched for as `gemlet search` does: by vectors, by words, by both. Beside that the
reference: whole documents, one vector each, every cosine in fp32. Vectors are embedded once, at 768 numbers, and kept
in --cache; shorter ones are cut from them.

Usage: python bench/retrieval.py --data-dir FOLDER --cache FOLDER [--sets NAME ...] [--dims 768 512 256 128]
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from corpora import CORPORA, Corpus
from gemlet.evaluation.metrics import ndcg
from gemlet.index import Index
from gemlet.search import Hit, Mode, search
from gemlet.vectors import MATRYOSHKA_DIMS
from remembered import Remembered, evaluation_parser

K = 10
RESULTS = Path(__file__).parent / "results"


def mean_ndcg(found: list[list[str]], corpus: Corpus) -> float:
    """Mean nDCG@10 of the names of documents that each query found, the best first."""
    rows = {paper.name: row for row, paper in enumerate(corpus.papers)}
    ranked = np.full((len(found), K), -1, np.intp)
    for places, names in zip(ranked, found, strict=True):
        places[: len(names)] = [rows[name] for name in names]
    grades = [{rows[name]: 1 for name in corpus.relevant[query]} for query in corpus.queries]
    return float(ndcg(ranked, grades, K).mean())


def exact(model: Remembered, corpus: Corpus, dim: int) -> float:
    """Mean nDCG@10 of whole documents by their fp32 cosines."""
    titles = [paper.title for paper in corpus.papers]
    documents = model.encode_document([paper.text for paper in corpus.papers], titles=titles, truncate_dim=dim)
    queries = model.encode_query(list(corpus.queries.values()), prompt_name=corpus.task, truncate_dim=dim)
    best = [np.argsort(-(documents @ row), kind="stable")[:K] for row in queries]
    return mean_ndcg([[corpus.papers[i].name for i in rows] for rows in best], corpus)


def write_files(corpus: Corpus, folder: Path) -> None:
    """Each document a file: its name and suffix, and a title as the Markdown heading that people write."""
    for paper in corpus.papers:
        suffix, text = (
            (paper.suffix, paper.text) if paper.title is None else (".md", f"# {paper.title}\n\n{paper.text}")
        )
        (folder / f"{paper.name}{suffix}").write_bytes(text.encode())


def through_index(index: Index, corpus: Corpus, mode: Mode) -> tuple[float, float]:
    """Mean nDCG@10 of search(), and milliseconds a query."""
    begin = time.perf_counter()
    found = []
    for name, query in corpus.queries.items():
        hits = search(index, query, k=K, mode=mode, task=corpus.task, min_probability=0).hits
        found.append([_name_of(hit, corpus.relevant[name]) for hit in hits])
    return mean_ndcg(found, corpus), (time.perf_counter() - begin) / len(found) * 1e3


def _name_of(hit: Hit, wanted: set[str]) -> str:
    """The document's name; of two files with the same text that of a wanted one."""
    names = [Path(path).stem for path in hit.paths]
    return next((name for name in names if name in wanted), names[0])


def measure(model: Remembered, corpus: Corpus, dims: list[int]) -> Iterator[dict[str, Any]]:
    """Yield a row for each dimension."""
    keyword: float | None = None
    for dim in dims:
        reference = exact(model, corpus, dim)
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder) / "files"
            files.mkdir()
            write_files(corpus, files)
            with Index(Path(folder) / "index.db", model=model, truncate_dim=dim) as index:
                index.update([files])
                passages = index.store.counts()["passages"]
                if keyword is None:  # the words are the same at every dimension
                    keyword, _ = through_index(index, corpus, "keyword")
                semantic, _ = through_index(index, corpus, "semantic")
                hybrid, milliseconds = through_index(index, corpus, "hybrid")
        yield {
            "set": corpus.name, "dim": dim, "documents": len(corpus.papers), "passages": passages,
            "queries": len(corpus.queries), "exact": reference, "semantic": semantic, "keyword": keyword,
            "hybrid": hybrid, "ms": milliseconds,
        }  # fmt: skip


def show(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    better = row["hybrid"] - max(row["semantic"], row["keyword"])
    print(
        f"{row['set']:17} {row['dim']:4} {row['documents']:6} {row['passages']:6}   {100 * row['exact']:6.2f}"
        f" {100 * row['semantic']:6.2f} ({100 * (row['semantic'] - row['exact']):+.2f}) {100 * row['keyword']:6.2f}"
        f" {100 * row['hybrid']:6.2f} ({100 * better:+.2f}) {row['ms']:6.1f} ms",
        flush=True,
    )


def main() -> None:
    """Measure, print, and keep the rows in bench/results/."""
    parser = evaluation_parser(__doc__)
    parser.add_argument("--sets", nargs="+", choices=list(CORPORA), default=list(CORPORA))
    parser.add_argument("--dims", nargs="+", type=int, choices=MATRYOSHKA_DIMS, default=list(MATRYOSHKA_DIMS))
    options = parser.parse_args()
    model = Remembered(options.model, options.cache, quantization=options.quantization, offline=True)
    print("set                dim   docs  pass.    exact  semantic       keyword hybrid (to the better part)")
    rows: list[dict[str, Any]] = []
    for name in options.sets:
        for row in measure(model, CORPORA[name](options.data_dir), options.dims):
            rows.append(row)
            show(row)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"retrieval-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
