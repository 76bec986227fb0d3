"""Retrieval sets with judgements, as others published them.   (a folder of evaluation data → Corpus)

The data is not part of the project: `--data-dir` names a folder with SciFact/, XQuAD/, Belebele/, CoSQA/ and MBPP/ in
it, each as its publisher lays it out.
"""

import ast
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from gemlet.documents import read_document
from gemlet.evaluation.protocols import Measure, Retrieval
from gemlet.evaluation.tasks import reading, retrieval
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
    rows = reading.json_lines(here / "corpus.jsonl.gz", "_id", "title", "text")
    papers = [Paper(row["_id"], row["title"], row["text"]) for row in rows]
    texts = {row["_id"]: row["text"] for row in reading.json_lines(here / "queries.jsonl", "_id", "text")}
    relevant: dict[str, set[str]] = {}
    for line in (here / "qrels" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, paper, _ = line.split("\t")
        relevant.setdefault(query, set()).add(paper)
    return Corpus("scifact", "query", papers, {query: texts[query] for query in relevant}, relevant)


def xquad(folder: Path, language: str) -> Corpus:
    """Questions → the paragraphs that answer them: 240 documents, some 1,185 queries."""
    ((_, measure),) = retrieval.xquad(language)(folder / "XQuAD")
    return _of(f"xquad-{language}", "query", measure)


def belebele(folder: Path, documents: str, queries: str) -> Corpus:
    """Questions in one language → passages in another: 488 documents, 900 queries."""
    ((_, measure),) = retrieval.belebele(f"{documents}_Latn-{queries}_Latn")(folder / "Belebele")
    return _of(f"belebele-{documents}-{queries}", "query", measure)


def cosqa(folder: Path, split: str = "test") -> Corpus:
    """Web queries → Python functions: 6,267 documents, 500 queries."""
    here = folder / "CoSQA"
    codes = reading.json_of(here / "code_idx_map.txt.gz")
    papers = [Paper(str(number), None, code, ".py") for code, number in codes.items()]
    rows = reading.json_of(here / f"cosqa-retrieval-{split}-500.json")
    queries = {row["idx"]: row["doc"] for row in rows}
    return Corpus("cosqa", "code retrieval", papers, queries, {row["idx"]: {str(row["retrieval_idx"])} for row in rows})


def mbpp(folder: Path) -> Corpus:
    """Tasks → Python programs that solve them: 974 documents, 974 queries."""
    ((_, measure),) = retrieval.mbpp(folder / "MBPP")
    return _of("mbpp", "code retrieval", measure, ".py")


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


def _of(name: str, task: str, measure: Measure, suffix: str = ".txt") -> Corpus:
    """A published task as a corpus; its documents and queries are named by their numbers."""
    assert isinstance(measure, Retrieval)
    papers = [Paper(str(i), None, text, suffix) for i, text in enumerate(measure.documents)]
    queries = {str(i): text for i, text in enumerate(measure.queries)}
    relevant = {
        str(i): {str(row) for row, grade in grades.items() if grade > 0} for i, grades in enumerate(measure.grades)
    }
    return Corpus(name, task, papers, queries, relevant)
