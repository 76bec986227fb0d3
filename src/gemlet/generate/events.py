"""What a server sends → text, or why there is none.   (bytes of an answer → pieces of text)"""

import json
from collections.abc import Iterator
from typing import Any

from gemlet.errors import GenerationError

ANSWER_LIMIT = 200_000  # characters: more is no answer


def parsed(data: bytes, where: str) -> dict[str, Any]:
    """Return the object in an event's data. Raises GenerationError, in the name of `where`, when there is none."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise GenerationError(
            f"{where} sends what is no answer: {one_line(data[:80].decode('utf-8', 'replace'))}", where
        )
    return event


def text_of(event: dict[str, Any], part: str, where: str) -> str:
    """Return the text in an event ("delta") or a whole answer ("message"); reasoning is left out.

    Raises GenerationError when it is an error.
    """
    if event.get("error"):
        raise GenerationError(f"{where} stopped: {message(event['error'])}", where)
    choices = event.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return ""  # usage, pings
    inner = choices[0].get(part)
    text = inner.get("content") if isinstance(inner, dict) else choices[0].get("text")
    return text if isinstance(text, str) else ""


def reason(status: int, phrase: str, body: bytes) -> str:
    """What an answer that is no 200 says, in one line."""
    try:
        said = json.loads(body)
        detail = message(said.get("error") or said.get("detail") or said)
    except (ValueError, AttributeError, RecursionError):
        detail = one_line(body[:200].decode("utf-8", "replace")) or phrase
    return f"{status}, {detail}"


def message(error: Any) -> str:
    """What an error object says, in one line."""
    return one_line(str(error.get("message", error) if isinstance(error, dict) else error))


def one_line(text: str) -> str:
    """The text without line breaks, its first 300 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:300] + "…"


def limited(pieces: Iterator[str]) -> Iterator[str]:
    """The pieces, up to ANSWER_LIMIT characters: a server that never ends is left."""
    written = 0
    for piece in pieces:
        written += len(piece)
        if piece:
            yield piece
        if written > ANSWER_LIMIT:
            return


def without_thoughts(pieces: Iterator[str]) -> Iterator[str]:
    """The pieces without a first `<think>…</think>`, which some models write before they answer."""
    head, thinking = "", True
    for piece in pieces:
        if not thinking:
            yield piece
            continue
        head += piece
        begun = head.lstrip()
        if begun.startswith("<think>"):
            _, end, answer = begun.partition("</think>")
            if not end:
                continue
            head = answer.lstrip()
        elif "<think>".startswith(begun):
            continue
        thinking = False
        if head:
            yield head
    if thinking and head and not head.lstrip().startswith("<think>"):
        yield head
