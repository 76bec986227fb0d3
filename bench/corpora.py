"""Retrieval sets with judgements, as others published them.   (a folder of evaluation data → Corpus)

The data is not part of the project: `--data-dir` names a folder with SciFact/, XQuAD/, Belebele/, CoSQA/ and MBPP/ in
it, each as its publisher lays it out.
"""

import ast
import gzip
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gemlet.documents import read_document
from gemlet.passages import split

LIBRARY = [
    "bisect",
    "calendar",
    "colorsys",
    "configparser",
    "contextlib",
    "csv",
    "difflib",
    "fnmatch",
    "fractions",
    "graphlib",
    "gzip",
    "heapq",
    "imaplib",
    "ipaddress",
    "mailbox",
    "netrc",
    "numbers",
    "queue",
    "random",
    "sched",
    "shelve",
    "shlex",
    "statistics",
    "tarfile",
    "textwrap",
    "threading",
    "timeit",
    "trace",
    "urllib.robotparser",
    "wave",
    "webbrowser",
    "zipapp",
]
"""Modules of Python's own library, of many subjects."""

_TELLING = 6  # words of a docstring's first line that says what a function is for
_LETTERS = 3  # of a token of code, about


@dataclass(frozen=True)
class Paper:
    """A document of a set: its name there, its title if it has one, its text, and the suffix that a file of it has."""

    name: str
    title: str | None
    text: str
    suffix: str = ".txt"


@dataclass(frozen=True)
class Corpus:
    """A retrieval set.

    task      the prompt of its queries, a name in Embedder.prompts
    papers    the documents
    queries   by name
    relevant  for each query the names of its relevant documents
    """

    name: str
    task: str
    papers: list[Paper]
    queries: dict[str, str]
    relevant: dict[str, set[str]]


def scifact(folder: Path, split: str = "test") -> Corpus:
    """Claims → abstracts with titles: 5,183 documents, 300 queries."""
    here = folder / "SciFact" / "beir_converted"
    with gzip.open(here / "corpus.jsonl.gz", "rb") as file:
        data = file.read()
    rows = [json.loads(line) for line in _lines_of(data)]
    papers = [Paper(row["_id"], row["title"], row["text"]) for row in rows]
    texts = {row["_id"]: row["text"] for row in _json_lines(here / "queries.jsonl")}
    relevant: dict[str, set[str]] = {}
    for line in (here / "qrels" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, paper, _ = line.split("\t")
        relevant.setdefault(query, set()).add(paper)
    return Corpus("scifact", "query", papers, {query: texts[query] for query in relevant}, relevant)


def xquad(folder: Path, language: str) -> Corpus:
    """Questions → the paragraphs that answer them: 240 documents, some 1,185 queries."""
    data = json.loads((folder / "XQuAD" / f"xquad.{language}.json").read_text(encoding="utf-8"))["data"]
    papers: list[Paper] = []
    relevant: dict[str, set[str]] = {}
    for article in data:
        for paragraph in article["paragraphs"]:
            name = str(len(papers))
            papers.append(Paper(name, None, paragraph["context"].strip()))
            for asked in paragraph["qas"]:
                relevant.setdefault(asked["question"].strip(), set()).add(name)
    return _by_text(f"xquad-{language}", "query", papers, relevant)


def belebele(folder: Path, documents: str, queries: str) -> Corpus:
    """Questions in one language → passages in another: 488 documents, 900 queries."""
    passages = list(_json_lines(folder / "Belebele" / f"{documents}_Latn.jsonl"))
    papers = [Paper(str(number), None, row["text"].strip()) for number, row in enumerate(passages)]
    places = {place: str(number) for number, place in enumerate(_places(passages))}
    relevant: dict[str, set[str]] = {}
    asked = list(_json_lines(folder / "Belebele" / f"{queries}_Latn.jsonl"))
    for row, place in zip(asked, _places(asked), strict=True):
        for item in row["items"]:
            relevant.setdefault(item["question"].strip(), set()).add(places[place])
    return _by_text(f"belebele-{documents}-{queries}", "query", papers, relevant)


def cosqa(folder: Path, split: str = "test") -> Corpus:
    """Web queries → Python functions: 6,267 documents, 500 queries."""
    here = folder / "CoSQA"
    with gzip.open(here / "code_idx_map.txt.gz", "rt", encoding="utf-8") as file:
        codes = json.load(file)
    papers = [Paper(str(number), None, code, ".py") for code, number in codes.items()]
    rows = json.loads((here / f"cosqa-retrieval-{split}-500.json").read_text(encoding="utf-8"))
    queries = {row["idx"]: row["doc"] for row in rows}
    return Corpus("cosqa", "code retrieval", papers, queries, {row["idx"]: {str(row["retrieval_idx"])} for row in rows})


def mbpp(folder: Path) -> Corpus:
    """Tasks → Python programs that solve them: 974 documents, 974 queries."""
    rows = list(_json_lines(folder / "MBPP" / "mbpp.jsonl"))
    papers = [Paper(str(row["task_id"]), None, row["code"], ".py") for row in rows]
    queries = {str(row["task_id"]): row["text"] for row in rows}
    return Corpus("mbpp", "code retrieval", papers, queries, {name: {name} for name in queries})


def library(_: Path) -> Corpus:
    """What functions and classes are for, as their docstrings say → passages of Python's own library without them.

    Passages as `gemlet index` makes them, whole classes for the most part; the other sets of code are short functions.
    """
    papers: list[Paper] = []
    queries: dict[str, str] = {}
    relevant: dict[str, set[str]] = {}
    for module in LIBRARY:
        spec = find_spec(module)
        assert spec
        assert spec.origin
        lines = Path(spec.origin).read_text(encoding="utf-8").splitlines()
        purposes = _purposes(lines)
        passages = _passages_of(module, lines)
        papers += [Paper(f"{module}:{first}", title, text, ".py") for first, _, title, text in passages]
        for line, purpose in purposes.items():
            homes = {f"{module}:{first}" for first, last, _, _ in passages if first <= line <= last}
            queries[f"{module}:{line}"], relevant[f"{module}:{line}"] = purpose, homes
    return Corpus("library", "code retrieval", papers, queries, relevant)


def _purposes(lines: list[str]) -> dict[int, str]:
    """The line of each definition → the first line of its docstring; every docstring is blanked in `lines`."""
    found = {}
    for node in ast.walk(ast.parse("\n".join(lines))):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) or not (text := ast.get_docstring(node)):
            continue
        place = node.body[0]
        lines[place.lineno - 1 : place.end_lineno] = [""] * ((place.end_lineno or 0) - place.lineno + 1)
        if not isinstance(node, ast.Module) and len((first := text.splitlines()[0]).split()) >= _TELLING:
            found[node.lineno] = first
    return found


