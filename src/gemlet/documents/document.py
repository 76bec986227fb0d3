"""What a reader gives: a document as a list of blocks, each with the place where it stands."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "markdown", "code", "csv", "notebook", "pdf", "office", "ebook", "html", "mail"]
BlockKind = Literal["heading", "paragraph", "code", "row"]


@dataclass(frozen=True)
class Block:
    """A piece of a document that is one thing: a heading, a paragraph, a definition, a row of a table.

    text   its characters, without white space at the ends of the block
    line   where it begins: 1-based line of the file, or of the text extracted from a format that has no lines
    page   1-based, where the format has pages
    level  above 0: a section begins here, of this depth (a heading's 1 to 6, a definition's by nesting)
    name   what the section is called, where the text itself is not its name: a definition's
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
    title     first heading, metadata, subject of a mail; None when there is none
    """

    kind: Kind
    language: str | None
    title: str | None
    blocks: list[Block]


@dataclass(frozen=True)
class Limits:
    """What reading one file may take.

    file_bytes    of the file itself
    text_bytes    of a plain text file, or of the text extracted from any other
    seconds       for extracting text from PDF, Office, EPUB and the like
    memory_bytes  for the same; enforced on Linux and macOS
    """

    file_bytes: int = 256 << 20
    text_bytes: int = 32 << 20
    seconds: float = 60
    memory_bytes: int = 1 << 30
