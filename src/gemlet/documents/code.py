"""Source code → blocks along its definitions, named by them: a class, its methods, a function, what stands between.

Lines are cut, never characters: each block is a run of whole lines, and all runs together are the file.
"""

import re
from collections.abc import Iterator, Sequence

from gemlet.documents.document import Block
from gemlet.documents.grammar import Mark, grammar_marks

_GRAMMAR_BYTES = 1 << 20
"""Beyond, or with lines this long on average, a file is generated or minified: its definitions tell nothing."""
_LINE_CHARACTERS = 400


def code(text: str, language: str | None) -> list[Block]:
    """The blocks of a program: between two marks, each run of lines without a blank line."""
    lines = text.split("\n")
    blocks: list[Block] = []
    found = _marks(text, lines, language)
    edges = [*found, Mark(len(lines), 0, None)]
    if not found or found[0].line > 0:
        blocks += _runs(lines, 0, edges[0].line, Mark(0, 0, None))
    for mark, following in zip(found, edges[1:], strict=True):
        blocks += _runs(lines, mark.line, following.line, mark)
    return blocks


def _runs(lines: Sequence[str], begin: int, end: int, mark: Mark) -> Iterator[Block]:
    """Blocks without blank lines in lines[begin:end]; the first is the mark's."""
    start, level, name = begin, mark.level, mark.name
    for place in range(begin, end + 1):
        if place < end and lines[place] and not lines[place].isspace():
            continue
        if place > start:
            yield Block("\n".join(lines[start:place]).rstrip(), start + 1, None, "code", level, name)
            level, name = 0, None
        start = place + 1


def _marks(text: str, lines: Sequence[str], language: str | None) -> list[Mark]:
    """Where definitions begin, by the language's grammar if that is there, else by what definitions look like."""
    if len(text) > _LINE_CHARACTERS * len(lines):
        return []
    marks = None
    if language is not None and len(text) <= _GRAMMAR_BYTES:
        marks = grammar_marks(text, language)
    if marks is None:
        marks = list(_python_marks(lines) if language == "python" else _lookalikes(lines))
    return _tidy(marks, lines)


def _tidy(marks: Sequence[Mark], lines: Sequence[str]) -> list[Mark]:
    """One mark a line, each moved up over the comments and decorators that touch its definition."""
    tidy: list[Mark] = []
    for mark in marks:
        line = mark.line
        lowest = tidy[-1].line + 1 if tidy else 0
        while mark.name and line > lowest and _BELONGS_BELOW.match(lines[line - 1]):
            line -= 1
        if not tidy or tidy[-1].line < line:
            tidy.append(mark._replace(line=line))
    return tidy


_BELONGS_BELOW = re.compile(r"\s*(?:#(?!include|define|if|endif|else|pragma)|//|\*|/\*|@\w|\[\w|--\s|;;|%+\s)")

_PYTHON = re.compile(r"( *|\t*)(?:async +def|def|class) +(\w+)")


def _python_marks(lines: Sequence[str]) -> Iterator[Mark]:
    """By indentation; a def inside of a def is a part of that."""
    open_blocks: list[tuple[int, bool]] = []  # indentation, is it a class?
    for place, line in enumerate(lines):
        if not line or line[0] in "#)]}\"'" or line.isspace():
            continue
        indent = len(line) - len(line.lstrip())
        closed = False
        while open_blocks and open_blocks[-1][0] >= indent:
            open_blocks.pop()
            closed = True
        if match := _PYTHON.match(line):
            if all(is_class for _, is_class in open_blocks):
                yield Mark(place, len(open_blocks) + 1, match[2])
            open_blocks.append((indent, line.lstrip().startswith("class")))
        elif closed and all(is_class for _, is_class in open_blocks) and line.lstrip()[0] != "@":
            yield Mark(place, len(open_blocks) + 1, None)


_WORDS = (
    "class|struct|enum|union|interface|trait|impl|object|module|mod|namespace|protocol|extension|record|type|"
    "function|func|fun|fn|def|defn|defun|defmodule|defp|sub|proc|procedure|create|message|service|resource"
)
_BEFORE = (
    r"export|default|pub|public|private|protected|internal|static|final|abstract|sealed|open|data|async|local|"
    r"unsafe|inline|override|suspend|or|replace|temp|case|extern|const|\(|pub\([\w: ]+\)"
)
_BETWEEN = r"(?:table|view|function|procedure|index|trigger)?\s*(?:\([^)]*\)\s*)?"
_LOOKALIKE = re.compile(rf"(?:(?:{_BEFORE}) *)*(?:{_WORDS})\b\s*{_BETWEEN}([\w.:$\"-]+)?", re.I)


def _lookalikes(lines: Sequence[str]) -> Iterator[Mark]:
    """What begins a line, unindented, with a word that languages begin definitions with."""
    for place, line in enumerate(lines):
        if line and not line[0].isspace() and (match := _LOOKALIKE.match(line[:200])):
            yield Mark(place, 1, (match[1] or "").strip('"') or None)
