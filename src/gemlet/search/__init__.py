"""A query, or a file → the passages that match it, best first.   (index, query → Results)

hits.py        Hit and Results
candidates.py  by vector, by word, both in one order
snippets.py    the sentence that matches
like.py        a file's vector, for more like it
searchable.py  what is searched
"""

import os
from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np

from gemlet.errors import InputError
from gemlet.prompts import find_prompt
from gemlet.relevance import Curve, curve_for, least_match
from gemlet.search import candidates
from gemlet.search.candidates import BY_VECTOR, BY_WORD, Candidate
from gemlet.search.hits import Hit, Mode, Results
from gemlet.search.like import vector_of
from gemlet.search.searchable import Searchable
from gemlet.search.snippets import Snippet, folded_words, overlaps, shared_words, snippet_of, units
from gemlet.store import Filter, Searched, StoredPassage
from gemlet.vectors import FloatArray

NEAREST = 3
"""Shown, and named so, where nothing is likely enough."""

FIRST = 50
"""Passages, by their words, that may be hits for that they hold every word of the query."""

__all__ = ["Filter", "Hit", "Mode", "Results", "Searchable", "search"]


def search(
    index: Searchable,
    query: str = "",
    *,
    k: int = 10,
    mode: Mode = "hybrid",
    exact: bool = False,
    task: str = "query",
    wanted: Filter = Filter(),  # noqa: B008 - it cannot be changed
    like: str | os.PathLike[str] | None = None,
    min_probability: float | None = None,
    per_document: int = 1,
    keep_model: bool = True,
) -> Results:
    """Find the passages that answer a query, or that are like a file.

    query            words, a question, a claim; "quoted words" are looked for as they stand, among others
    k                hits at most
    mode             "hybrid" by vectors and words, "semantic" by vectors alone, "keyword" by words alone (no model)
    exact            scan every vector in 8 bits even when the index is so large that bits are scanned first
    task             the query's prompt: "query", "question answering", "fact checking", "code retrieval"
    wanted           only passages of files that pass this filter
    like             instead of a query: a file, in the index or not; its own passages are left out
    min_probability  leave out hits less likely than this, unless they hold all the query's words; None: what
                     relevance.least_match() says
    per_document     passages of one document at most
    keep_model       False: let go of the model once the query is embedded, before vectors are read: half of the memory

    Raises InputError for an argument, UnknownPrompt for a task, StoreError and its kin.
    """
    _check(query, k, mode, like, per_document)
    store = index.store
    passages = store.size()
    if not passages:
        return Results(query, mode, task)
    if mode == "keyword":
        found, own = candidates.keyword_alone(candidates.by_word(store, query, max(BY_WORD, 10 * k), wanted)), None
    else:
        vector, own = _vector(index, query, task, like)
        if not keep_model:
            index.release()
        curve = None if like is not None else curve_for(task, index.dim, words=mode == "hybrid")
        found = _candidates(store, query, vector, k, mode, exact, wanted, curve)
    pairs = _spread(_passages(store, found, 4 * k), per_document, own)
    least = least_match(task) if min_probability is None else min_probability
    hits, nearest = _chosen(pairs, folded_words(query), k, least)
    return Results(query, mode, task, hits, nearest, passages)


def _check(query: str, k: int, mode: Mode, like: str | os.PathLike[str] | None, per_document: int) -> None:
    """Raise InputError for arguments that do not go together."""
    if k < 1 or per_document < 1:
        raise InputError(f"k is {k} and per_document {per_document}: both must be 1 or more")
    if mode not in get_args(Mode):
        raise InputError(f"mode is {mode!r}; available: {', '.join(get_args(Mode))}")
    if like is None and not query.strip():
        raise InputError("the query is empty: say what to look for")
    if like is not None and (query.strip() or mode == "keyword"):
        raise InputError("`like` goes by vectors, and takes the place of a query")


def _vector(
    index: Searchable, query: str, task: str, like: str | os.PathLike[str] | None
) -> tuple[FloatArray, int | None]:
    """What to look for, [dim] float32, and the document that is not to be found: the file that hits are to be like."""
    if like is not None:
        return vector_of(index, like)
    embedder = index.embedder
    find_prompt(embedder.prompts, task)
    vector = embedder.encode_query(query, prompt_name=task, truncate_dim=index.dim)
    return np.ascontiguousarray(vector, np.float32), None


