"""Passages → queries that they answer, written by a language model of one's own.   (passages, Writer → queries)

What it writes is checked: a query that copies the passage, is no query, or does not find its passage among the others
is of no use. Source of the last: Dai et al. 2022, "Promptagator: Few-shot Dense Retrieval From 8 Examples", arXiv
2209.11755, section 3.2: round-trip consistency, the first place.

Answers are kept in a journal as they come, so that a run which stops goes on where it was.
"""

import hashlib
import json
import os
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gemlet.curate.words import words_of
from gemlet.embedder import Embedder
from gemlet.errors import InputError
from gemlet.generate import Message, Writer
from gemlet.pairs import code_texts, nearest, normal_form
from gemlet.pairs.coded import Progress, tell

_SYSTEM = "You write what people type into a search box or ask an assistant: one query a line, and nothing else."
# The example is for models that were not trained to follow orders: they go on as it begins.
_EXAMPLE = """when can I do pottery in the evening?
how do I get my bowl fired
deadline for the kiln list"""
_ASK = f"""Read the passage and write {{count}} different queries that it answers: in the language of the passage, in
words other than its own, as people ask who have not seen it. Each must be understood by itself.

Passage:
The pottery of the youth centre is open on weekday evenings. The kiln is fired on Fridays; whoever wants a place in it
signs the list on its door by Thursday noon.

Answer:
{_EXAMPLE}

Passage:
{{passage}}"""
_NEXT = "Passage:"  # so a model begins that makes up a passage of its own

_PASSAGE = 6000  # characters of a passage that the model gets to see
_TOKENS = 60  # of a query
_WORDS = 40  # more are no query
_COPIED = 8  # words in a row that are the passage's

_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.):]|[QF]\d*[:.])\s+")
_QUOTES = "\"'“”„«»‘’`*_ \t"


@dataclass(frozen=True)
class Query:
    """What a model wrote for a passage.

    passage  its row
    text     the query
    reason   why it is of no use; "": it is
    """

    passage: int
    text: str
    reason: str = ""


def write_queries(
    writer: Writer,
    passages: Sequence[str],
    count: int = 3,
    *,
    journal: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> list[Query]:
    """Ask for so many queries for each passage; equal passages once, for the first.

    journal  a file where the answers are kept as they come; what an earlier run left there is not asked again

    Returns every query that was written, in order, some with a reason against it; see round_trip(). Raises
    GenerationError, InputError for no passage, a count under 1 or a journal of another run.
    """
    if count < 1 or not passages:
        raise InputError(
            f"there are {len(passages)} passages and {count} queries are wanted of each: 1 or more of both"
        )
    first: dict[str, int] = {}
    for row, passage in enumerate(passages):
        first.setdefault(normal_form(passage), row)
    head = {"gemlet": "queries", "model": writer.name, "count": count, "asked": _fingerprint(_SYSTEM + _ASK)}
    found: list[Query] = []
    with closing(_Journal(journal, head)) as answers:
        for done, row in enumerate(first.values(), 1):
            key = _fingerprint(passages[row])
            if key not in answers.known:
                messages = _messages(passages[row], count)
                answers.add(key, _answer(writer.write(messages, max_tokens=_TOKENS * count), count))
            found += _read(answers.known[key], row, passages[row], count)
            tell(progress, done, len(first))
    return found


def round_trip(
    embedder: Embedder,
    passages: Sequence[str],
    queries: Sequence[Query],
    *,
    within: int = 1,
    task: str = "query",
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Query]:
    """The queries, with a reason against those that do not find their passage among the first so many of all.

    Raises InputError for `within` under 1, and what Embedder.encode() raises.
    """
    if within < 1:
        raise InputError(f"within is {within}: a passage is found at the first place, 1, or later")
    useful = [at for at, query in enumerate(queries) if not query.reason]
    if not useful:
        return list(queries)
    places: dict[str, int] = {}
    rows = [places.setdefault(normal_form(text), len(places)) for text in passages]
    texts = dict(zip(reversed(rows), reversed(passages), strict=True))
    stored = code_texts(embedder, [texts[row] for row in range(len(texts))], prompt_name="document", progress=progress)
    asked = code_texts(embedder, [queries[at].text for at in useful], prompt_name=task, progress=progress)
    near = nearest(asked, stored, within, threads=threads).rows
    result = list(queries)
    for at, found in zip(useful, near, strict=True):
        one = queries[at]
        if rows[one.passage] not in found:
            result[at] = Query(one.passage, one.text, "finds other passages first")
    return result


def _messages(passage: str, count: int) -> list[Message]:
    asked = _ASK.format(passage=passage[:_PASSAGE], count=count)
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": asked}]


def _answer(pieces: Iterator[str], count: int) -> str:
    """What a model writes, until there are more lines than were wanted: some never end."""
    written = ""
    for piece in pieces:
        written += piece
        *lines, _ = written.split("\n")
        if _NEXT in lines or sum(bool(line.strip()) for line in lines) >= 2 * count + 2:
            written = "\n".join(lines)  # whole ones
            break
    if isinstance(pieces, Generator):
        pieces.close()  # which stops the model
    return written


def _read(answer: str, row: int, passage: str, count: int) -> Iterator[Query]:
    """The queries in an answer; those behind the wanted number are left."""
    runs, seen, useful = _quoted(passage), set[str](), 0
    for line in answer.partition(f"\n{_NEXT}")[0].splitlines():
        text = _BULLET.sub("", line).strip(_QUOTES)
        if not text or useful == count:
            continue
        key = normal_form(text).casefold()
        reason = "written twice" if key in seen else _against(text, runs)
        seen.add(key)
        useful += not reason
        yield Query(row, text, reason)


def _against(text: str, runs: set[tuple[str, ...]]) -> str:
    words = words_of(text)
    if text.endswith((":", "：")) or not words:
        return "no query"
    if len(words) > _WORDS:
        return "too long"
    if words in map(words_of, _EXAMPLE.splitlines()):
        return "copies the example"
    return "copies the passage" if _quoted(text) & runs else ""


def _quoted(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[at : at + _COPIED]) for at in range(len(words) - _COPIED + 1)}


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class _Journal:
    """known: fingerprint of a passage → what the model answered. A line each, the first says what was asked."""

    def __init__(self, path: str | os.PathLike[str] | None, head: dict[str, object]) -> None:
        self.known: dict[str, str] = {}
        self._file: BinaryIO | None = None
        if path is None:
            return
        path = Path(path)
        try:
            whole = path.read_bytes() if path.exists() else b""
            whole = whole[: whole.rfind(b"\n") + 1]  # what a killed run began is no line
            if whole:
                self._remember(path, whole, head)
            self._file = open(path, "r+b" if path.exists() else "xb")  # noqa: SIM115 - closed by close()
            self._file.truncate(len(whole))
            self._file.seek(len(whole))
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from None
        if not whole:
            self._line(head)

    def add(self, key: str, answer: str) -> None:
        self.known[key] = answer
        self._line({"passage": key, "answer": answer})

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _remember(self, path: Path, whole: bytes, head: dict[str, object]) -> None:
        try:
            begun, *lines = [json.loads(line) for line in whole.splitlines()]
            answers = {str(line["passage"]): str(line["answer"]) for line in lines}
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path} is no journal of queries: take it away, or write to another file") from None
        if begun != head:
            raise InputError(
                f"{path} was begun with another model, number of queries or version: go on with the same, or delete it"
            )
        self.known.update(answers)

    def _line(self, value: dict[str, object]) -> None:
        if self._file:
            self._file.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            self._file.flush()
