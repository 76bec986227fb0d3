"""One's own data: what is measured, checked.   (texts, judgements, places → Retrieval, Pairs, Labelled)

A mistake is one line that says the file, the line and the cure. Places are the files' ("docs.jsonl:7"); data of a
program's own has none, and its ids stand for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError

LEAST_PAIRS = 3
"""Fewer have no correlation worth its name."""


@dataclass(frozen=True)
class Entry:
    """A query or a document. place: where it stands, for messages."""

    id: str
    text: str
    title: str | None = None
    place: str = ""


@dataclass(frozen=True)
class Judgement:
    """How relevant a document is for a query: grade over 0. place: where that stands."""

    query: str
    document: str
    grade: int
    place: str = ""


@dataclass(frozen=True)
class Retrieval:
    """Queries that each have a relevant document.

    queries    those that are measured
    documents  all that are searched
    grades     for each query: row of a document → grade
    notes      what was left out, a line each
    """

    queries: list[Entry]
    documents: list[Entry]
    grades: list[dict[int, int]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Pairs:
    """Two texts and how alike they are said to be: [n] each; places for messages."""

    left: list[str]
    right: list[str]
    scores: npt.NDArray[np.float64]
    places: list[str]

    @property
    def binary(self) -> bool:
        """Whether the scores are 0 and 1 alone."""
        return bool(np.isin(self.scores, (0, 1)).all())


@dataclass(frozen=True)
class Labelled:
    """Texts and a label of each: [n] each; places for messages."""

    texts: list[str]
    labels: list[str]
    places: list[str]


def as_retrieval(queries: Sequence[Entry], documents: Sequence[Entry], judgements: Sequence[Judgement]) -> Retrieval:
    """Put them together; queries without a relevant document are left out with a note.

    Raises InputError for no queries or documents, an id that is there twice or that only a judgement has, a document
    judged twice for a query, and when no query is left.
    """
    asked, stored = _by_id(queries, "query"), _by_id(documents, "document")
    grades: list[dict[int, int]] = [{} for _ in queries]
    first: dict[tuple[str, str], str] = {}
    for one in judgements:
        _check_known(one, asked, stored)
        key = one.query, one.document
        if key in first:
            raise InputError(
                f"{one.place or 'a judgement'} judges document {one.document!r} for query {one.query!r} a second time"
                f"{f', after {first[key]}' if first[key] else ''}: keep one of them"
            )
        first[key] = one.place
        grades[asked[one.query]][stored[one.document]] = one.grade
    kept = [row for row, grade in enumerate(grades) if any(value > 0 for value in grade.values())]
    without = [query for row, query in enumerate(queries) if row not in set(kept)]
    if not kept:
        raise InputError(
            f"none of the {len(queries)} queries has a relevant document (a grade over 0): judge some for them"
        )
    return Retrieval([queries[row] for row in kept], list(documents), [grades[row] for row in kept], _left_out(without))


def entries_of(texts: Mapping[str, str | tuple[str | None, str]]) -> list[Entry]:
    """Id → text, or (title, text), as Entries."""
    return [
        Entry(key, value) if isinstance(value, str) else Entry(key, value[1], value[0]) for key, value in texts.items()
    ]


def judgements_of(qrels: Mapping[str, Mapping[str, int]]) -> list[Judgement]:
    """Query → document → grade, as pytrec_eval has it, as Judgements."""
    return [Judgement(query, key, grade) for query, row in qrels.items() for key, grade in row.items()]


def as_pairs(left: Sequence[str], right: Sequence[str], scores: Sequence[float], places: Sequence[str] = ()) -> Pairs:
    """Check them. Raises InputError for a NaN, for fewer than three pairs, and for scores that are all the same."""
    numbers = np.asarray(scores, np.float64)
    if not len(left) == len(right) == len(numbers):
        raise InputError(
            f"there are {len(left)} and {len(right)} texts and {len(numbers)} scores: pass as many of each"
        )
    if len(left) < LEAST_PAIRS:
        raise InputError(f"{_file_of(places)}a correlation needs {LEAST_PAIRS} pairs or more, not {len(left)}")
    odd = np.flatnonzero(~np.isfinite(numbers))
    if len(odd):
        place = places[odd[0]] if places else f"pair {odd[0]}"
        raise InputError(f"{place} has the score {numbers[odd[0]]}: give it a number, or take the pair out")
    if (numbers == numbers[0]).all():
        raise InputError(
            f"{_file_of(places)}all {len(left)} pairs have the score {numbers[0]:g}: a correlation needs "
            "pairs that are less alike and pairs that are more"
        )
    if len(set(zip(left, right, strict=True))) == 1:
        raise InputError(f"{_file_of(places)}all {len(left)} pairs are the same two texts: there is nothing to compare")
    return Pairs(list(left), list(right), numbers, list(places) or [f"pair {row}" for row in range(len(left))])


def as_labelled(texts: Sequence[str], labels: Sequence[str], places: Sequence[str] = ()) -> Labelled:
    """Check them. Raises InputError for one label only, or labels that have one text each."""
    if len(texts) != len(labels):
        raise InputError(f"there are {len(texts)} texts and {len(labels)} labels: pass a label for each text")
    where, kinds = _file_of(places), sorted(set(labels))
    if len(kinds) < 2:
        rows = "there are no texts" if not kinds else f"every text is {kinds[0]!r}"
        raise InputError(f"{where}{rows}: it takes two labels or more, with two texts each")
    if len(kinds) == len(labels):
        raise InputError(f"{where}each of the {len(texts)} texts has a label of its own: it takes two texts with one")
    differing = len(set(texts))
    if differing < len(kinds):
        same = f"all {len(texts)} texts are the same" if differing == 1 else f"there are {differing} different texts"
        raise InputError(f"{where}{same} for {len(kinds)} labels: nothing in them tells the labels apart")
    return Labelled(list(texts), list(labels), list(places) or [f"text {row}" for row in range(len(texts))])


def _by_id(entries: Sequence[Entry], what: str) -> dict[str, int]:
    if not entries:
        raise InputError(f"there is no {what} to measure with: give one at least")
    found: dict[str, int] = {}
    for row, entry in enumerate(entries):
        if entry.id in found:
            before = entries[found[entry.id]].place
            raise InputError(
                f"{entry.place or what} has the id {entry.id!r}{f', as {before} has' if before else ' a second time'}: "
                "ids must differ, rename one or take it out"
            )
        found[entry.id] = row
    return found


def _check_known(one: Judgement, queries: Mapping[str, int], documents: Mapping[str, int]) -> None:
    for what, key, own, other in (
        ("query", one.query, queries, documents),
        ("document", one.document, documents, queries),
    ):
        if key not in own:
            swapped = key in other and (one.document if what == "query" else one.query) in own
            cure = "are the columns the other way round?" if swapped else "add it there, or take the line out"
            files = "queries" if what == "query" else "documents"
            raise InputError(
                f"{one.place or 'a judgement'} names the {what} {key!r}, which is not among the {files}: {cure}"
            )


def _left_out(without: Sequence[Entry]) -> list[str]:
    if not without:
        return []
    first = without[0].place or repr(without[0].id)
    count = "1 query has" if len(without) == 1 else f"{len(without)} queries have"
    named = f"{first}, {without[0].id!r}" if without[0].place else first
    return [
        f"{count} no relevant document and {'is' if len(without) == 1 else 'are'} left out "
        f"({'the first: ' if len(without) > 1 else ''}{named}): judge a document over 0 for it, or take it out"
    ]


def _file_of(places: Sequence[str]) -> str:
    """The file that a place names, to begin a message with."""
    return f"{places[0].rpartition(':')[0] or places[0].partition(', row ')[0]}: " if places else ""
