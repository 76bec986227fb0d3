"""Markdown → blocks: front matter, headings of both styles, fenced code, tables, paragraphs."""

import re
from collections.abc import Iterator, Sequence

from gemlet.documents.document import Block
from gemlet.documents.text import Heading, paragraphs

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})([^`]*)$")
_NOT_A_TITLE = re.compile(r"\s*(?:[-*+>|#]|\d+[.)]\s|```|~~~|</?\w)|\t| {4}")
_TITLE = re.compile(r"title\s*[:=]\s*(.+)$", re.I)
_MARKS = re.compile(r"(?<!\\)(?:[*`]+|(?<!\w)_+|_+(?!\w))|!?\[([^\]]*)\]\([^)]*\)|\s*\{#[^}]*\}\s*$|<[^>]*>")


def markdown(lines: Sequence[str], first: int = 1) -> tuple[str | None, list[Block]]:
    """Return (title, blocks); the title is the front matter's, or that of the first heading if that is the highest."""
    title, begin = _front_matter(lines)
    blocks = list(_front_block(lines, begin, first))
    for piece_begin, piece_end, fenced in _pieces(lines, begin):
        piece = lines[piece_begin:piece_end]
        if fenced:
            blocks.append(Block("\n".join(piece).rstrip(), first + piece_begin, kind="code"))
        else:
            blocks += paragraphs(piece, first + piece_begin, markdown_heading)
    return title or first_heading(blocks), blocks


def first_heading(blocks: Sequence[Block]) -> str | None:
    """The name of the first heading, if no other one stands above it."""
    headings = [block for block in blocks if block.kind == "heading"]
    if headings and headings[0].level <= min(block.level for block in headings):
        return headings[0].name
    return None


def markdown_heading(lines: Sequence[str], place: int) -> Heading | None:
    """# Name, or Name over a line of = or -."""
    line = lines[place]
    if match := _ATX.match(line):
        return len(match[1]), plain(match[2] or ""), 1
    if place + 1 < len(lines) and not _NOT_A_TITLE.match(line) and (match := _SETEXT.match(lines[place + 1])):
        if place and lines[place - 1].strip():  # the last line of a longer paragraph
            return None
        return (1 if match[1][0] == "=" else 2), plain(line), 2
    return None


def plain(text: str) -> str:
    """A heading without emphasis, links and tags."""
    return _MARKS.sub(lambda match: match[1] or "", text).replace("\\", "").strip()


def _front_matter(lines: Sequence[str]) -> tuple[str | None, int]:
    """Its title, and the first line behind it."""
    if not lines or lines[0].rstrip() not in ("---", "+++"):
        return None, 0
    for end in range(1, min(len(lines), 500)):
        if lines[end].rstrip() in (lines[0].rstrip(), "..."):
            titles = (match[1] for line in lines[1:end] if (match := _TITLE.match(line)))
            return next((title.strip().strip("\"'") or None for title in titles), None), end + 1
    return None, 0


def _front_block(lines: Sequence[str], end: int, first: int) -> Iterator[Block]:
    if text := "\n".join(lines[1 : max(end - 1, 1)]).strip("\n"):
        begin = next(place for place in range(1, end) if lines[place].strip())
        yield Block(text.strip(), first + begin)


def _pieces(lines: Sequence[str], begin: int) -> Iterator[tuple[int, int, bool]]:
    """(begin, end, is it fenced code?) of each run of lines; a fence that is never closed goes on to the end."""
    fence, start = "", begin
    for place in range(begin, len(lines)):
        line = lines[place]
        if "```" not in line and "~~~" not in line:
            continue
        match = _FENCE.match(line)
        if not match:
            continue
        if not fence:
            if place > start:
                yield start, place, False
            fence, start = match[1], place
        elif match[1].startswith(fence) and not match[2].strip():
            yield start, place + 1, True
            fence, start = "", place + 1
    if start < len(lines):
        yield start, len(lines), bool(fence)
