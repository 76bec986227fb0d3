"""Blocks → the title of each passage: the document's, and the headings or definitions that its text stands under."""

from collections.abc import Iterable
from typing import Final

from gemlet.documents import Document

_MOST: Final = 0.75
"""A heading is a passage's when that part of its tokens, at least, stands under it."""
_LONGEST, _DEEPEST = 100, 4


class Titles:
    """The tree of a document's sections; a section goes by the number of the block that it begins with.

    A title that is the first heading's goes before the headings below that one, not before others of its level.
    """

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
        first = next((block for block in document.blocks if block.level), None)
        self._title_level = first.level if first is not None and first.name == document.title else 0

    def title(self, tokens: Iterable[tuple[int, int]], begun: int) -> str | None:
        """The title of a passage.

        tokens  (number of a block, its tokens in the passage)
        begun   the first block that begins in the passage; the names of definitions that do are in its text already
        """
        weights: dict[int, int] = {}
        total = 0
        for number, size in tokens:
            section = self._section[number]
            weights[section] = weights.get(section, 0) + size
            total += size
        section = self._deepest(weights, total)
        is_code = self._document.kind == "code"
        names: list[str] = []
        outermost = 0
        while section >= 0:
            block = self._document.blocks[section]
            if block.name and not (is_code and section >= begun):
                names.append(_cut(block.name))
            outermost = block.level
            section = self._parent[section]
        title = self._document.title
        if title and (not names or outermost > self._title_level):
            names.append(_cut(title))
        names.reverse()
        return " > ".join([*names[:1], *names[1:][-_DEEPEST + 1 :]]) or None

    def _deepest(self, weights: dict[int, int], total: int) -> int:
        """The innermost section that holds most of the passage; -1 when none does."""
        held: dict[int, int] = {}
        for section, size in weights.items():
            while section >= 0:
                held[section] = held.get(section, 0) + size
                section = self._parent[section]
        return max((section for section, size in held.items() if size >= _MOST * total), default=-1)


def _cut(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1].rstrip() + "…"
