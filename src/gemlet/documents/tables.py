"""CSV, and the rows of any table → blocks, each row with the names of its columns."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence

from gemlet.documents.document import Block
from gemlet.documents.text import paragraphs

SEPARATORS = "\t;|,"
"""Those first that stand in a cell of another sort of table least often."""


def table(text: str, separator: str) -> list[Block]:
    """The rows of a CSV text, with the line of the file that each begins in.

    separator  "": the one of , ; tab and | that gives the most regular rows

    What is no table (one column, a quote that never ends) is read as plain text.
    """
    separator = separator or separator_of(text)
    try:
        rows = list(_rows(text, separator))
    except csv.Error:
        rows = []
    if not rows or max(len(cells) for _, cells in rows) < 2:
        return list(paragraphs(text.split("\n")))
    texts = row_texts([cells for _, cells in rows])
    return [Block(row, line, None, "row") for (line, _), row in zip(rows, texts, strict=True) if row]


def row_texts(rows: Sequence[Sequence[str]]) -> list[str]:
    """Each row as "Name: Ann, Age: 31" below a row of names, else as "Ann, 31"; empty cells are left out."""
    names = rows[0] if len(rows) > 1 and _are_names(rows[0]) else None
    texts = [", ".join(filter(None, (cell.strip() for cell in rows[0])))] if rows else []
    for cells in rows[1:]:
        stripped = [cell.strip() for cell in cells]
        if names is not None:
            known = [f"{name.strip()}: {cell}" for name, cell in zip(names, stripped, strict=False) if cell]
            stripped = known + stripped[len(names) :]
        texts.append(", ".join(filter(None, stripped)))
    return texts


def _are_names(cells: Sequence[str]) -> bool:
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    numeric = any(name.replace(".", "").replace(",", "").lstrip("+-").isdecimal() for name in names)
    return len(names) > 1 and not numeric and len(set(names)) == len(names) and all(0 < len(n) <= 80 for n in names)


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    line = 1
    for cells in reader:
        if any(cells):
            yield line, cells
        line = reader.line_num + 1


def separator_of(text: str) -> str:
    """By the first rows: most of them with the same number of cells, and the more cells the better."""

    def regular(separator: str) -> tuple[float, int]:
        rows = csv.reader(io.StringIO(text[:20_000], newline=""), delimiter=separator)
        try:
            widths = Counter(len(cells) for cells, _ in zip(rows, range(20), strict=False) if cells)
        except csv.Error:
            return 0.0, 0
        width, times = widths.most_common(1)[0] if widths else (1, 0)
        return (times / widths.total() if width > 1 else 0.0), width

    return max(SEPARATORS, key=regular)