def _candidates(
    store: Searched,
    query: str,
    vector: FloatArray,
    k: int,
    mode: Mode,
    exact: bool,
    wanted: Filter,
    curve: Curve | None,
) -> list[Candidate]:
    """Candidates in order, by the vector, and by the query's words too unless it is by a file."""
    pool = candidates.by_vector(store, vector, max(BY_VECTOR, 10 * k), wanted, exact=exact)
    if mode == "semantic" or curve is None:
        return candidates.semantic_alone(pool, curve)
    return candidates.fused(store, vector, pool, candidates.by_word(store, query, max(BY_WORD, 10 * k), wanted), curve)


def _passages(store: Searched, found: Sequence[Candidate], step: int) -> Iterator[tuple[Candidate, StoredPassage]]:
    """The candidates with their passages, read as far as they are asked for."""
    for begin in range(0, len(found), step):
        part = found[begin : begin + step]
        passages = {passage.id: passage for passage in store.passages([candidate.id for candidate in part])}
        yield from ((candidate, passages[candidate.id]) for candidate in part if candidate.id in passages)


def _spread(
    pairs: Iterator[tuple[Candidate, StoredPassage]], per_document: int, own: int | None
) -> Iterator[tuple[Candidate, StoredPassage]]:
    """The pairs, of each document the first few, and none of the document `own`."""
    seen: dict[int, int] = {}
    for candidate, passage in pairs:
        count = seen[passage.document_id] = seen.get(passage.document_id, 0) + 1
        if count <= per_document and passage.document_id != own:
            yield candidate, passage


def _chosen(
    pairs: Iterator[tuple[Candidate, StoredPassage]], asked: list[str], k: int, least: float
) -> tuple[list[Hit], list[Hit]]:
    """The first k that are likely enough, or hold every word; without any, the first of all as the nearest."""
    hits: list[Hit] = []
    nearest: list[tuple[Candidate, StoredPassage]] = []
    for candidate, passage in pairs:
        likely = candidate.probability is None or candidate.probability >= least
        if likely or _says_all(candidate, passage, asked):
            hits.append(_hit(candidate, passage, asked))
            if len(hits) == k:
                break
        if len(nearest) < min(k, NEAREST):
            nearest.append((candidate, passage))
    return hits, [] if hits else [_hit(candidate, passage, asked) for candidate, passage in nearest]


def _hit(candidate: Candidate, passage: StoredPassage, asked: Sequence[str]) -> Hit:
    snippet = _snippet(passage, asked)
    return Hit(
        path=passage.paths[0],
        first_line=passage.first_line,
        last_line=passage.last_line,
        page=passage.page,
        title=passage.title,
        text=passage.text,
        snippet=snippet.text,
        marked=snippet.marked,
        line=min(passage.first_line + snippet.line, passage.last_line),
        score=candidate.score,
        probability=candidate.probability,
        cosine=candidate.cosine,
        bm25=candidate.bm25,
        semantic_rank=candidate.semantic_rank,
        keyword_rank=candidate.keyword_rank,
        words=tuple(_held(passage, asked)),
        kind=passage.kind,
        language=passage.language,
        paths=passage.paths,
        passage_id=passage.id,
        ord=passage.ord,
    )


def _snippet(passage: StoredPassage, asked: Sequence[str]) -> Snippet:
    code = passage.kind == "code"
    spans = units(passage.text, code)
    said = overlaps(asked, passage.text, spans)
    return snippet_of(passage.text, spans, said.index(max(said)), code=code)


def _says_all(candidate: Candidate, passage: StoredPassage, asked: Sequence[str]) -> bool:
    """Whether a passage holds every word of the query, as a name or a number is looked for."""
    if not asked or candidate.keyword_rank is None or candidate.keyword_rank > FIRST:
        return False
    return len(_held(passage, asked)) == len(set(asked))


def _held(passage: StoredPassage, asked: Sequence[str]) -> list[str]:
    """The words of the query that the passage, or its title, holds."""
    return shared_words(asked, folded_words(f"{passage.title or ''}\n{passage.text}"))
