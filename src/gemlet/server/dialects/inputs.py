"""What OpenAI's and Hugging Face's clients send to be embedded: a text, texts, tokens.   (JSON → texts or tokens)"""

from typing import Annotated, Any

import msgspec

from gemlet.server.problems import Problem

_TEXT = {"type": "string", "minLength": 1}
_TOKENS = {"$ref": "#/components/schemas/Tokens"}

SCHEMA: dict[str, Any] = {
    "anyOf": [
        _TEXT,
        {"type": "array", "minItems": 1, "items": _TEXT},
        _TOKENS,
        {"type": "array", "minItems": 1, "items": _TOKENS},
    ],
    "description": "A text, texts, or tokens of this model as /tokenize gives them: <bos> comes first.",
}

Inputs = Annotated[str | list[str | int | list[int]], msgspec.Meta(extra_json_schema={"x-schema": SCHEMA})]
Texts = Annotated[
    str | list[str],
    msgspec.Meta(extra_json_schema={"x-schema": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": _TEXT}]}}),
]


def as_texts(given: str | list[str], param: str) -> list[str]:
    """The texts. Raises Problem when there is none, and for an empty one."""
    texts = [given] if isinstance(given, str) else given
    if not texts:
        raise Problem("empty", f"`{param}` is empty", param=param)
    if not all(texts):
        raise Problem("invalid", f"a text of `{param}` is empty", param=param)
    return texts


def as_tokens(given: Any) -> list[list[int]] | None:
    """The tokens of each text, or None when they are texts. Raises Problem for both in one list."""
    if isinstance(given, str) or not given:
        return None
    rows = [given] if isinstance(given[0], int) else given
    if all(isinstance(row, list) and all(isinstance(token, int) for token in row) for row in rows):
        return list(rows)
    if all(isinstance(row, str) for row in rows):
        return None
    raise Problem("invalid", "texts, tokens and lists of tokens cannot be mixed in one request", param="input")
