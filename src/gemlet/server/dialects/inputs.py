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

_MIXED: dict[str, Any] = {
    "anyOf": [_TEXT, _TOKENS, {"type": "array", "minItems": 1, "items": {"anyOf": [_TEXT, _TOKENS]}}],
    "description": SCHEMA["description"],
}
_IDS: dict[str, Any] = {"type": "array", "items": {"$ref": "#/components/schemas/TokenId"}}
_DECODED = {"anyOf": [{**_IDS, "minItems": 1}, {"type": "array", "minItems": 1, "items": _IDS}]}

Inputs = Annotated[str | list[str | int | list[int]], msgspec.Meta(extra_json_schema={"x-schema": SCHEMA})]
Mixed = Annotated[str | list[str | int | list[int]], msgspec.Meta(extra_json_schema={"x-schema": _MIXED})]
Ids = Annotated[list[int | list[int]], msgspec.Meta(extra_json_schema={"x-schema": _DECODED})]
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
    kinds = {str} if isinstance(given, str) else set(map(type, given))
    if kinds <= {str}:
        return None
    if kinds == {int}:
        return [given]
    if kinds == {list}:
        return given  # type: ignore[no-any-return]
    raise Problem("invalid", "texts, tokens and lists of tokens cannot be mixed in one request", param="input")


def as_mixed(given: str | list[str | int | list[int]], param: str) -> list[str | list[int]]:
    """Texts and the tokens of texts, in one list. Raises Problem when there is none, and for an empty text."""
    alone = isinstance(given, str) or (given and all(isinstance(row, int) for row in given))
    rows: list[Any] = [given] if alone else list(given)
    if not rows:
        raise Problem("empty", f"`{param}` is empty", param=param)
    if any(isinstance(row, int) for row in rows):
        raise Problem("invalid", f"`{param}` has single tokens among texts or lists of tokens", param=param)
    if "" in rows:
        raise Problem("invalid", f"a text of `{param}` is empty", param=param)
    return rows
