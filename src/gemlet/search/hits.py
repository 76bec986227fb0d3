"""What a search finds.   (results)"""

from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["hybrid", "semantic", "keyword"]


@dataclass(frozen=True)
class Hit:
    """A passage that was found.

    path           the first of the files that have this document; `paths` are all of them
    first_line     1-based, as is last_line; page, where there are pages, too
    title          of the document and the headings above the passage; None: there is none
    text           of the passage
    snippet        a part of the text; `marked` is where the sentence that matches best begins and ends in it
    line           where that sentence begins
    score          what the order goes by
    probability    that the passage answers the query; None where nothing was calibrated (keywords alone, `like`)
    cosine         between query and passage; None for keywords alone
    bm25           0 when the passage holds no word of the query; None for vectors alone
    semantic_rank  among all passages by cosine, 1-based; None: not among the first
    keyword_rank   the same by BM25
    words          the words of the query that the passage holds
    ord            the passage's place in its document, from 0
    """

    path: str
    first_line: int
    last_line: int
    page: int | None
    title: str | None
    text: str
    snippet: str
    marked: tuple[int, int]
    line: int
    score: float
    probability: float | None
    cosine: float | None
    bm25: float | None
    semantic_rank: int | None
    keyword_rank: int | None
    words: tuple[str, ...]
    kind: str
    language: str | None
    paths: tuple[str, ...]
    passage_id: int
    ord: int


@dataclass(frozen=True)
class Results:
    """The hits of a search, best first, and what there was to find.

    nearest   without any hit the best that were not likely enough to be one, at most three
    passages  how many passages the search could choose from
    """

    query: str
    mode: Mode
    task: str
    hits: list[Hit] = field(default_factory=list)
    nearest: list[Hit] = field(default_factory=list)
    passages: int = 0
