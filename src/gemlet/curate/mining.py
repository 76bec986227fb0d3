"""Pairs → negatives that are hard: texts near to an anchor that are no answer to it.   (pairs, corpus → Mined)

Every text of the corpus is compared with every anchor, by vectors in 8 bits (pairs/neighbours.py). Of the nearest,
those are taken that a rule lets pass. What is nearly as near as the positive is often an answer that nobody marked as
one: the limit is a share of the positive's cosine, or a margin below it. Source: Moreira et al. 2024, "NV-Retriever:
Improving text embedding models with effective hard-negative mining", arXiv 2407.15831: TopK-PercPos with 0.95, and
TopK-MarginPos.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from gemlet.embedder import Embedder
from gemlet.errors import InputError
from gemlet.pairs import Coded, code_texts, nearest, normal_form
from gemlet.pairs.coded import Ids, Progress, tell
from gemlet.pairs.comparing import LEFT, blocks
from gemlet.vectors import FloatArray

Sample = Literal["hardest", "random"]


@dataclass(frozen=True)
class Rule:
    """Which texts are taken.

    count   negatives of a pair
    skip    so many of the nearest are passed over; those that are known as positives do not count
    depth   so many behind those are looked at
    share   a negative's cosine is below this share of the positive's; None: no such limit
    margin  and below the positive's less this; None: no such limit
    sample  "hardest": the nearest that are left; "random": any of them, by the seed and the row
    """

    count: int = 1
    skip: int = 0
    depth: int = 100
    share: float | None = 0.95
    margin: float | None = None
    sample: Sample = "hardest"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or self.skip < 0 or self.depth < self.count:
            raise InputError(
                f"count is {self.count}, skip {self.skip}, depth {self.depth}: "
                "count is 1 or more, skip 0 or more, depth no less than count"
            )
        if self.share is not None and not 0 <= self.share <= 1:
            raise InputError(f"share is {self.share}: it is of the positive's cosine, between 0 and 1")
        if self.margin is not None and not 0 <= self.margin <= 2:
            raise InputError(f"margin is {self.margin}: it is a difference of cosines, between 0 and 2")
        if self.sample not in get_args(Sample):
            raise InputError(f"sample is {self.sample!r}; available: {', '.join(get_args(Sample))}")

    def ceiling(self, positive: float) -> float:
        """The cosine that a negative must stay below."""
        limits = [float("inf")]
        if self.share is not None:
            limits.append(positive - (1 - self.share) * abs(positive))
        if self.margin is not None:
            limits.append(positive - self.margin)
        return min(limits)


@dataclass(frozen=True)
class Mined:
    """What was found for each pair.

    corpus     the texts that were searched, each once
    negatives  for each pair rows of the corpus, the nearest first; maybe fewer than wanted
    scores     their cosines with the anchor
    positive   [pairs] float32: the cosine of anchor and positive
    too_near   [pairs] int64: texts of the window that the positive's limit kept out
    """

    corpus: list[str]
    negatives: list[list[int]]
    scores: list[list[float]]
    positive: FloatArray
    too_near: Ids


def mine(
    embedder: Embedder,
    anchors: Sequence[str],
    positives: Sequence[str],
    corpus: Sequence[str] | None = None,
    rule: Rule | None = None,
    *,
    task: str = "query",
    truncate_dim: int | None = None,
    threads: int | None = None,
    embedding: Progress | None = None,
    comparing: Progress | None = None,
) -> Mined:
    """Find negatives for pairs. Never one is a positive of the same anchor, nor the anchor itself.

    anchors, positives  one pair a row; an anchor may be there several times, with a positive each
    corpus              texts to take negatives from; None: all positives
    task                the name of the anchors' prompt; the others have the one for documents

    Raises InputError for no pairs, a corpus without a text, and what Embedder.encode() raises.
    """
    if len(anchors) != len(positives) or not anchors:
        raise InputError(f"there are {len(anchors)} anchors and {len(positives)} positives: each pair has both")
    rule = rule or Rule()
    places = _places(positives if corpus is None else corpus)
    if not places:
        raise InputError("the corpus has no text to take negatives from")
    texts = list(places.values())
    extra = [text for key, text in _places(positives).items() if key not in places]
    asked = list(dict.fromkeys(anchors))
    total = len(asked) + len(texts) + len(extra)
    queries = code_texts(
        embedder, asked, prompt_name=task, truncate_dim=truncate_dim, progress=_from(embedding, 0, total)
    )
    stored = code_texts(
        embedder,
        [*texts, *extra],
        prompt_name="document",
        truncate_dim=truncate_dim,
        progress=_from(embedding, len(asked), total),
    )
    at = {key: row for row, key in enumerate([*places, *map(_key, extra)])}
    search = _Search(rule, queries, stored.take(slice(0, len(texts))), at, threads)
    return search.run(anchors, positives, asked, texts, stored, comparing)


@dataclass(frozen=True)
class _Search:
    """rule, vectors of the different anchors and of the corpus, and in which row a text with such a key is."""

    rule: Rule
    queries: Coded
    corpus: Coded
    at: dict[str, int]
    threads: int | None

    def run(
        self,
        anchors: Sequence[str],
        positives: Sequence[str],
        asked: list[str],
        texts: list[str],
        stored: Coded,
        progress: Progress | None,
    ) -> Mined:
        pairs: dict[str, list[int]] = {text: [] for text in asked}
        for pair, anchor in enumerate(anchors):
            pairs[anchor].append(pair)
        right = np.array([self.at[_key(text)] for text in positives], np.int64)
        of = np.repeat(np.arange(len(asked)), [len(pairs[text]) for text in asked])
        order = np.array([pair for text in asked for pair in pairs[text]], np.int64)
        cosines = np.empty(len(anchors), np.float32)
        cosines[order] = _cosines(self.queries, of, stored, right[order])
        known = self._known(anchors, right)
        found = Mined(texts, [[] for _ in anchors], [[] for _ in anchors], cosines, np.zeros(len(anchors), np.int64))
        k = min(self.rule.skip + self.rule.depth + max(map(len, known.values())), len(texts))
        for part in blocks(len(asked), LEFT):
            near = nearest(self.queries.take(part), self.corpus, k, threads=self.threads)
            for text, rows, scores in zip(asked[part], near.rows, near.score, strict=True):
                others = ~np.isin(rows, list(known[_key(text)]))
                window = slice(self.rule.skip, self.rule.skip + self.rule.depth)
                for pair in pairs[text]:
                    self._take(found, pair, rows[others][window], scores[others][window])
            tell(progress, part.stop, len(asked))
        return found

    def _known(self, anchors: Sequence[str], right: Ids) -> dict[str, set[int]]:
        """The rows that are no negatives of an anchor, by its key: its positives, and itself."""
        known: dict[str, set[int]] = {}
        for anchor, row in zip(anchors, right.tolist(), strict=True):
            key = _key(anchor)
            known.setdefault(key, {self.at[key]} if key in self.at else set()).add(row)
        return known

    def _take(self, found: Mined, pair: int, rows: Ids, scores: FloatArray) -> None:
        passes = scores < self.rule.ceiling(float(found.positive[pair]))
        found.too_near[pair] = int((~passes).sum())
        left = np.flatnonzero(passes)
        if self.rule.sample == "random" and len(left) > self.rule.count:
            left = np.sort(np.random.default_rng([self.rule.seed, pair]).permutation(left)[: self.rule.count])
        left = left[: self.rule.count]
        found.negatives[pair].extend(rows[left].tolist())
        found.scores[pair].extend(scores[left].tolist())


def _cosines(a: Coded, rows: Ids, b: Coded, others: Ids) -> FloatArray:
    """[pairs] float32: a row of a with a row of b, as the engine has them: sums of integers below 2**24 are exact."""
    found = np.empty(len(rows), np.float32)
    for part in blocks(len(rows), LEFT):
        left, right = rows[part], others[part]
        sums = np.einsum("ij,ij->i", a.codes[left].astype(np.float32), b.codes[right].astype(np.float32))
        found[part] = sums * a.scales[left] * b.scales[right]
    return found


def _places(texts: Sequence[str]) -> dict[str, str]:
    """Key → the first text that has it."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(_key(text), text)
    return found


def _key(text: str) -> str:
    """What two texts have in common that are the same to a reader."""
    return normal_form(text).casefold()


def _from(progress: Progress | None, done: int, total: int) -> Progress | None:
    return (lambda at, _: progress(done + at, total)) if progress else None
