"""A document → passages that the model takes, each with its place.   (chapter 13: Document → list of Passage)"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gemlet.documents import Document

CHUNKER = 1
"""Version of what split() does: one more whenever the same document would make other passages."""

Count = Callable[[Sequence[str]], Sequence[int]]


@dataclass(frozen=True)
class Passage:
    """A piece of a document that is embedded as one text.

    title       of the document, then the headings above: "Guide > Install > On Windows"; None: there is none
    first_line  1-based, as in Block; last_line is the line that the last character is in
    page        where it begins
    """

    text: str
    title: str | None
    first_line: int
    last_line: int
    page: int | None


def sentences(text: str) -> list[tuple[int, int]]:
    """Where each sentence of a text begins and ends, in code points."""
    return [match.span() for match in re.finditer(r"\S.*?(?:[.!?]+(?=\s)|$)", text, re.S)]


def split(document: Document, count: Count, *, tokens: int = 512, overlap: int = 0) -> list[Passage]:
    """Cut a document into passages of at most `tokens`, as `count` counts the tokens of texts."""
    passages: list[Passage] = []
    counts = count([block.text for block in document.blocks])
    parts: list[str] = []
    total, first, last = 0, 1, 1
    for block, size in zip(document.blocks, counts, strict=True):
        if parts and total + size > tokens:
            passages.append(Passage("\n\n".join(parts), document.title, first, last, None))
            parts, total = [], 0
        first = first if parts else block.line
        parts.append(block.text)
        total += size
        last = block.line + block.text.count("\n")
    if parts:
        passages.append(Passage("\n\n".join(parts), document.title, first, last, None))
    return passages
