"""The sentence that is marked is the one that says most of the query; a snippet is a part of the passage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemlet.search.snippets import MOST, WIDTH, folded_words, overlaps, shared_words, snippet_of, units

TEXT = (
    "The lease runs for five years. It ends on 31 March 2027 unless it is renewed. "
    "The landlord repairs the roof. The tenant pays for the heating."
)


def marked(query: str, text: str, code: bool = False) -> str:
    spans = units(text, code)
    said = overlaps(folded_words(query), text, spans)
    found = snippet_of(text, spans, said.index(max(said)), code=code)
    begin, end = found.marked
    return found.text[begin:end]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("when does it end", "It ends on 31 March 2027 unless it is renewed."),
        ("who repairs the roof?", "The landlord repairs the roof."),
        ("HEATING", "The tenant pays for the heating."),
        ("renewal", "It ends on 31 March 2027 unless it is renewed."),
        ("zebras", "The lease runs for five years."),
    ],
)
def test_the_sentence_that_says_most_is_marked(query: str, sentence: str) -> None:
    assert marked(query, TEXT) == sentence


def test_accents_and_scripts_without_spaces_are_no_hindrance() -> None:
    assert marked("uber", "Es regnet. Wir reden über Geld.") == "Wir reden über Geld."
    assert marked("東京", "今日は雨です。明日は東京に行きます。").strip() == "明日は東京に行きます。"


def test_in_code_a_line_is_marked() -> None:
    code = "def first():\n    return 1\n\n\ndef second():\n    return open(path)\n"
    assert marked("open a path", code, code=True) == "return open(path)"


def test_shared_words_are_named_once_in_the_querys_order() -> None:
    assert shared_words(folded_words("The lease, the ROOF"), folded_words("roof of the lease")) == [
        "the",
        "lease",
        "roof",
    ]


@given(
    st.text("ab. \n!é日本。", min_size=1, max_size=900) | st.text("ab ", min_size=900, max_size=2000),
    st.integers(0, 50),
    st.booleans(),
)
def test_a_snippet_is_a_part_of_the_text(text: str, row: int, code: bool) -> None:
    spans = units(text, code)
    best = row % len(spans)
    found = snippet_of(text, spans, best, code=code)
    begin, end = found.marked
    assert found.text in text
    assert 0 <= begin <= end <= len(found.text)
    assert found.text[begin:end] in text[slice(*spans[best])]
    assert found.line == text.count("\n", 0, spans[best][0])
    assert len(found.text) <= WIDTH + 3 * MOST


def test_a_snippet_of_a_long_sentence_is_cut_at_a_word() -> None:
    text = "word " * 1000
    found = snippet_of(text, [(0, len(text))], 0)
    assert len(found.text) <= MOST
    assert found.text.endswith("word")


def test_a_table_is_marked_by_the_line() -> None:
    table = "\n".join(
        f"| row {i} | {'value ' * 8}of {name} |" for i, name in enumerate(["gold", "lead", "zinc", "tin"] * 3)
    )
    assert marked("zinc", table) == table.split("\n")[2]
