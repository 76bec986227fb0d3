"""What goes out of a training set, and why; what stays is untouched."""

import random
import sys
from typing import Any

import numpy as np
import pytest

from gemlet import Embedder, InputError, MissingExtra
from gemlet.curate import EvaluationTexts, PersonalData, Plan, Quality, clean
from gemlet.curate.personal import IDENTITIES, _modules
from gemlet.curate.quality import language_fault
from gemlet.curate.words import runs_of, words_of

SENTENCE = (
    "the old lighthouse keeper walks down to the harbour every morning before the first boats come in"  # 17 words
)


def extra(module: str, name: str) -> None:
    pytest.importorskip(module, reason=f"needs an extra: pip install 'gemlet[{name}]'")


@pytest.fixture
def privacy() -> None:
    extra("phonenumbers", "privacy")
    extra("stdnum", "privacy")


def reasons(rows: list[str], plan: Plan | None = None, against: tuple[str, ...] = (), **how: Any) -> dict[int, str]:
    return {one.row: one.reason for one in clean([[text] for text in rows], plan, against, **how).gone}


def test_words_are_the_same_in_every_writing() -> None:
    assert words_of("Don't STOP — Ünïcode ﬁle_name!") == ["don", "t", "stop", "ünïcode", "file", "name"]
    assert words_of("U\u0308ber") == words_of("ÜBER") == ["über"]
    assert words_of("図書館は9時") == ["図", "書", "館", "は", "9", "時"]
    assert words_of("हिन्दी किताब") == ["हिन्दी", "किताब"]  # vowel signs are of the word
    assert words_of("…!?") == []


def test_runs_are_equal_where_their_words_are() -> None:
    draw = random.Random(0)
    words = [draw.choice("abcde") for _ in range(300)]
    hashes = runs_of(words, 3)
    runs = [tuple(words[at : at + 3]) for at in range(298)]
    assert len(set(zip(hashes.tolist(), runs, strict=True))) == len(set(hashes.tolist())) == len(set(runs))
    assert len(runs_of(words[:2], 3)) == 0
    assert np.array_equal(runs_of(words[5:8], 3), hashes[5:6])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\t\u3000", "empty"),
        ("!!! *** ### ok", "mostly symbols"),
        ("🎉🎉🎉", "mostly symbols"),
        ("one two", "too short"),
        ("w " * 31, "too long"),
        ("buy now\nbuy now\nbuy now\nread this text", "repeated lines"),
        ("a line of text\nand then another one\na line of text", None),  # a refrain
        ("for (i = 0; i < n; i++) { total += x[i] * y[i]; }", None),  # code is no rubbish
        ("図書館は何時に開きますか", None),
        ("हिन्दी में एक किताब", None),
    ],
)
def test_quality(text: str, reason: str | None) -> None:
    found = Quality(min_words=3, max_words=30).fault(text)
    assert (found and found[0]) == reason


def test_limits_that_cannot_be() -> None:
    for limits, message in (
        ({"min_words": -1}, "min_words is -1"),
        ({"min_words": 5, "max_words": 4}, "max_words 4"),
        ({"min_words": 0, "max_words": 0}, "max_words 0"),
        ({"symbols": 1.5}, "symbols is 1.5"),
        ({"repeated": float("nan")}, "repeated is nan"),
    ):
        with pytest.raises(InputError, match=message):
            Quality(**limits)
    for plan, message in (({"near": 2}, "near is 2"), ({"personal": "burn"}, "available: keep, drop, mask")):
        with pytest.raises(InputError, match=message):
            Plan(**plan)


def test_a_row_goes_by_the_first_reason_found_in_any_of_its_texts() -> None:
    rows = [["question", "an answer"], ["question", ""], ["question", None], ["???", ""], ["Question ", "AN  answer"]]
    found = clean(rows)
    assert found.kept == [0, 2]
    assert [(one.row, one.reason, one.column, one.row_of) for one in found.gone] == [
        (1, "empty", 1, None),
        (3, "mostly symbols", 0, None),
        (4, "the same as another row", None, 0),
    ]
    assert found.texts == rows
    assert found.reasons == {"empty": 1, "mostly symbols": 1, "the same as another row": 1}


