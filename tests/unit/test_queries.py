"""Queries by a language model: read out of what it answers, checked, and not asked twice."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gemlet import Embedder, GenerationError, InputError
from gemlet.curate import Query, round_trip, write_queries

PASSAGES = ["the old lighthouse keeper walks down to the harbour every morning", "bread is baked at four", "a third"]


class Scribe:
    """A model that writes what it is told to, and breaks off after so many answers."""

    name = "scribe"

    def __init__(self, *answers: str, breaks_after: int = 100) -> None:
        self.answers, self.left = list(answers), breaks_after
        self.asked: list[Any] = []

    def write(self, messages: Sequence[Any], *, max_tokens: int = 512) -> Iterator[str]:
        if not self.left:
            raise GenerationError("it broke off")
        self.left -= 1
        self.asked.append(messages)
        answer = self.answers[(len(self.asked) - 1) % len(self.answers)]
        yield from (answer[:5], answer[5:])


def test_each_passage_is_asked_for_by_itself() -> None:
    scribe = Scribe("who walks?\nwhen does he walk?", "when is bread baked?", "")
    told: list[tuple[int, int]] = []
    found = write_queries(scribe, PASSAGES, 2, progress=lambda at, of: told.append((at, of)))
    assert found == [Query(0, "who walks?"), Query(0, "when does he walk?"), Query(1, "when is bread baked?")]
    assert told == [(1, 3), (2, 3), (3, 3)]
    for messages, passage in zip(scribe.asked, PASSAGES, strict=True):
        assert [one["role"] for one in messages] == ["system", "user"]
        assert passage in messages[1]["content"]
        assert "write 2 different queries" in messages[1]["content"]


def test_equal_passages_are_asked_for_once() -> None:
    scribe = Scribe("who walks?")
    found = write_queries(scribe, [PASSAGES[0], f" {PASSAGES[0]}  ", PASSAGES[0]], 1)
    assert (found, len(scribe.asked)) == ([Query(0, "who walks?")], 1)


@pytest.mark.parametrize(
    ("line", "text", "reason"),
    [
        ('1. "Who keeps the light?"', "Who keeps the light?", ""),
        ("- **keeper's walk**", "keeper's walk", ""),
        ("Q2: who?", "who?", ""),
        ("(3) wer?", "wer?", ""),
        ("2026 was a good year for what?", "2026 was a good year for what?", ""),
        ("Here are the questions:", "Here are the questions:", "no query"),
        ("???", "???", "no query"),
        ("word " * 41, ("word " * 41).strip(), "too long"),
        (
            "does the old lighthouse keeper walks down to the harbour?",
            "does the old lighthouse keeper walks down to the harbour?",
            "copies the passage",
        ),
        ("How do I get my bowl fired?", "How do I get my bowl fired?", "copies the example"),
        ("does the lighthouse keeper go to the harbour?", "does the lighthouse keeper go to the harbour?", ""),
    ],
)
def test_what_a_line_is_worth(line: str, text: str, reason: str) -> None:
    assert write_queries(Scribe(line), PASSAGES[:1], 1) == [Query(0, text, reason)]


def test_no_more_than_wanted_and_none_twice() -> None:
    answer = "Here you are:\n\n1. who?\n2. WHO?\n3. when?\n4. where?\n5. why?"
    assert write_queries(Scribe(answer), PASSAGES[:1], 3) == [
        Query(0, "Here you are:", "no query"),
        Query(0, "who?"),
        Query(0, "WHO?", "written twice"),
        Query(0, "when?"),
        Query(0, "where?"),
    ]


def test_a_model_that_never_ends_is_stopped() -> None:
    closed = []

    class Endless(Scribe):
        def write(self, messages: Sequence[Any], *, max_tokens: int = 512) -> Iterator[str]:
            try:
                for number in range(10_000):
                    yield f"what is {number}?\n"
            finally:
                closed.append(number)

    assert len(write_queries(Endless(), PASSAGES[:1], 2)) == 2
    assert closed == [5]
    invented = "who walks?\nPassage:\nThe moon is made of cheese.\n\nAnswer:\nwhat is the moon made of?"
    assert write_queries(Scribe(invented), PASSAGES[:1], 3) == [Query(0, "who walks?")]


def test_a_run_that_broke_off_goes_on_where_it_was(tmp_path: Path) -> None:
    journal = tmp_path / "out.jsonl.part"
    answers = ("who?", "what?", "why?")
    with pytest.raises(GenerationError, match="it broke off"):
        write_queries(Scribe(*answers, breaks_after=2), PASSAGES, 1, journal=journal)
    with journal.open("ab") as file:
        file.write(b'{"passage": "0123", "ans')  # killed as it wrote
    rest = Scribe("why?")
    found = write_queries(rest, PASSAGES, 1, journal=journal)
    assert len(rest.asked) == 1
    assert found == write_queries(Scribe(*answers), PASSAGES, 1)
    assert [set(json.loads(line)) for line in journal.read_text().splitlines()][1:] == [{"passage", "answer"}] * 3
    silent = Scribe(breaks_after=0)
    assert write_queries(silent, PASSAGES[::-1], 1, journal=journal)[0] == Query(0, "why?")  # in any order


def test_another_runs_journal_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "out.part"
    write_queries(Scribe("who?"), PASSAGES, 1, journal=journal)
    before = journal.read_bytes()
    with pytest.raises(InputError, match="begun with another model, number of queries or version"):
        write_queries(Scribe("who?"), PASSAGES, 2, journal=journal)
    assert journal.read_bytes() == before
    for text in ("no journal\n", '{"a": 1}\n{"b": 2}\n', "[]\n[]\n", "\n"):
        journal.write_text(text)
        with pytest.raises(InputError, match="is no journal of queries"):
            write_queries(Scribe("who?"), PASSAGES, 1, journal=journal)
        assert journal.read_text() == text
    with pytest.raises(InputError, match=r"cannot write .*no/such: No such file"):
        write_queries(Scribe("who?"), PASSAGES, 1, journal=tmp_path / "no" / "such")


def test_a_query_must_find_its_passage(tiny: Embedder) -> None:
    texts = ["a cat sat on the mat", "quantum chromodynamics", "12 + 30", "a cat sat on the mat"]
    queries = [Query(row, text) for row, text in enumerate(texts)]
    wrong = [Query(0, texts[1]), Query(2, "whatever", "too long"), Query(3, texts[0])]
    found = round_trip(tiny, texts, [*queries, *wrong], task="document")
    assert found[:4] == queries
    assert found[4:] == [Query(0, texts[1], "finds other passages first"), wrong[1], wrong[2]]
    assert round_trip(tiny, texts, wrong[:1], within=3, task="document") == wrong[:1]  # three differ
    assert round_trip(tiny, texts, wrong[1:2]) == wrong[1:2]
    with pytest.raises(InputError, match="within is 0"):
        round_trip(tiny, texts, queries, within=0)


def test_nothing_to_ask_for() -> None:
    for passages, count in (([], 1), (["a"], 0)):
        with pytest.raises(InputError, match="1 or more of both"):
            write_queries(Scribe("who?"), passages, count)


def test_the_real_model_finds_the_way_back(embedder: Embedder) -> None:
    pages = ["The newspaper since 1871 is on film in the cellar.", "Stories are read on Wednesdays at four."]
    queries = [Query(0, "where can I see very old issues?"), Query(0, "what is there for children?")]
    assert [one.reason for one in round_trip(embedder, pages, queries)] == ["", "finds other passages first"]
