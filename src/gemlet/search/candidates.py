"""Passages that may be hits, by vector and by word, in one order.   (query → candidates)"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemlet.relevance import WORTH, Curve, word_share
from gemlet.store import Filter, Searched
from gemlet.store.rows import Ids
from gemlet.store.words import match_terms
from gemlet.vectors import FloatArray

BY_VECTOR = 100
BY_WORD = 400
"""How many of each are put in one order: at least, and at least ten times the hits that are asked for."""


@dataclass(frozen=True)
class Candidate:
    """A passage and what speaks for it; see Hit."""

    id: int
    score: float
    probability: float | None
    cosine: float | None
    bm25: float | None
    semantic_rank: int | None
    keyword_rank: int | None


@dataclass(frozen=True)
class Pool:
    """Ids, best first: by vector with their cosines, by word with their BM25. `terms`: how many words were sought."""

    semantic: list[int]
    cosines: dict[int, float]
    keyword: list[int]
    bm25: dict[int, float]
    terms: int = 0


def by_vector(store: Searched, query: FloatArray, k: int, wanted: Filter, *, exact: bool) -> Pool:
    """The k passages closest to a unit vector [dim] float32."""
    rows = store.nearest(query, k, wanted, exact=exact)
    return Pool([row[0] for row in rows], dict(rows), [], {})


def by_word(store: Searched, query: str, k: int, wanted: Filter) -> Pool:
    """The k passages that BM25 puts first."""
    rows = store.keyword(query, k, wanted)
    return Pool([], {}, [row[0] for row in rows], dict(rows), len(match_terms(query)))


def fused(store: Searched, query: FloatArray, semantic: Pool, keyword: Pool, curve: Curve) -> list[Candidate]:
    """All of both pools in one order; a passage found by word alone gets its cosine, too."""
    cosines = semantic.cosines | _cosines(store, query, [i for i in keyword.keyword if i not in semantic.cosines])
    ids = list(cosines)
    bm25 = np.array([keyword.bm25.get(i, 0.0) for i in ids], np.float32)
    scores = np.array(list(cosines.values()), np.float32) + WORTH * word_share(bm25, keyword.terms, store.size())
    by_meaning, by_words = _ranks(semantic.semantic), _ranks(keyword.keyword)
    found = [
        Candidate(i, score, chance, cosines[i], weight, by_meaning.get(i), by_words.get(i))
        for i, score, chance, weight in zip(
            ids, scores.tolist(), curve.probability(scores).tolist(), bm25.tolist(), strict=True
        )
    ]
    return sorted(found, key=lambda c: (-c.score, c.id))


def semantic_alone(pool: Pool, curve: Curve | None) -> list[Candidate]:
    """Candidates by cosine; their probability is of the cosine alone, and None without a curve."""
    cosines = np.array([pool.cosines[i] for i in pool.semantic], np.float32)
    chances = [None] * len(cosines) if curve is None else curve.probability(cosines).tolist()
    return [
        Candidate(i, pool.cosines[i], chance, pool.cosines[i], None, rank, None)
        for rank, (i, chance) in enumerate(zip(pool.semantic, chances, strict=True), 1)
    ]


def keyword_alone(pool: Pool) -> list[Candidate]:
    """Candidates by BM25."""
    return [Candidate(i, pool.bm25[i], None, None, pool.bm25[i], None, rank) for rank, i in enumerate(pool.keyword, 1)]


def _cosines(store: Searched, query: FloatArray, ids: list[int]) -> dict[int, float]:
    """Of passages by their stored vectors; one that has left the index meanwhile is left out."""
    if not ids:
        return {}
    try:
        scales, codes = store.vectors(ids)
    except KeyError:
        return _cosines(store, query, [passage.id for passage in store.passages(ids)])
    rows: npt.NDArray[np.float32] = codes.astype(np.float32) * scales[:, None]
    return dict(zip(ids, map(float, rows @ query), strict=True))


def _ranks(ids: Sequence[int] | Ids) -> dict[int, int]:
    return {int(i): rank for rank, i in enumerate(ids, 1)}
