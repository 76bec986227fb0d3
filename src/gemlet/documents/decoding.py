"""A text file's bytes → str, whatever encoding they are in; every newline a line feed."""

import codecs
import re

from gemlet.documents.document import Unreadable

_BOMS = [
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
]
_DECLARED = re.compile(rb"""(?:coding[:=]|charset=|encoding=)\s*["']?([\w.:-]{2,40})""", re.I)
_NO_CHARSETS = {"unicode_escape", "raw_unicode_escape", "punycode", "idna", "undefined", "mbcs", "oem"}
"""What Python also calls an encoding, but no text is in."""

_NOT_ASCII = bytes(range(128, 256))
_CONTROLS = re.compile("[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_WINDOWS_1252_GAPS = re.compile("[\x81\x8d\x8f\x90\x9d]")


def decode(data: bytes, charset: str | None = None) -> str:
    """Decode by the byte order mark, as UTF-8, by `charset` or what the file declares, else as Windows-1252.

    UTF-8 with a few broken bytes stays UTF-8, with U+FFFD in their place. Raises Unreadable for what is no text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _newlines(data[len(mark) :].decode(encoding, "replace"))
    if charset and (text := _decode_as(charset, data)) is not None:
        return _newlines(text)
    if b"\0" in data:
        raise Unreadable("is a binary file, not text")
    try:
        return _newlines(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _newlines(_declared(data) or _damaged_utf8(data) or _western(data))


def _declared(data: bytes) -> str | None:
    """By a coding cookie, <meta charset> or XML declaration; not by one that says UTF-8, which was tried."""
    for match in _DECLARED.finditer(data[:2048]):
        if (text := _decode_as(match[1].decode("ascii", "replace"), data)) is not None:
            return text
    return None


def _decode_as(charset: str, data: bytes) -> str | None:
    """None when that is no charset, or the bytes are not in it."""
    try:
        if codecs.lookup(charset).name in _NO_CHARSETS:
            return None
        return data.decode(charset).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    except (LookupError, ValueError):
        return None


def _damaged_utf8(data: bytes) -> str | None:
    """As UTF-8 when most of what is not ASCII is sound."""
    text = data.decode("utf-8", "replace")
    not_ascii = len(data) - len(data.translate(None, _NOT_ASCII))
    return text if not_ascii >= 4 * text.count("\ufffd") else None


def _western(data: bytes) -> str:
    """As Windows-1252, in which five bytes mean nothing: these as Latin-1 has them."""
    text = data.decode("latin-1")
    begin = text[: 1 << 16]
    if len(_CONTROLS.findall(begin)) > len(begin) // 20:
        raise Unreadable("is a binary file, not text")
    return text if _WINDOWS_1252_GAPS.search(text) else data.decode("cp1252")


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
