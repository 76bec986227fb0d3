"""Whatever the caller holds → a list of str.   (input → texts)"""

from collections.abc import Iterable
from typing import Any

from gemlet.errors import InputError

Texts = str | Iterable[str]


def as_texts(texts: Texts) -> tuple[list[str], bool]:
    """Return (list of str, was it a single str?) for a str or any iterable of them: list, generator, array, column.

    Lone surrogates, which no UTF-8 text can hold, become U+FFFD; a pair of them becomes the character that they spell.
    Everything else stays as it is, the empty string and NUL included.
    Raises InputError that names the row for None, NaN or anything else that is no str.
    """
    if isinstance(texts, str):
        return [_valid(texts)], True
    if isinstance(texts, bytes | dict) or hasattr(texts, "columns") or not hasattr(texts, "__iter__"):
        raise InputError(f"a str or an iterable of str is needed, not {_describe(texts)}")
    return [_valid(_checked(text, row)) for row, text in enumerate(texts)], False


def _checked(text: Any, row: int) -> str:
    if isinstance(text, str):
        return str(text)
    raise InputError(f"text {row} is {_describe(text)}, not a str: drop it, or pass '' for an empty text")


def _describe(value: object) -> str:
    if value is None or isinstance(value, float):
        return repr(value)
    if hasattr(value, "columns"):
        return f"a {type(value).__name__}: pass one column of it"
    return f"a {type(value).__name__}"


def _valid(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
