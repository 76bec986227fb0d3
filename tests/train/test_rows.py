"""Tables → training sets: what the columns say, and one line for each mistake."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from training import write_rows

from gemlet.errors import InputError
from gemlet.train import Settings, read_training_set


@pytest.mark.parametrize(
    ("rows", "kind", "columns"),
    [
        ([{"anchor": "a", "positive": "b"}], "pairs", ["anchor", "positive"]),
        ([{"question": "a", "id": 7, "answer": "b"}], "pairs", ["anchor", "positive"]),
        ([{"left": "a", "right": "b"}], "pairs", ["anchor", "positive"]),
        ([{"query": "a", "document": "b", "negative": "c"}], "pairs", ["anchor", "positive", "negative_1"]),
        (
            [{"anchor": "a", "positive": "b", "negative_1": "c", "negative_2": "d"}],
            "pairs",
            ["anchor", "positive", "negative_1", "negative_2"],
        ),
        (
            [
                {"anchor": "a", "positive": "b", "negatives": ["c", "d"]},
                {"anchor": "e", "positive": "f", "negatives": ["g"]},
            ],
            "pairs",
            ["anchor", "positive", "negative_1"],
        ),
        (
            [{"sentence1": "a", "sentence2": word, "score": i} for i, word in enumerate("bcd")],
            "scores",
            ["anchor", "positive"],
        ),
        ([{"text": "a", "label": "x"}, {"text": "b", "label": "x"}, {"text": "c", "label": "y"}], "labels", ["text"]),
    ],
)
def test_the_columns_say_what_rows_are(tmp_path: Path, rows: list[Any], kind: str, columns: list[str]) -> None:
    found = read_training_set(write_rows(tmp_path / "rows.jsonl", rows))
    assert (found.kind, found.columns, len(found)) == (kind, columns, len(rows))
    assert found.texts[0][0] == "a"
    assert found.name == "rows.jsonl"


def test_columns_can_be_named_in_any_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("n,worse,best,asked\n1,c,b,a\n")
    found = read_training_set(path, columns=["asked", "best", "worse"])
    assert found.texts == [("a", "b", "c")]
    assert read_training_set(path, "pairs", ["asked", "best"]).texts == [("a", "b")]


def test_of_lists_of_negatives_every_row_has_as_many(tmp_path: Path) -> None:
    rows = [
        {"anchor": "a", "positive": "b", "negatives": ["c", "d"]},
        {"anchor": "e", "positive": "f", "negatives": ["g"]},
    ]
    found = read_training_set(write_rows(tmp_path / "rows.jsonl", rows))
    assert found.texts == [("a", "b", "c"), ("e", "f", "g")]
    assert "the first 1 are taken" in found.notes[0]


def test_rows_without_text_are_left_out_when_that_is_wanted(tmp_path: Path) -> None:
    rows = [{"anchor": "a", "positive": "b"}, {"anchor": " ", "positive": "c"}, {"anchor": "d", "positive": None}]
    found = read_training_set(write_rows(tmp_path / "rows.jsonl", rows), skip_empty=True)
    assert found.texts == [("a", "b")]
    assert "2 rows without text are left out" in found.notes[0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"anchor": "a", "positive": ""}], r"rows.jsonl:1 has no text in 'positive': fill it, or leave such rows out"),
        ([{"anchor": "a", "positive": None}], r"rows.jsonl:1 has no text in 'positive'"),
        (
            [{"anchor": "a", "positive": "b", "negative": "c"}, {"anchor": "a", "positive": "b"}],
            r"rows.jsonl:2 has no text in 'neg",
        ),
        ([{"anchor": "a", "positive": "b", "negatives": []}], r"rows.jsonl:1 has no list of texts in 'negatives'"),
        ([{"anchor": "a", "positive": ["b"]}], r"rows.jsonl:1 has no text in 'positive', but a list"),
        (
            [{"text": "a", "label": "x"}, {"text": "b", "label": "x"}],
            r"every text has the label 'x': there is nothing to tell",
        ),
        ([{"text": "a", "label": "x"}, {"text": "b", "label": "y"}], r"no label has two texts"),
        ([{"text": "a", "label": "x"}, {"text": "b", "label": ""}], r"rows.jsonl:2 has no label"),
        ([{"sentence1": "a", "sentence2": "b", "score": "high"}], r"rows.jsonl:1 has the score 'high'"),
        ([{"sentence1": "a", "sentence2": "b", "score": 1}] * 3, r"all 3 pairs have the score 1"),
        ([{"name": "a", "age": "b", "town": "c"}], r"what is there to learn\? .* the columns are: name, age, town"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_row(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        read_training_set(write_rows(tmp_path / "rows.jsonl", rows))
    assert "\n" not in str(raised.value)


def test_a_broken_line_and_an_empty_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"anchor": "a", "positive": "b"}\n{"anchor": "a", "posi\n')
    with pytest.raises(InputError, match=r"rows\.jsonl:2 is not JSON"):
        read_training_set(path)
    path.write_text("")
    with pytest.raises(InputError, match=r"there is no row in it"):
        read_training_set(path)
    with pytest.raises(InputError, match=r"there is no column 'nothing'"):
        read_training_set(write_rows(path, [{"a": "b", "c": "d"}]), columns=["nothing", "c"])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"batch": 0}, "batch is 0: it is a whole number, 1 or more"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": 0.0}, "learning_rate and clip must be above 0"),
        ({"warmup": 1.5}, "a share of the steps, 0 to 1"),
        ({"method": "half"}, "method is 'half'; available: lora, full"),
        ({"train_table": True}, 'train_table and qat are for method="full", and either learns without the other'),
        ({"weights": (1.0, 0.0)}, "each must be above 0"),
        ({"max_length": 4}, "max_length is 4"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Settings(**choice)


def test_settings_are_json() -> None:
    assert json.loads(json.dumps(Settings().as_dict()))["loss"]["hardness"] == 5.0