def _passages_of(module: str, lines: list[str]) -> list[tuple[int, int, str | None, str]]:
    """(first line, last line, title, text) of each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{module}.py"
        path.write_text("\n".join(lines), encoding="utf-8")
        document = read_document(path)
    passages = split(document, lambda texts: [len(text) // _LETTERS for text in texts])
    return [(passage.first_line, passage.last_line, passage.title, passage.text) for passage in passages]


def _xquad(language: str) -> Callable[[Path], Corpus]:
    return lambda folder: xquad(folder, language)


CORPORA: dict[str, Callable[[Path], Corpus]] = {
    "mbpp": mbpp,
    "library": library,
    "belebele-deu-eng": lambda folder: belebele(folder, "deu", "eng"),
    **{f"xquad-{language}": _xquad(language) for language in ("en", "de", "ar", "zh")},
    "cosqa": cosqa,
    "scifact": scifact,
}
"""The sets of the table, small ones first."""


def _by_text(name: str, task: str, papers: list[Paper], relevant: dict[str, set[str]]) -> Corpus:
    """A corpus whose queries are named by their number; a question that is asked twice is one query."""
    queries = {str(number): text for number, text in enumerate(relevant)}
    return Corpus(name, task, papers, queries, {number: relevant[text] for number, text in queries.items()})


def _places(rows: list[Any]) -> list[tuple[str, int]]:
    """The page that each passage is from, and its number among those of that page: the same in every language."""
    seen: dict[str, int] = {}
    places = []
    for row in rows:
        page = row["metadata"]["extra"]["url"]
        seen[page] = seen.get(page, -1) + 1
        places.append((page, seen[page]))
    return places


def _json_lines(path: Path) -> Iterator[Any]:
    return map(json.loads, _lines_of(path.read_bytes()))


def _lines_of(data: bytes) -> list[bytes]:
    """Lines that end with a line feed alone: texts hold other separators."""
    return [line for line in data.split(b"\n") if line.strip()]
