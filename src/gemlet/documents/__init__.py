"""A file → its text in blocks, with line and page numbers.   (chapter 12: path → Document)"""

from pathlib import Path

from gemlet.documents.document import Block, BlockKind, Document, Kind, Limits
from gemlet.errors import UnreadableDocument

__all__ = ["Block", "BlockKind", "Document", "Kind", "Limits", "kind_of", "read_document"]

_KINDS: dict[str, Kind] = {".txt": "text", ".rst": "text", ".md": "markdown", ".py": "code"}


def kind_of(path: Path) -> Kind | None:
    """The kind that the file's name says; None: the name does not tell, the contents may."""
    return _KINDS.get(path.suffix.lower())


def read_document(path: Path, *, limits: Limits | None = None) -> Document:
    """Read a file's text.

    limits  what that may take; None: Limits()

    Raises UnreadableDocument when the file is binary, too large, broken, encrypted, or takes too long, and MissingExtra
    when its kind needs an extra that is not installed.
    """
    limits = limits or Limits()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableDocument(path, f"cannot be read: {error.strerror}") from error
    if b"\0" in data:
        raise UnreadableDocument(path, "is no text")
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    blocks: list[Block] = []
    begin, lines = 1, list[str]()
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            begin = begin if lines else number
            lines.append(line)
        elif lines:
            blocks.append(Block("\n".join(lines), begin))
            lines = []
    return Document(kind_of(path) or "text", None, None, blocks)
