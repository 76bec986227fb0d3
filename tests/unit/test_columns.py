"""Which columns are texts, anchors and positives: by their usual names, or as they are named."""

from typing import Any

import pytest

from gemlet import InputError
from gemlet.curate import pair_columns, row_texts, text_columns
from gemlet.dataset import Dataset


def data(*rows: dict[str, Any], columns: list[str] | None = None) -> Dataset:
    places = [f"rows.jsonl:{at}" for at in range(1, len(rows) + 1)]
    return Dataset(columns or list(rows[0]), list(rows), places)


@pytest.mark.parametrize(
    ("columns", "pair"),
    [
        (["id", "anchor", "positive", "negative"], ("anchor", "positive")),
        (["Question", "Answer", "id"], ("Question", "Answer")),
        (["passage", "query"], ("query", "passage")),
        (["sentence1", "sentence2"], ("sentence1", "sentence2")),
        (["asked", "found"], ("asked", "found")),  # the two there are
    ],
)
def test_pairs_are_told_by_their_names(columns: list[str], pair: tuple[str, str]) -> None:
    assert pair_columns(data(columns=columns)) == pair


def test_pairs_are_named() -> None:
    rows = data(columns=["query", "Body", "title"])
    assert pair_columns(rows, None, "body") == ("query", "Body")
    assert pair_columns(rows, "title", "Body") == ("title", "Body")
    with pytest.raises(InputError, match="say --positive; the columns are: query, Body, title"):
        pair_columns(rows)
    with pytest.raises(InputError, match="say --anchor and --positive; the columns are: a, b, c"):
        pair_columns(data(columns=["a", "b", "c"]))
    with pytest.raises(InputError, match="there is no column 'x'"):
        pair_columns(rows, "x", "Body")
    with pytest.raises(InputError, match="both 'query'"):
        pair_columns(rows, None, "query")


def test_texts_are_told_by_their_names() -> None:
    assert text_columns(data(columns=["id", "Text", "positive", "negative_1", "negative_2", "score"])) == [
        "Text", "positive", "negative_1", "negative_2",
    ]  # fmt: skip
    assert text_columns(data(columns=["whatever"])) == ["whatever"]
    assert text_columns(data(columns=["id", "words", "text"]), ["WORDS", "id", "words"]) == ["words", "id"]
    with pytest.raises(InputError, match="which columns are texts"):
        text_columns(data(columns=["id", "words"]))
    with pytest.raises(InputError, match="there is no column 'no'"):
        text_columns(data(columns=["id", "words"]), ["no"])


def test_a_text_that_is_not_there() -> None:
    rows = data({"title": "", "text": "a", "negative": None}, {"title": float("nan"), "text": None, "negative": 7})
    assert row_texts(rows, ["title", "text", "negative"]) == [[None, "a", None], [None, "", "7"]]
    with pytest.raises(InputError, match=r"rows.jsonl:2 has no text in 'text', but a list"):
        row_texts(data({"text": "a"}, {"text": ["b"]}), ["text"])
