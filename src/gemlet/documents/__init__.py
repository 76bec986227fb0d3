"""A file → its text in blocks, with line and page numbers.   (path → Document)

Text, Markdown, code, CSV, notebooks, HTML and mail are read here; PDF, Office, EPUB and the like by the extra `docs`
in a process of its own, so that no file can take the caller's time, memory or life.
"""

import os
import stat
from pathlib import Path

from gemlet.documents.document import Block, BlockKind, Document, Kind, Limits, Unreadable, megabytes
from gemlet.documents.kinds import Format, Reader, format_of, sniff
from gemlet.errors import UnreadableDocument

__all__ = ["Block", "BlockKind", "Document", "Kind", "Limits", "kind_of", "read_document", "stop_reading"]


def kind_of(path: Path) -> Kind | None:
    """The kind that the file's name says; None: the name does not tell, but the contents may."""
    found = format_of(path)
    return found.kind if found else None


def read_document(path: Path, *, limits: Limits | None = None) -> Document:
    """Read a file's text.

    limits  what that may take; None: Limits()

    A file without any text has no blocks. Raises UnreadableDocument for what is no regular file, cannot be opened, is
    binary, larger than the limits, broken, encrypted, takes more time or memory than the limits say, or needs the extra
    `docs`, which is not installed; the error's `reason` says which.
    """
    limits = limits or Limits()
    try:
        return _read(path, limits)
    except Unreadable as error:
        raise UnreadableDocument(path, str(error)) from error
    except OSError as error:
        raise UnreadableDocument(path, f"cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise UnreadableDocument(path, "takes more memory than there is") from error


def stop_reading() -> None:
    """End the reading of a PDF, an Office file or the like at once, on Ctrl-C for example.

    Whoever waits for one gets UnreadableDocument; others can be read afterwards.
    """
    from gemlet.documents import isolation

    isolation.stop()


def _read(path: Path, limits: Limits) -> Document:
    known = format_of(path)
    is_text = known is None or known.reader not in ("extract", "notebook")
    _check_size(path.stat(), min(limits.text_bytes, limits.file_bytes) if is_text else limits.file_bytes)
    if known is not None and known.reader == "extract":
        if not path.stat().st_size:
            raise Unreadable("is empty")
        return _extracted(path, known, limits)
    data = path.read_bytes()
    found = known or sniff(data)
    if found.reader == "extract":
        return _extracted(path, found, limits)
    return _text_document(data, found)


def _check_size(status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("is not a regular file")
    if status.st_size > limit:
        raise Unreadable(f"has {megabytes(status.st_size)}, more than the limit of {megabytes(limit)}")


def _text_document(data: bytes, found: Format) -> Document:
    """Each reader is imported when a file asks for it: a search needs none of them."""
    kind, reader, detail = found
    if reader == "mail":
        from gemlet.documents.mail import mail

        return Document(kind, None, *mail(data))
    from gemlet.documents.decoding import decode

    text = decode(data)
    if reader == "notebook":
        from gemlet.documents.notebook import notebook

        title, language, blocks = notebook(text)
        return Document(kind, language, title, blocks)
    if reader == "html":
        from gemlet.documents.html import html_document

        return Document(kind, None, *html_document(text))
    if reader == "csv":
        from gemlet.documents.tables import table

        return Document(kind, None, None, table(text, detail or ""))
    if reader == "code":
        from gemlet.documents.code import code

        return Document(kind, detail, None, code(text, detail))
    return _prose(text.split("\n"), kind, reader)


def _prose(lines: list[str], kind: Kind, reader: Reader) -> Document:
    from gemlet.documents.markdown import first_heading, markdown
    from gemlet.documents.text import Underlined, adoc_heading, header_title, org_heading, paragraphs, tex_heading

    if reader == "markdown":
        return Document(kind, None, *markdown(lines))
    finders = {"tex": tex_heading, "org": org_heading, "adoc": adoc_heading}
    blocks = list(paragraphs(lines, 1, finders.get(reader) or Underlined()))
    return Document(kind, None, header_title(lines) or first_heading(blocks), blocks)


def _extracted(path: Path, found: Format, limits: Limits) -> Document:
    from gemlet.documents.extracted import node_blocks, page_blocks
    from gemlet.documents.isolation import extract
    from gemlet.documents.markdown import first_heading

    reply = extract(path, found.detail or "", limits)
    pages, nodes = reply["pages"], reply["nodes"]
    blocks = page_blocks(pages, nodes) if pages else node_blocks(nodes)
    title = " ".join((reply["title"] or "").split()) or first_heading(blocks)
    return Document(found.kind, None, title, blocks)
