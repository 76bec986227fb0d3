"""Texts and queries → words, for databases that have no FTS5.   (text → words → tsvector, weights)

The words are those that the embedded index finds: without case and accents, runs of scripts that write no spaces as
pairs of letters. BM25 is FTS5's: k1 = 1.2, b = 0.75.   Source: Robertson and Zaragoza 2009, The Probabilistic
Relevance Framework, section 3
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from gemlet.store.words import beginnings, match_terms, words

K1 = 1.2
B = 0.75

AVERAGE = 120.0
"""Words of an average passage, where a passage is weighed before all are known."""

_LONGEST = 80  # letters of a word that count
_PLACES = 16_383  # the last place that a tsvector tells apart
_MANY = 255  # places of one word that a tsvector keeps
_TOKEN = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]")


@dataclass(frozen=True)
class Term:
    """What a query looks for: a word, the words of a phrase in their order, or how words begin."""

    parts: tuple[str, ...]
    beginning: bool = False

    @property
    def tsquery(self) -> str:
        """As PostgreSQL's tsquery."""
        return " <-> ".join(f"'{part}'" for part in self.parts) + (":*" if self.beginning else "")


def tokens(text: str) -> list[str]:
    """The words of a text, in order: letters, digits and marks, and so nothing that SQL would have to quote."""
    return _folded(words(text))


def terms_of(query: str) -> tuple[list[Term], list[Term]]:
    """(the query's words and phrases, beginnings of other forms of its words)."""
    sought = match_terms(query)
    return _terms(sought), _terms(beginnings(sought))


def tsvector(found: list[str]) -> str:
    """Words as PostgreSQL reads a tsvector: each with its places."""
    places: dict[str, list[int]] = {}
    for place, word in enumerate(found, 1):
        if place <= _PLACES and len(at := places.setdefault(word, [])) < _MANY:
            at.append(place)
    return " ".join(f"'{word}':{','.join(map(str, at))}" for word, at in places.items())


def weights(found: list[str]) -> tuple[list[int], list[float]]:
    """(numbers, BM25 without the rarity) of a passage's words; two words of one number are one, of 4 billion."""
    counts = Counter(number_of(word) for word in found)
    length = 1 - B + B * len(found) / AVERAGE
    return list(counts), [n * (K1 + 1) / (n + K1 * length) for n in counts.values()]


def number_of(word: str) -> int:
    """A word's number, of 32 bits."""
    return int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=4).digest(), "big")


def rarity(having: int, passages: int) -> float:
    """What a word weighs that so many passages have, as FTS5 has it: never nothing."""
    return max(1e-6, math.log((passages - having + 0.5) / (having + 0.5)))


def _terms(sought: Iterable[str]) -> list[Term]:
    return [term for term in map(_term, sought) if term.parts]


def _term(sought: str) -> Term:
    """Of one of FTS5's strings."""
    beginning = sought.endswith('" *')
    return Term(tuple(_folded(sought[1 : -3 if beginning else -1])), beginning)


def _folded(text: str) -> list[str]:
    """Words without case, and without the accents of Latin, Greek and Cyrillic."""
    if text.isascii():
        return [word[:_LONGEST] for word in _TOKEN.findall(text.lower())]
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return [word[:_LONGEST] for word in _runs(plain)]


def _runs(text: str) -> Iterator[str]:
    r"""Letters and digits with the marks on them: \w leaves out the vowel signs of Hindi, and it would fall apart."""
    run = ""
    for c in text:
        category = unicodedata.category(c)
        if category[0] in "LN" or (run and category in ("Mn", "Mc")):
            run += c
        elif run:
            yield run
            run = ""
    if run:
        yield run
