"""Queries, documents and judgements.   (folders → Retrieval)"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gemlet.errors import InputError
from gemlet.evaluation.protocols import Measure, Retrieval
from gemlet.evaluation.tasks import reading

Parts = Iterator[tuple[str, Measure]]


def scifact(folder: Path) -> Parts:
    """`beir_converted/`: corpus.jsonl.gz (_id, title, text), queries.jsonl (_id, text), qrels/test.tsv."""
    here = folder / "beir_converted"
    papers = list(reading.json_lines(here / "corpus.jsonl.gz", "_id", "title", "text"))
    queries = {row["_id"]: row["text"] for row in reading.json_lines(here / "queries.jsonl", "_id", "text")}
    place = {row["_id"]: i for i, row in enumerate(papers)}
    path = here / "qrels" / "test.tsv"
    grades: dict[str, dict[int, int]] = {}
    for line, (query, paper, grade, *_) in enumerate(reading.rows_of(path, "\t", 3, header=True), 2):
        if query not in queries or paper not in place:
            raise InputError(f"{path}, line {line}: there is no query {query!r} or no document {paper!r}")
        grades.setdefault(query, {})[place[paper]] = int(reading.number(path, line, grade))
    yield (
        "default",
        Retrieval(
            [queries[name] for name in grades],
            [titled(row["title"], row["text"]) for row in papers],
            list(grades.values()),
            [row["_id"] for row in papers],
        ),
    )


def titled(title: str, text: str) -> str:
    """What MTEB makes of a document with a title; the prompt's own title stays "none"."""
    return f"{title} {text}".strip() if title else text.strip()


def xquad(*languages: str) -> Callable[[Path], Parts]:
    """The loader of `xquad.LANGUAGE.json` in SQuAD's layout: paragraphs, and the questions that each answers."""

    def load(folder: Path) -> Parts:
        for language in languages:
            path = folder / f"xquad.{language}.json"
            documents: list[str] = []
            asked: list[tuple[str, int]] = []
            for article in reading.fields(path, reading.json_of(path), "data")["data"]:
                for paragraph in reading.fields(path, article, "paragraphs")["paragraphs"]:
                    reading.fields(path, paragraph, "context", "qas")
                    asked += [(row["question"].strip(), len(documents)) for row in paragraph["qas"]]
                    documents.append(paragraph["context"].strip())
            yield language, _by_question(documents, asked)

    return load


def belebele(*pairs: str) -> Callable[[Path], Parts]:
    """The loader of "DOCUMENTS-QUERIES", languages like deu_Latn, out of `LANGUAGE.jsonl`: passages with questions.

    A passage is the same in every language by its page and its place among those of that page.
    """

    def load(folder: Path) -> Parts:
        for pair in pairs:
            written, asking = (folder / f"{language}.jsonl" for language in pair.split("-"))
            passages = list(reading.json_lines(written, "text", "metadata"))
            place = {name: i for i, name in enumerate(_pages(written, passages))}
            asked = []
            rows = list(reading.json_lines(asking, "items", "metadata"))
            for row, name in zip(rows, _pages(asking, rows), strict=True):
                if name not in place:
                    raise InputError(f"{written} lacks a passage that {asking} has: {name[0]}")
                asked += [(item["question"], place[name]) for item in row["items"]]
            yield pair, _by_question([row["text"].strip() for row in passages], asked)

    return load


def cosqa(folder: Path) -> Parts:
    """`code_idx_map.txt.gz` (code → number) and `cosqa-retrieval-test-500.json` (doc: the query, retrieval_idx)."""
    path = folder / "code_idx_map.txt.gz"
    numbers = reading.json_of(path)
    if not isinstance(numbers, dict):
        raise InputError(f"{path}: expected an object of code and number")
    place = {number: i for i, number in enumerate(numbers.values())}
    path = folder / "cosqa-retrieval-test-500.json"
    rows = [reading.fields(path, row, "doc", "retrieval_idx") for row in reading.json_of(path)]
    for row in rows:
        if row["retrieval_idx"] not in place:
            raise InputError(f"{path}: there is no code {row['retrieval_idx']}")
    grades = [{place[row["retrieval_idx"]]: 1} for row in rows]
    yield (
        "default",
        Retrieval([row["doc"] for row in rows], list(numbers), grades, [str(number) for number in numbers.values()]),
    )


def mbpp(folder: Path) -> Parts:
    """`mbpp.jsonl`: task_id, text (what to write), code."""
    rows = list(reading.json_lines(folder / "mbpp.jsonl", "task_id", "text", "code"))
    names = [str(row["task_id"]) for row in rows]
    grades = [{i: 1} for i in range(len(rows))]
    yield "default", Retrieval([row["text"] for row in rows], [row["code"].strip() for row in rows], grades, names)


def _by_question(documents: list[str], asked: list[tuple[str, int]]) -> Retrieval:
    """A question that is asked twice is one query with two answers."""
    grades: dict[str, dict[int, int]] = {}
    for question, row in asked:
        grades.setdefault(question, {})[row] = 1
    return Retrieval(list(grades), documents, list(grades.values()))


def _pages(path: Path, rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """The page that each passage is from, and its number among those of that page."""
    seen: dict[str, int] = {}
    places = []
    for row in rows:
        try:
            page = row["metadata"]["extra"]["url"]
        except (KeyError, TypeError):
            raise InputError(f"{path}: a passage has no metadata.extra.url") from None
        seen[page] = seen.get(page, -1) + 1
        places.append((page, seen[page]))
    return places