def test_nothing_and_one_row_and_ten_of_one() -> None:
    assert clean([]).kept == []
    assert clean([["alone"]]).kept == [0]
    assert clean([["again"]] * 10).kept == [0]


def test_the_same_words_as_an_evaluation_text() -> None:
    known = EvaluationTexts(["Where is it?", SENTENCE, "", "…"])
    for text in ("where IS it", "  WHERE—is it!!"):
        found = known.find(text)
        assert found is not None
        assert (found.reason, found.row) == ("the same text", 0)
    for text in ("where is it now", "", "…"):
        assert known.find(text) is None


def test_thirteen_words_in_a_row() -> None:
    words = SENTENCE.split()
    known = EvaluationTexts(["something else entirely", SENTENCE])
    found = known.find(f"They say {' '.join(words[2:15]).upper()}, and so on")
    assert found is not None
    assert (found.reason, found.row, found.words) == ("shared words", 1, " ".join(words[2:15]))
    assert known.find(f"They say {' '.join(words[2:14])} and so on") is None  # twelve
    assert EvaluationTexts([SENTENCE], run=5).find(f"They say {' '.join(words[4:9])}") is not None


def test_a_short_evaluation_text_must_be_there_whole() -> None:
    question = "at what time does the harbour museum open"  # 8 words
    known = EvaluationTexts([question, "seven words are too few for that"])
    assert known.find(f"People ask: {question}? At nine.") is not None
    assert known.find("People ask: at what time does the harbour museum close?") is None
    assert known.find("Indeed seven words are too few for that, they say") is None
    assert known.find("seven words are too few for that!") is not None


def test_a_run_of_one_word_is_refused() -> None:
    with pytest.raises(InputError, match="a run of 1 words"):
        EvaluationTexts(["a"], run=1)


def test_vectors_find_what_words_do_not(tiny: Embedder) -> None:
    rows = ["a cat sat on the mat", "quantum chromodynamics", "a cat sat on the mats", "twelve plus thirty is 42"]
    near = Plan(near=0.985)
    assert reasons(rows, near, embedder=tiny) == {2: "nearly another row"}
    found = clean([[text] for text in rows], near, ["", "quantum chromodynamic"], embedder=tiny)
    assert [(one.row, one.reason, one.row_of, one.text_of, one.column) for one in found.gone] == [
        (1, "nearly in an evaluation set", None, 1, 0),
        (2, "nearly another row", 0, None, None),
    ]
    assert reasons(["!!!"], near, embedder=tiny) == {0: "mostly symbols"}  # nothing is left to compare
    with pytest.raises(InputError, match="pass an embedder"):
        clean([["a"]], near)


def test_vectors_of_rows_with_two_texts(tiny: Embedder) -> None:
    rows = [["red", "a cat sat on the mat"], ["blue", "quantum chromodynamics"], ["green", None]]
    found = clean(rows, Plan(near=0.985), ["a cat sat on the mats"], embedder=tiny)
    assert [(one.row, one.reason, one.column) for one in found.gone] == [(0, "nearly in an evaluation set", 1)]


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    clean([["one"], ["two"]], reading=lambda at, of: told.append((at, of)))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to anna.b+x@example.co.uk, please.", "Write to [mail], please."),
        ("jürgen@bücher.example or me", "[mail] or me"),
        ("Call +49 30 901820 or +1 415-555-2671!", "Call [telephone] or [telephone]!"),
        ("IBAN DE89 3704 0044 0532 0130 00 THEN go", "IBAN [iban] THEN go"),
        ("gb82west12345698765432", "[iban]"),
        ("pay with 4111-1111-1111-1111.", "pay with [card]."),
        ("from 8.8.8.8 and 2001:4860:4860::8888", "from [ip] and [ip]"),
        ("two: a@example.org b@example.org", "two: [mail] [mail]"),
    ],
)
def test_personal_data_is_masked(privacy: None, text: str, masked: str) -> None:
    assert PersonalData().mask(text)[0] == masked


@pytest.mark.parametrize(
    "text",
    [
        "order 20261125-4471, isbn 978-3-16-148410-0, on 2026-11-25 at 12:30:45",
        "IBAN DE89 3704 0044 0532 0130 01",  # the check digits are wrong
        "4111 1111 1111 1112",
        "10.0.0.1, 127.0.0.1 and version 1.2.3; 300.1.1.1",
        "030 901820 without a country",
        "a @ b, @home, user@localhost",
        "",
    ],
)
def test_what_only_looks_like_it_stays(privacy: None, text: str) -> None:
    assert PersonalData().find(text) == []


