"""Clusters → the words that tell them apart.   (texts, labels → words)

As in class-based TF-IDF (BERTopic, Grootendorst 2022, arXiv 2203.05794) the texts of a cluster are one document, and
its words of highest weight name it. A weight is how often the word occurs in the cluster, times how rare it is in all
texts, times how much more often it is here than by chance (both logarithms; the last makes it Dunning's likelihood
ratio of 1993). So a word that is everywhere weighs nothing, in any language, and no list of such words is needed. A
text counts a word once, so that none shouts.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from gemlet.clustering.spherical import IntArray
from gemlet.store.words import words

WORDS = 3
"""In a name."""

_WEAK = 0.35  # of the first word's weight: less adds nothing to a name
_LONG = 4  # letters of a word whose other forms add nothing to a name
_READ = 5_000  # characters of a text that are read for words


def telling_words(texts: Sequence[str], labels: IntArray, count: int, most: int = WORDS) -> list[list[str]]:
    """For each of `count` clusters its most telling words, the best first; none where nothing tells it apart.

    Noise, labelled -1, is among what the clusters are told apart from.
    """
    counts: list[Counter[str]] = [Counter() for _ in range(count + 1)]
    for text, label in zip(texts, labels.tolist(), strict=True):
        counts[label].update(set(_words(text)))
    every = sum(counts, Counter())
    shares = [int((labels == number).sum()) / len(labels) for number in range(count)]
    return [_best(_weights(own, every, len(texts), share), most) for own, share in zip(counts, shares, strict=False)]


def _weights(own: Counter[str], every: Counter[str], rows: int, share: float) -> dict[str, float]:
    """Of a cluster's words; those of one text only if all are."""
    least = 2 if any(n > 1 for n in own.values()) else 1
    return {
        word: n * math.log((rows + 1) / every[word]) * math.log(n / (every[word] * share))
        for word, n in own.items()
        if n >= least
    }


def _best(weights: dict[str, float], most: int) -> list[str]:
    """The words of highest weight, none far below the first; of several forms of one word, one."""
    least = max(1e-9, _WEAK * max(weights.values(), default=0))
    chosen: list[str] = []
    for word in sorted((word for word in weights if weights[word] > least), key=lambda word: (-weights[word], word)):
        if not any(_same(word, other) for other in chosen):
            chosen.append(word)
            if len(chosen) == most:
                break
    return chosen


def _same(word: str, other: str) -> bool:
    """Whether one is the beginning of the other, as in "card" and "cards"."""
    short, long = sorted((word, other), key=len)
    return len(short) >= _LONG and long.startswith(short)


def _words(text: str) -> Iterator[str]:
    """Words in lower case; of scripts without spaces, pairs of neighbouring letters.

    In scripts that have capitals, and so spell sounds, words of one or two letters say too little.
    """
    spaced = "".join(c if _letter(c) else " " for c in words(text[:_READ]).casefold())
    return (word for word in spaced.split() if len(word) > (1 if word == word.upper() else 2))


@cache
def _letter(character: str) -> bool:
    """Letters, and the marks that stand on them, without which Hindi falls apart."""
    return unicodedata.category(character)[0] in "LM"
