"""A probability grows with the score, lies between 0 and 1, and there is a curve for whatever is asked."""

import numpy as np
import pytest

from gemlet.prompts import PUBLISHED_PROMPTS
from gemlet.relevance import BOTH, VECTORS, Curve, curve_for, least_match, word_share
from gemlet.vectors import MATRYOSHKA_DIMS

TASKS = {"search result", "question answering", "fact checking", "code retrieval"}  # any other goes by the first
CURVES = [curve for table in (BOTH, VECTORS) for curves in table.values() for curve in curves.values()]


@pytest.mark.parametrize("table", [BOTH, VECTORS], ids=["both", "vectors"])
def test_every_task_has_a_curve_for_every_dimension(table: dict[str, dict[int, Curve]]) -> None:
    assert set(table) == TASKS
    for curves in table.values():
        assert set(curves) == set(MATRYOSHKA_DIMS)


@pytest.mark.parametrize("curve", CURVES)
def test_probability_grows_with_the_score(curve: Curve) -> None:
    chances = curve.probability(np.linspace(-1, 2, 301, dtype=np.float32))
    assert (np.diff(chances) >= 0).all()
    assert ((chances >= 0) & (chances <= 1)).all()


@pytest.mark.parametrize("curve", CURVES)
def test_nothing_in_common_is_no_match_and_the_same_text_is(curve: Curve) -> None:
    none, same = curve.probability(np.array([0.1, 0.95], np.float32))
    assert none < least_match("code retrieval") / 2
    assert same > 0.9


@pytest.mark.parametrize("value", [-np.inf, -1e30, 1e30, np.inf])
def test_an_odd_score_is_certain_and_gives_no_warning(value: float) -> None:
    chance = curve_for("query", 768, words=True).probability(np.array([value], np.float32))[0]
    assert chance == pytest.approx(0 if value < 0 else 1)


def test_a_task_is_known_by_any_of_its_names() -> None:
    for name, prompt in PUBLISHED_PROMPTS.items():
        if "query" in prompt:
            assert curve_for(name, 768, words=True)
    assert curve_for("query", 768, words=True) is curve_for("Retrieval-query", 768, words=True)
    assert curve_for("query", 768, words=True) is BOTH["search result"][768]
    assert curve_for("InstructionRetrieval", 128, words=False) is VECTORS["code retrieval"][128]
    assert curve_for("riddles", 512, words=True) is BOTH["search result"][512]


def test_code_matches_sooner_by_any_name_of_its_prompt() -> None:
    assert least_match("InstructionRetrieval") == least_match("code retrieval") < least_match("query")
    assert least_match("query") == least_match("no such task")


def test_a_dimension_between_takes_the_nearest() -> None:
    assert curve_for("query", 64, words=True) is BOTH["search result"][128]
    assert curve_for("query", 600, words=True) is BOTH["search result"][512]


def test_a_share_of_words_is_between_none_and_all() -> None:
    """BM25 of a word in one of n passages is at most 2.2 ln(n) or so, and as much again for its other forms."""
    for passages in (1, 10, 1000, 10**6):
        weight = np.log((passages - 1 + 0.5) / 1.5) if passages > 2 else 0
        share = word_share(np.array([0, 4 * 4.4 * max(weight, 0)], np.float32), 4, passages)
        assert share[0] == 0
        assert 0 <= share[1] <= 1


def test_a_query_of_one_word_counts_as_one_of_three() -> None:
    bm25 = np.array([5], np.float32)
    assert word_share(bm25, 1, 100) == word_share(bm25, 3, 100) == 2 * word_share(bm25, 6, 100)
