"""Mail, one message or a whole mbox → blocks: who, when, the subject, the text; of attachments the names.

Lines are those of the file where the text stands there as it is; for encoded text, the line that its message begins in.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message

from gemlet.documents.decoding import decode
from gemlet.documents.document import Block, Unreadable
from gemlet.documents.html import html_document
from gemlet.documents.text import paragraphs

_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_NEXT_MESSAGE = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\n]*")


def mail(data: bytes) -> tuple[str | None, list[Block]]:
    """Return (subject, blocks); an mbox has no subject, and a heading for each message."""
    data = data.replace(b"\r\n", b"\n")
    begins = [match.start() for match in _NEXT_MESSAGE.finditer(data)] if data.startswith(b"From ") else [0]
    blocks: list[Block] = []
    title, line = None, 1
    for begin, end in zip(begins, [*begins[1:], len(data)], strict=True):
        try:
            title, found = _message(data[begin:end], line, heading=len(begins) > 1)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Unreadable(f"is a broken mail: {error}") from error
        blocks += found
        line += data.count(b"\n", begin, end)
    return (title if len(begins) == 1 else None), blocks


def _message(raw: bytes, line: int, heading: bool) -> tuple[str | None, list[Block]]:
    message = message_from_bytes(raw)
    fields = {name: text for name in _SHOWN if (text := _field(message, name))}
    subject = fields.get("Subject")
    lines = "\n".join(f"{name}: {text}" for name, text in fields.items())
    blocks: list[Block] = []
    if lines:
        section = {"kind": "heading", "level": 1, "name": subject or fields.get("From")} if heading else {}
        blocks.append(Block(lines, line, **section))  # type: ignore[arg-type]
    place = max(raw.find(b"\n\n"), 0)
    for part in _parts(message):
        found = list(_body(part, raw, place, line))
        blocks += found
    return subject, blocks


def _field(message: Message, name: str) -> str:
    value = message.get(name)
    if value is None:
        return ""
    try:
        text = str(make_header(decode_header(value)))
    except (ValueError, LookupError, TypeError):
        text = str(value)
    return " ".join(text.encode("utf-8", "replace").decode().split())


def _parts(message: Message) -> Iterator[Message]:
    """The parts to read: of alternatives the plain text, if there is one."""
    if message.get_content_type() == "multipart/alternative" and message.is_multipart():
        inner: list[Message] = [part for part in message.get_payload() if isinstance(part, Message)]
        inner.sort(key=lambda part: part.get_content_type() != "text/plain")
        yield from _parts(inner[0]) if inner else ()
    elif message.is_multipart():
        for part in message.get_payload():
            if isinstance(part, Message):
                yield from _parts(part)
    else:
        yield message


def _body(part: Message, raw: bytes, place: int, line: int) -> Iterator[Block]:
    """The blocks of one part; of anything but text its file name."""
    name = part.get_filename()
    if part.get_content_maintype() != "text" or part.get_content_disposition() == "attachment":
        if name:
            yield Block(f"Attachment: {name}", line)
        return
    payload = part.get_payload(decode=True)
    text = decode(payload if isinstance(payload, bytes) else b"", part.get_content_charset())
    if part.get_content_subtype() == "html":
        for block in html_document(text)[1]:
            yield replace(block, line=line, level=0)
        return
    lines = text.split("\n")
    first = _first_line(lines, raw, place)
    for block in paragraphs(lines, 1):
        yield replace(block, line=line if first is None else line + first + block.line - 1)


def _first_line(lines: list[str], raw: bytes, place: int) -> int | None:
    """How many lines of the message stand before this text, if it stands there as it is."""
    for number, text in enumerate(lines):
        if text.strip():
            found = raw.find(b"\n" + text.encode("utf-8", "replace") + b"\n", place)
            return raw.count(b"\n", 0, found + 1) - number if found >= 0 else None
    return None
