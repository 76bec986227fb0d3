"""The sentence of a passage that matches, and some text around it.   (passage, query → snippet)"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gemlet.passages import sentences
from gemlet.store.words import words

WIDTH = 240  # characters of a snippet at least, where the passage has as many
MOST = 720  # of one sentence in it
LONGEST = 300  # characters of a sentence: a longer one is taken line by line

_WORD = re.compile(r"\w+")
_LINE = re.compile(r"[^\s][^\n]*")
_ALIKE = 0.4  # of their letters two forms of one word share at least
_EMPTY = 0.1  # what a word of one or two letters counts beside a longer one

Span = tuple[int, int]


@dataclass(frozen=True)
class Snippet:
    """A part of a passage's text; `marked` is a span in it, `line` the number of line breaks before what is marked."""

    text: str
    marked: Span
    line: int


def folded_words(text: str) -> list[str]:
    """The words of a text without case and accents, in order; runs of scripts without spaces as pairs of letters."""
    if text.isascii():
        return _WORD.findall(text.lower())
    plain = unicodedata.normalize("NFKD", words(text).casefold())
    return _WORD.findall("".join(c for c in plain if not unicodedata.combining(c)))


def shared_words(query: Sequence[str], text: Sequence[str]) -> list[str]:
    """The words of a query that a text holds, each once, in the query's order."""
    held = set(text)
    return [word for word in dict.fromkeys(query) if word in held]


def units(text: str, code: bool) -> list[Span]:
    """What may be marked: sentences, the lines of what is no sentence but a table or a list, and those of code."""
    if code:
        spans = _lines(text, 0, len(text))
    else:
        spans = []
        for begin, end in sentences(text):
            spans += [(begin, end)] if end - begin <= LONGEST else _lines(text, begin, end)
    return spans or [(0, len(text))]


def _lines(text: str, begin: int, end: int) -> list[Span]:
    """The lines that are more than brackets."""
    return [found.span() for found in _LINE.finditer(text, begin, end) if _WORD.search(found[0])]


def overlaps(query: Sequence[str], text: str, spans: Sequence[Span]) -> list[float]:
    """For each span how much of the query it says, from 0 to 1.

    A word counts more the fewer of the spans have it; another form of it counts less.
    """
    parts = [set(folded_words(text[begin:end])) for begin, end in spans]
    every = set().union(*parts)
    said, total = [0.0] * len(parts), 0.0
    for word in dict.fromkeys(query):
        forms = _forms(word, every)
        weight = _weight(word, sum(word in part for part in parts))
        total += weight
        for number, part in enumerate(parts):
            said[number] += weight * max((forms[other] for other in forms.keys() & part), default=0.0)
    return [value / total for value in said] if total else said


def snippet_of(text: str, spans: Sequence[Span], best: int, *, code: bool = False) -> Snippet:
    """The best span and, up to WIDTH characters, what stands around it: first what follows, as reading goes on."""
    first = last = best
    begin, end = _shortened(text, spans[best])
    marked = (begin, end)
    while end - begin < WIDTH:
        if last + 1 < len(spans) and (last - best <= best - first or first == 0):
            last += 1
            end = _shortened(text, spans[last])[1]
        elif first > 0:
            first -= 1
            begin = spans[first][0] if spans[first][1] - spans[first][0] <= MOST else begin
        else:
            break
    if code:
        begin = text.rfind("\n", 0, begin) + 1  # with its indentation
    return Snippet(text[begin:end], (marked[0] - begin, marked[1] - begin), text.count("\n", 0, marked[0]))


def _shortened(text: str, span: Span) -> Span:
    """The span, or its beginning up to the last word that ends within MOST characters."""
    begin, end = span
    if end - begin <= MOST:
        return span
    space = text.rfind(" ", begin + MOST // 2, begin + MOST)
    return begin, space if space > begin else begin + MOST


def _weight(word: str, having: int) -> float:
    """Of a word that so many spans have."""
    return (_EMPTY if len(word) < 3 and word.isascii() else 1.0) / (1 + having)


def _forms(word: str, every: set[str]) -> dict[str, float]:
    """The word, and other forms of it, with the square of what letters they share, three by three: 1 for the same."""
    if len(word) < 3:
        return {word: 1.0} if word in every else {}
    letters = _triples(word)
    alike = {other: 2 * len(letters & own) / (len(letters) + len(own)) for other in every if (own := _triples(other))}
    return {other: like * like for other, like in alike.items() if like >= _ALIKE}


@lru_cache(50_000)
def _triples(word: str) -> frozenset[str]:
    """With marks for where a word begins and ends."""
    marked = f"<{word}>"
    return frozenset(marked[i : i + 3] for i in range(len(marked) - 2))
