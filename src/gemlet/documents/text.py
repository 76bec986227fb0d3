"""Plain text → blocks: paragraphs between blank lines, and headings as the markup marks them."""

import re
from collections.abc import Callable, Iterator, Sequence

from gemlet.documents.document import Block

Heading = tuple[int, str, int]
"""level, name, number of lines that it takes"""
FindHeading = Callable[[Sequence[str], int], Heading | None]

_LONGEST_TITLE = 400
_UNDERLINE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*$")
_HEADER = re.compile(r"([A-Z][A-Za-z-]{0,30}): *(.*)$")


def paragraphs(lines: Sequence[str], first: int = 1, find_heading: FindHeading | None = None) -> Iterator[Block]:
    """Blocks of lines that have no blank line between them; the first of the lines has the number `first`.

    find_heading  given the lines and the place of one, says whether a heading begins there
    """
    begin = place = 0
    count = len(lines)
    while place < count:
        line = lines[place]
        heading = find_heading(lines, place) if find_heading and 0 < len(line) < _LONGEST_TITLE else None
        if heading or not line or line.isspace():
            if place > begin:
                yield _paragraph(lines, begin, place, first)
            if heading:
                level, name, taken = heading
                text = name if taken > 1 else line.rstrip()
                title_line = place + (1 if taken == 3 else 0)
                yield Block(text, first + title_line, kind="heading", level=level, name=name)
                place += taken - 1
            begin = place + 1
        place += 1
    if count > begin:
        yield _paragraph(lines, begin, count, first)


def _paragraph(lines: Sequence[str], begin: int, end: int, first: int) -> Block:
    return Block("\n".join(lines[begin:end]).rstrip(), first + begin)


class Underlined:
    """Titles with a line of punctuation below, and the same above or not: reStructuredText, and many plain texts.

    Levels go by the order in which the styles come up, as reStructuredText has it.
    """

    def __init__(self) -> None:
        self._styles: list[str] = []

    def __call__(self, lines: Sequence[str], place: int) -> Heading | None:
        """Find a title at `place`."""
        line = lines[place]
        if place + 1 >= len(lines) or line.isspace() or (place and lines[place - 1].strip()):
            return None
        if _UNDERLINE.match(line):
            return self._overlined(lines, place)
        mark = _UNDERLINE.match(lines[place + 1])
        if not mark or line[0].isspace() or len(lines[place + 1].rstrip()) < min(len(line.rstrip()), 40) * 0.8:
            return None
        return self._heading(mark[1], line, 2)

    def _overlined(self, lines: Sequence[str], place: int) -> Heading | None:
        if place + 2 >= len(lines):
            return None
        over, line, under = (text.rstrip() for text in lines[place : place + 3])
        if over != under or not line.strip() or _UNDERLINE.match(line):
            return None
        return self._heading(over[0] * 2, line, 3)

    def _heading(self, style: str, line: str, taken: int) -> Heading | None:
        if not any(map(str.isalnum, line)):
            return None
        if style not in self._styles:
            self._styles.append(style)
        return self._styles.index(style) + 1, line.strip(), taken


_TEX = re.compile(r"\s*\\(part|chapter|section|subsection|subsubsection|paragraph)\*?(?:\[[^\]]*\])?\{(.+?)\}")
_TEX_LEVELS = ["part", "chapter", "section", "subsection", "subsubsection", "paragraph"]


def tex_heading(lines: Sequence[str], place: int) -> Heading | None:
    r"""\\section{Name} at a line's beginning."""
    match = _TEX.match(lines[place])
    return (_TEX_LEVELS.index(match[1]) + 1, match[2], 1) if match else None


def org_heading(lines: Sequence[str], place: int) -> Heading | None:
    """** Name"""
    return _marked(lines[place], "*")


def adoc_heading(lines: Sequence[str], place: int) -> Heading | None:
    """== Name"""
    return _marked(lines[place], "=")


def _marked(line: str, mark: str) -> Heading | None:
    name = line.lstrip(mark)
    level = len(line) - len(name)
    if not 0 < level < 7 or not name.startswith(" ") or not name.strip():
        return None
    return level, name.strip(), 1


def header_title(lines: Sequence[str]) -> str | None:
    """The title of a text that begins with lines of `Name: value`, as the PEPs do: "PEP 20 – The Zen of Python"."""
    fields: dict[str, str] = {}
    for line in lines[:40]:
        match = _HEADER.match(line)
        if match:
            fields.setdefault(match[1].lower(), match[2].strip())
        elif not line.strip() or not line[0].isspace() or not fields:
            break
    title = fields.get("title") or fields.get("subject")
    if not title:
        return None
    series, number = next(iter(fields.items()))
    return f"{series.upper()} {number} – {title}" if number.isdecimal() and len(series) < 6 else title