@pytest.mark.parametrize(
    ("country", "text", "masked"),
    [
        ("DE", "Ruf an: 030 901820. Steuer-ID 36 574 261 809", "Ruf an: [telephone]. Steuer-ID [identity]"),
        ("us", "ssn 536-90-4399, call (415) 555-2671", "ssn [identity], call [telephone]"),
        ("US", "number 536904399", "number 536904399"),  # any nine digits would do
        ("GB", "NHS 943 476 5870", "NHS [identity]"),
        ("FR", "NIR 2 95 10 99 126 111 93", "NIR [identity]"),
        ("IN", "PAN ACUPA7085R", "PAN [identity]"),
        ("SE", "880320-0016", "[identity]"),
    ],
)
def test_numbers_of_a_country(privacy: None, country: str, text: str, masked: str) -> None:
    assert PersonalData([country]).mask(text)[0] == masked


def test_every_country_has_what_is_said_of_it(privacy: None) -> None:
    for country in IDENTITIES:
        assert all(callable(module.is_valid) for module in _modules(country))
        PersonalData([country])
    with pytest.raises(InputError, match="'XX' is no country"):
        PersonalData(["xx"])


def test_rows_with_personal_data_are_dropped_or_masked(privacy: None) -> None:
    rows = [["who?", "a@example.org or b@example.org"], ["a plain row", None]]
    dropped = clean(rows, Plan(personal="drop"))
    assert [(one.row, one.reason, one.detail, one.column) for one in dropped.gone] == [(0, "personal data", "mail", 1)]
    masked = clean(rows, Plan(personal="mask"))
    assert masked.texts == [["who?", "[mail] or [mail]"], ["a plain row", None]]
    assert (masked.kept, masked.masked) == ([0, 1], {"mail": 2})
    assert rows[0][1] == "a@example.org or b@example.org"  # what was passed in is as it was


def test_rows_that_are_the_same_when_masked(privacy: None) -> None:
    found = clean([["write to a@example.org"], ["write to b@example.org"]], Plan(personal="mask"))
    assert (found.kept, found.masked) == ([0], {"mail": 1})


def test_another_language() -> None:
    extra("py3langid", "language")
    rows = [
        "Where can I return the books that I borrowed?",
        "Wo kann ich die Bücher zurückgeben, die ich geliehen habe?",
        "Où puis-je rendre les livres que j'ai empruntés ?",
        "ok",  # too short to tell
    ]
    assert reasons(rows, Plan(languages=["en"])) == {1: "another language", 2: "another language"}
    assert reasons(rows, Plan(languages=["EN", "de"])) == {2: "another language"}
    with pytest.raises(InputError, match="no language has the code 'xx'"):
        language_fault(["xx"])


@pytest.mark.parametrize(
    ("modules", "plan", "name"),
    [
        (["phonenumbers"], Plan(personal="drop"), "privacy"),
        (["py3langid", "py3langid.langid"], Plan(languages=["en"]), "language"),
    ],
)
def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, modules: list[str], plan: Plan, name: str) -> None:
    from gemlet.curate.quality import _identifier

    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    _identifier.cache_clear()
    with pytest.raises(MissingExtra, match=rf"pip install 'gemlet\[{name}\]'"):
        clean([["a"]], plan)


def test_no_text_takes_long_to_look_through(privacy: None) -> None:
    """What matches again and again, or nearly: minutes where a search is quadratic."""
    data = PersonalData(["DE", "US"])
    for text, count in (("a.a@" * 20_000, 10_000), ("a-" * 50_000 + "é", 0), ("w" * 200_000, 0)):
        assert len(data.find(text)) == count


def test_half_a_character_is_no_trouble(privacy: None) -> None:
    """A lone surrogate, as JSON may have it."""
    found = clean([["\ud800 is half a character"], ["\ud800"]], Plan(personal="mask"), ["\ud800 is"])
    assert (found.kept, found.reasons) == ([0], {"mostly symbols": 1})
