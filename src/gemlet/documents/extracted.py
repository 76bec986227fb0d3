"""What the worker found in a PDF, an Office file or a book → blocks, with pages, slides and sheets."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from gemlet.documents.document import Block
from gemlet.documents.tables import row_texts
from gemlet.documents.worker import PAGE_MARK

_END_OF_SENTENCE = re.compile(r"""[.!?:;。！？؟।…]["'”’)\]]*$""")
_BULLET = re.compile(r"(?:[•·▪◦‣–*-]|\(?\d{1,3}[.)])\s")
_LEADERS = re.compile(r"(?: ?[.·]){6,} ?")
"""The dots of a table of contents."""
_NUMBERED = re.compile(r"\d+[.)]\s+\S")
_DIGITS = re.compile(r"\d+|\b[ivxlc]+\b")


def node_blocks(nodes: Sequence[Sequence[Any]]) -> list[Block]:
    """Blocks of [kind, text or rows, level, page]; lines count through the text, a blank one between two blocks."""
    blocks: list[Block] = []
    line, slide, first_of_slide = 1, None, False
    for kind, content, level, page in nodes:
        if kind == "row":
            for text in filter(None, row_texts(content)):
                blocks.append(Block(text, line, page or slide, "row"))
                line += text.count("\n") + 1
            line += 1
            continue
        text = _clean(content)
        if text.startswith(PAGE_MARK):
            slide, first_of_slide = int(text.removeprefix(PAGE_MARK)), True
            continue
        if not text:
            continue
        if first_of_slide and len(text) <= 100:
            kind, level = "heading", 1
        first_of_slide = False
        name = " ".join(text.split()) if kind == "heading" else None
        blocks.append(Block(text, line, page or slide, kind, level if kind == "heading" else 0, name))
        line += text.count("\n") + 2
    return blocks


def page_blocks(pages: Sequence[str], headings: Sequence[Sequence[Any]]) -> list[Block]:
    """Blocks of the pages of a PDF: its lines as they are, less page numbers and running titles.

    headings  [_, text, level, page]: what looks like one by its type; it counts where it is a line of the page that
              does not go on a sentence
    """
    lines_of = [_clean(page).split("\n") for page in pages]
    running = _running_lines(lines_of)
    by_page: dict[int, dict[str, int]] = {}
    for _, text, level, page in headings:
        by_page.setdefault(page or 0, {})[_clean(text)] = level
    blocks: list[Block] = []
    line = 1
    for number, lines in enumerate(lines_of, 1):
        found = by_page.get(number, {})
        shown = [text in found or not _runs(place, lines, running) for place, text in enumerate(lines)]
        kept = [(line + place, text) for place, text in enumerate(lines) if shown[place]]
        blocks += _page(kept, number, found)
        line += len(lines) + 1
    return blocks


def _clean(text: str) -> str:
    """PDFium has a control character where it takes a hyphen out of a word and joins two lines."""
    text = text.replace("\r\n", "\n").replace("\x02", "").replace("\r", "").replace("\0", "")
    text = _LEADERS.sub(" … ", text)
    return "\n".join(map(str.rstrip, text.split("\n"))).strip("\n")


def _running_lines(pages: Sequence[Sequence[str]]) -> set[str]:
    """First and last lines that come back, with other numbers, on three pages or more; and lone page numbers."""
    seen = Counter(
        key for lines in pages if len(lines) > 2 for key in {_DIGITS.sub("#", lines[0]), _DIGITS.sub("#", lines[-1])}
    )
    return {"#"} | {key for key, times in seen.items() if times >= 3}


def _runs(place: int, lines: Sequence[str], running: set[str]) -> bool:
    return len(lines) > 2 and place in (0, len(lines) - 1) and _DIGITS.sub("#", lines[place]).strip() in running


def _page(lines: Sequence[tuple[int, str]], page: int, headings: dict[str, int]) -> Iterator[Block]:
    """A new paragraph begins behind a blank line, a heading, a short line that ends a sentence, and at a bullet."""
    widest = max((len(text) for _, text in lines), default=0)
    open_lines: list[str] = []
    begin = 0
    for line, text in lines:
        level = headings.get(text)
        heading = level is not None and _may_be_heading(text, open_lines, widest)
        ends = open_lines and len(open_lines[-1]) < 0.8 * widest and _END_OF_SENTENCE.search(open_lines[-1])
        if open_lines and (heading or not text or ends or _BULLET.match(text)):
            yield Block("\n".join(open_lines), begin, page)
            open_lines = []
        if heading:
            yield Block(text, line, page, "heading", level or 1, " ".join(text.split()))
        elif text:
            begin = begin if open_lines else line
            open_lines.append(text)
    if open_lines:
        yield Block("\n".join(open_lines), begin, page)


def _may_be_heading(text: str, before: Sequence[str], widest: int) -> bool:
    """Whether a line that is set like a heading reads like one, and does not go on with the sentence before it."""
    if not 1 < len(text) <= 120:
        return False
    if not _NUMBERED.match(text) and (text[0].islower() or not text[0].isalnum() or _BULLET.match(text)):
        return False
    return not before or len(before[-1]) <= 0.6 * widest or bool(_END_OF_SENTENCE.search(before[-1]))
