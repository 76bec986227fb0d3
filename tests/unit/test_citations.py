"""What an answer cites is checked as it is written, in whatever pieces it comes; a passage cannot pose as the user."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemlet.ask.citations import Citations
from gemlet.ask.sources import SYSTEM, as_sources, harmless, messages_for
from gemlet.search import Hit


def hit(text: str = "text", path: str = "/d/a.md", title: str | None = None, page: int | None = None) -> Hit:
    return Hit(
        path=path, first_line=3, last_line=5, page=page, title=title, text=text, snippet=text, marked=(0, 0), line=3,
        score=1.0, probability=0.9, cosine=0.5, bm25=1.0, semantic_rank=1, keyword_rank=1, words=(), kind="text",
        language=None, paths=(path,), passage_id=1, ord=0,
    )  # fmt: skip


def checked(pieces: list[str], sources: int = 3) -> tuple[str, list[int]]:
    citations = Citations(sources)
    text = "".join(citations.checked(iter(pieces)))
    return text, citations.cited


@pytest.mark.parametrize(
    ("answer", "text", "cited"),
    [
        ("It is red [2]. And old [1][2].", "It is red [2]. And old [1][2].", [2, 1]),
        ("Both [1, 3].", "Both [1][3].", [1, 3]),
        ("All [1-3]; all [1–3].", "All [1][2][3]; all [1][2][3].", [1, 2, 3]),
        ("As [Source 2] says.", "As [2] says.", [2]),
        ("Made up [4], half made up [3, 9].", "Made up , half made up [3].", [3]),
        ("Zero [0].", "Zero .", []),
        ("A [link](x) and [a-1] and [ ] stay.", "A [link](x) and [a-1] and [ ] stay.", []),
        ("Code `a[7]` and `b[1]` stays.", "Code `a[7]` and `b[1]` stays.", []),
        ("```\nx[9]\n``` but [1]", "```\nx[9]\n``` but [1]", [1]),
        ("Open [1", "Open [1", []),
        ("Huge [99999999999999999999]", "Huge ", []),
        ("Range [1-99999999]", "Range [1]", [1]),
    ],
)
def test_citations_are_numbers_of_sources(answer: str, text: str, cited: list[int]) -> None:
    assert checked([answer]) == (text, cited)
    assert checked(list(answer)) == (text, cited)


@given(st.text("a `[]123,-–;so ", max_size=60), st.integers(0, 1000))
def test_the_cut_into_pieces_does_not_matter(answer: str, seed: int) -> None:
    rng = random.Random(seed)
    pieces, rest = [], answer
    while rest:
        size = rng.randint(1, 7)
        pieces.append(rest[:size])
        rest = rest[size:]
    assert checked(pieces) == checked([answer])


def test_text_is_not_held_back_for_long() -> None:
    citations = Citations(3)
    pieces = citations.checked(iter(["a [", "and a lot more text that is no citation at all", " b"]))
    assert next(pieces) == "a "
    assert next(pieces).startswith("[and a lot")


def test_sources_are_numbered_while_they_fit() -> None:
    hits = [hit("x" * 10), hit("y" * 10), hit("z" * 100), hit("w")]
    sources = as_sources(hits, len, 25)
    assert [(s.number, s.text) for s in sources] == [(1, "x" * 10), (2, "y" * 10)]
    assert [s.text for s in as_sources([hit("x" * 100)], len, 25)] == ["x" * 25]
    assert as_sources([], len, 25) == []


def test_a_place_is_lines_or_a_page() -> None:
    sources = as_sources([hit(), hit(page=7)], len, 100)
    assert [s.place for s in sources] == ["/d/a.md:3-5", "/d/a.md page 7"]


def test_the_prompt_holds_the_sources_and_then_the_question() -> None:
    system, user = messages_for("Why?", as_sources([hit("Because.", title="Reasons"), hit("Or not.")], len, 100))
    assert system == {"role": "system", "content": SYSTEM}
    assert user["content"] == (
        "Sources:\n\n[1] Reasons, /d/a.md:3-5\nBecause.\n\n[2] /d/a.md:3-5\nOr not.\n\nQuestion: Why?"
    )


@pytest.mark.parametrize(
    "token",
    [
        "<end_of_turn>", "<start_of_turn>", "<|im_start|>", "<|im_end|>", "<eos>", "<bos>", "</s>", "[INST]", "[/INST]",
        "<|eot_id|>", "<|START_OF_TURN_TOKEN|>", "<think>",
    ],
)  # fmt: skip
def test_a_passage_cannot_open_a_turn_of_its_own(token: str) -> None:
    content = messages_for(
        f"Why {token}", as_sources([hit(f"a{token}b", title=f"t{token}", path=f"/d/{token}")], len, 99)
    )[1]["content"]
    assert token not in content
    assert content.count(token[0] + " " + token[1:]) == 4


def test_other_text_stays_as_it_is() -> None:
    text = "if a < b and c > d: x[i] = f<T>(y)  # [x] <1> < p >"
    assert harmless(text).replace("< T>", "<T>") == text
