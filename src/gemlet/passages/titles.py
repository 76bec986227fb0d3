"""Blocks → the title of each passage: the document's, and the headings or definitions that its text stands under."""

from collections.abc import Iterable
from typing import Final

from gemlet.documents import Document

_MOST: Final = 0.75
"""A heading is a passage's when that part of its tokens, at least, stands under it."""
_LONGEST_NAME, _LONGEST_TITLE, _DEEPEST = 80, 120, 3


class Titles:
    """The tree of a document's sections; a section goes by the number of the block that it begins with."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._parent: dict[int, int] = {}
        self._section: list[int] = []  # of each block the innermost; -1: none
        levels: list[tuple[int, int]] = []
        for number, block in enumerate(document.blocks):
            if block.level:
                while levels and levels[-1][0] >= block.level:
                    levels.pop()
                self._parent[number] = levels[-1][1] if levels else -1
                levels.append((block.level, number))
            self._section.append(levels[-1][1] if levels else -1)

    def title(self, tokens: Iterable[tuple[int, int]], begun: int) -> str | None:
        """The title of a passage.

        tokens  (number of a block, its tokens in the passage)
        begun   the first block that begins in the passage; the names of definitions that do are in its text already
        """
        weights: dict[int, int] = {}
        total = 0
        for block, size in tokens:
            section = self._section[block]
            weights[section] = weights.get(section, 0) + size
            total += size
        section = self._deepest(weights, total)
        is_code = self._document.kind == "code"
        names: list[str] = []
        while section >= 0:
            name = self._document.blocks[section].name
            if name and not (is_code and section >= begun):
                names.append(_cut(name, _LONGEST_NAME))
            section = self._parent[section]
        return self._joined(names[::-1])

    def _deepest(self, weights: dict[int, int], total: int) -> int:
        """The innermost section that holds most of the passage; -1 when none does."""
        held: dict[int, int] = {}
        for section, size in weights.items():
            while section >= 0:
                held[section] = held.get(section, 0) + size
                section = self._parent[section]
        return max((section for section, size in held.items() if size >= _MOST * total), default=-1)

    def _joined(self, names: list[str]) -> str | None:
        title = self._document.title
        if not title:
            return " > ".join(names[-_DEEPEST - 1 :]) or None
        title = _cut(title, _LONGEST_TITLE)
        if names and names[0].casefold() == title.casefold()[:_LONGEST_NAME]:
            names = names[1:]
        return " > ".join([title, *names[-_DEEPEST:]])


def _cut(name: str, longest: int) -> str:
    name = " ".join(name.split())
    return name if len(name) <= longest else name[: longest - 1].rstrip() + "…"
