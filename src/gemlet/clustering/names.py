"""Clusters → the words that tell them apart.   (texts, labels → words)

Class-based TF-IDF, Grootendorst 2022 (BERTopic, arXiv 2203.05794): a cluster's texts are one document. A text counts a
word once, so that none shouts; and the weight of a word over all clusters is BM25's, which is nothing for a word that
is everywhere: no list of stop words, in any language.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from gemlet.clustering.kmeans import IntArray
from gemlet.store.words import words

WORDS = 3
"""In a name."""

_LONG = 4  # letters of a word whose other forms add nothing to a name
_READ = 5_000  # characters of a text that are read for words


def telling_words(texts: Sequence[str], labels: IntArray, count: int, most: int = WORDS) -> list[list[str]]:
    """For each of `count` clusters its most telling words, the best first; none where nothing tells it apart."""
    counts: list[Counter[str]] = [Counter() for _ in range(count)]
    for text, label in zip(texts, labels.tolist(), strict=True):
        if label >= 0:
            counts[label].update(set(_words(text)))
    every = sum(counts, Counter())
    average = sum(every.values()) / max(count, 1)
    return [_best(own, every, average, most) for own in counts]


def _best(own: Counter[str], every: Counter[str], average: float, most: int) -> list[str]:
    """The words of highest weight; of several forms of one word, the first."""
    total = sum(own.values())
    weights = {word: math.sqrt(n / total) * _rarity(every[word], average) for word, n in own.items()}
    chosen: list[str] = []
    for word in sorted((word for word in weights if weights[word] > 0), key=lambda word: (-weights[word], word)):
        if not any(_same(word, other) for other in chosen):
            chosen.append(word)
            if len(chosen) == most:
                break
    return chosen


def _rarity(count: int, average: float) -> float:
    """BM25's inverse frequency over clusters: BERTopic's option bm25_weighting."""
    return math.log(1 + max(average - count + 0.5, 0) / (count + 0.5))


def _same(word: str, other: str) -> bool:
    """Whether one is the beginning of the other, as in "card" and "cards"."""
    short, long = sorted((word, other), key=len)
    return len(short) >= _LONG and long.startswith(short)


def _words(text: str) -> Iterator[str]:
    """Words of two letters or more, in lower case; of scripts without spaces, pairs of neighbouring letters."""
    spaced = "".join(c if _letter(c) else " " for c in words(text[:_READ]).casefold())
    return (word for word in spaced.split() if len(word) > 1)


@cache
def _letter(character: str) -> bool:
    """Letters, and the marks that stand on them, without which Hindi falls apart."""
    return unicodedata.category(character)[0] in "LM"
