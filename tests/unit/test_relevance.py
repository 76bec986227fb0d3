"""A probability grows with cosine and with words, lies between 0 and 1, and there is a curve for whatever is asked."""

import numpy as np
import pytest

from gemlet.prompts import PUBLISHED_PROMPTS
from gemlet.relevance import CURVES, MATCH, curve_for
from gemlet.vectors import MATRYOSHKA_DIMS

CURVED = [(task, dim) for task in CURVES for dim in MATRYOSHKA_DIMS]


def test_every_task_has_a_curve_for_every_dimension() -> None:
    assert set(CURVES) == {"search result", "question answering", "fact checking", "code retrieval"}
    for curves in CURVES.values():
        assert set(curves) == set(MATRYOSHKA_DIMS)


@pytest.mark.parametrize(("task", "dim"), CURVED)
def test_probability_grows_with_cosine_and_with_words(task: str, dim: int) -> None:
    curve = CURVES[task][dim]
    cosines = np.linspace(-1, 1, 101, dtype=np.float32)
    for bm25 in (0, 3, 30):
        chances = curve.probability(cosines, np.full_like(cosines, bm25))
        assert (np.diff(chances) >= 0).all()
        assert ((chances >= 0) & (chances <= 1)).all()
    at = np.array([0.5, 0.5], np.float32)
    less, more = curve.probability(at, np.array([0, 5], np.float32))
    assert less < more


@pytest.mark.parametrize(("task", "dim"), CURVED)
def test_nothing_in_common_is_no_match_and_the_same_text_is(task: str, dim: int) -> None:
    none, same = CURVES[task][dim].probability(np.array([0.1, 0.85], np.float32), np.zeros(2, np.float32))
    assert none < MATCH / 2
    assert same > 0.9


@pytest.mark.parametrize("value", [-np.inf, -1e30, 1e30, np.inf])
def test_an_odd_number_gives_no_warning(value: float) -> None:
    curve = curve_for("query", 768)
    assert curve.probability(np.array([value], np.float32), np.array([1e9], np.float32))[0] in (0, 1) or np.isinf(value)


def test_a_task_is_known_by_any_of_its_names() -> None:
    for name, prompt in PUBLISHED_PROMPTS.items():
        if "query" in prompt:
            assert curve_for(name, 768)
    assert curve_for("query", 768) is curve_for("Retrieval-query", 768) is CURVES["search result"][768]
    assert curve_for("InstructionRetrieval", 128) is curve_for("code retrieval", 128)
    assert curve_for("code retrieval", 128) is not curve_for("code retrieval", 768)


def test_a_dimension_between_takes_the_nearest() -> None:
    assert curve_for("query", 64) is CURVES["search result"][128]
    assert curve_for("query", 600) is CURVES["search result"][512]
