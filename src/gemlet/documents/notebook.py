"""A Jupyter notebook → blocks: Markdown cells as Markdown, code cells as code; outputs are left out.

Lines count through the cells as they follow each other, with a blank line between two.
"""

import json
from typing import Any

from gemlet.documents.document import Block, Unreadable
from gemlet.documents.markdown import first_heading, markdown


def notebook(text: str) -> tuple[str | None, str | None, list[Block]]:
    """Return (title, language, blocks); raises Unreadable for what is no notebook."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"is a broken notebook: no JSON ({error})") from error
    blocks: list[Block] = []
    line = 1
    for kind, source in _cells(content):
        lines = source.split("\n")
        if kind == "markdown":
            blocks += markdown(lines, line)[1]
        elif source.strip():
            blocks.append(_code_cell(lines, line, kind))
        line += len(lines) + 1
    return first_heading(blocks), _language(content), blocks


def _code_cell(lines: list[str], line: int, kind: str) -> Block:
    begin = next(place for place, text in enumerate(lines) if text.strip())
    text = "\n".join(lines[begin:]).rstrip()
    return Block(text, line + begin, kind="code" if kind == "code" else "paragraph")


def _cells(content: Any) -> list[tuple[str, str]]:
    """(type, source) of each cell, in nbformat 4, or 3, which has worksheets."""
    try:
        cells = content["cells"] if "cells" in content else content["worksheets"][0]["cells"]
        return [(str(cell.get("cell_type")), _source(cell.get("source", cell.get("input", "")))) for cell in cells]
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise Unreadable("is a broken notebook: it has no list of cells") from error


def _source(source: Any) -> str:
    if isinstance(source, list) and all(isinstance(part, str) for part in source):
        source = "".join(source)
    if isinstance(source, str):  # JSON can spell half of a character, which no text can hold
        return source.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").rstrip("\n")
    raise Unreadable("is a broken notebook: a cell's source is no text")


def _language(content: Any) -> str | None:
    metadata = content.get("metadata")
    if isinstance(metadata, dict):
        for entry, key in (("kernelspec", "language"), ("language_info", "name")):
            found = metadata.get(entry)
            if isinstance(found, dict) and isinstance(found.get(key), str):
                return str(found[key]).lower()
    return None
