"""What a reader gives: a document as a list of blocks, each with the place where it stands."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "markdown", "code", "csv", "notebook", "pdf", "office", "ebook", "html", "mail"]
BlockKind = Literal["heading", "paragraph", "code", "row"]


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document that is one thing: a heading, a paragraph, a part of a program, a row of a table.

    text   its characters, no blank line at either end
    line   where it begins: 1-based line of the file, or of the text extracted from a format that has no lines
    page   1-based, where the format has pages, slides or sheets
    level  above 0: a section of this depth begins here; 1 is the outermost
    name   what the section is called: the heading without its marks, the definition's name; None: it has no name
    """

    text: str
    line: int
    page: int | None = None
    kind: BlockKind = "paragraph"
    level: int = 0
    name: str | None = None


@dataclass(frozen=True)
class Document:
    """A file's text in blocks.

    language  the programming language of code, in lower case: "python", "c++"; else None
    title     metadata, first heading, subject of a mail; None when there is none
    """

    kind: Kind
    language: str | None
    title: str | None
    blocks: list[Block]


@dataclass(frozen=True)
class Limits:
    """What reading one file may take.

    file_bytes    of the file
    text_bytes    of a plain text file, and of the text that is extracted from any other: 32 MB are 8 million tokens,
                  an hour of embedding
    seconds       for extracting the text of PDF, Office, EPUB and the like
    memory_bytes  for the same; not enforced on Windows
    """

    file_bytes: int = 256 << 20
    text_bytes: int = 32 << 20
    seconds: float = 60
    memory_bytes: int = 1 << 30


class Unreadable(Exception):
    """Why a reader gave up; read_document() adds the path and raises UnreadableDocument."""


def megabytes(size: int) -> str:
    """The size as a message says it."""
    return f"{size / (1 << 20):.0f} MB" if size >= 10 << 20 else f"{size / (1 << 10):,.1f} kB"
