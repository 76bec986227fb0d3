"""Hard negatives: what brute force finds, never a positive, never over the limit, the same each time."""

from typing import Any

import numpy as np
import pytest

from gemlet import Embedder, InputError
from gemlet.curate import Rule, mine

WORDS = ["red", "blue", "green", "cold", "hot", "wet", "dry", "old", "new", "high", "low", "loud"]
ANCHORS = [f"what is {word}" for word in WORDS]
POSITIVES = [f"{word} is {word} and nothing else, number {at}" for at, word in enumerate(WORDS)]
FREE = Rule(share=None)


def cosines(tiny: Embedder, queries: list[str], texts: list[str]) -> np.ndarray:
    """As 8 bits have them."""
    sides = []
    for side, prompt in ((queries, "query"), (texts, "document")):
        codes = tiny.encode(side, prompt_name=prompt, precision="int8").astype(np.float64)
        sides.append(codes / np.linalg.norm(codes, axis=1, keepdims=True))
    return sides[0] @ sides[1].T


def test_the_nearest_texts_that_are_no_positive_are_taken(tiny: Embedder) -> None:
    found = mine(tiny, ANCHORS, POSITIVES, rule=Rule(count=3, share=None))
    near = cosines(tiny, ANCHORS, POSITIVES)
    assert np.allclose(found.positive, np.diag(near), atol=1e-6)
    np.fill_diagonal(near, -2)
    for row, (taken, scores) in enumerate(zip(found.negatives, found.scores, strict=True)):
        assert taken == np.argsort(-near[row], kind="stable")[:3].tolist()
        assert np.allclose(scores, near[row, taken], atol=1e-6)


def test_the_window_passes_over_the_first_and_ends(tiny: Embedder) -> None:
    all_of_them = mine(tiny, ANCHORS, POSITIVES, rule=Rule(count=11, share=None)).negatives
    some = mine(tiny, ANCHORS, POSITIVES, rule=Rule(count=4, skip=3, depth=5, share=None)).negatives
    assert some == [row[3:7] for row in all_of_them]
    few = mine(tiny, ANCHORS, POSITIVES, rule=Rule(count=2, skip=10, depth=5, share=None)).negatives
    assert few == [row[10:] for row in all_of_them]  # fewer than wanted, where there are no more


def test_what_is_as_near_as_the_positive_is_not_taken(tiny: Embedder) -> None:
    near = cosines(tiny, ANCHORS, POSITIVES)
    for rule in (Rule(count=11), Rule(count=11, share=None, margin=0.1), Rule(count=11, share=0.8, margin=0.02)):
        found = mine(tiny, ANCHORS, POSITIVES, rule=rule)
        for row, taken in enumerate(found.negatives):
            own = near[row, row]
            below = near[row] < min(
                np.inf if rule.share is None else own - (1 - rule.share) * abs(own),
                np.inf if rule.margin is None else own - rule.margin,
            )
            below[row] = False
            assert sorted(taken) == np.flatnonzero(below).tolist()
            assert found.too_near[row] == 11 - below.sum()
    assert Rule(share=0.9).ceiling(-0.5) == pytest.approx(-0.55)  # a share of what is negative would lie above it


def test_no_positive_of_the_anchor_and_not_the_anchor_itself(tiny: Embedder) -> None:
    anchors = ["what is red", "what is red", "WHAT IS  RED", "what is blue"]
    positives = ["red is red", "a colour of blood", "what is red", "what is blue"]
    found = mine(tiny, anchors, positives, rule=Rule(count=3, share=None))
    assert found.corpus == positives
    assert found.negatives[:3] == [[3], [3], [3]]
    assert sorted(found.negatives[3]) == [0, 1, 2]


def test_a_corpus_of_its_own(tiny: Embedder) -> None:
    corpus = ["red is red and nothing else, number 0", "Red  is red", "red is red", "blue", ""]
    found = mine(tiny, ["what is red"], ["RED is red"], corpus, Rule(count=5, share=None))
    assert found.corpus == ["red is red and nothing else, number 0", "Red  is red", "blue", ""]  # each once
    assert sorted(found.negatives[0]) == [0, 2, 3]  # the positive is there in another writing
    found = mine(tiny, ["what is red"], ["it is not in the corpus"], ["blue"], FREE)
    assert (found.corpus, found.negatives) == (["blue"], [[0]])


def test_random_ones_are_of_the_window_and_the_same_each_time(tiny: Embedder) -> None:
    rule = Rule(count=2, skip=1, depth=6, share=None, sample="random", seed=7)
    first = mine(tiny, ANCHORS, POSITIVES, rule=rule)
    assert mine(tiny, ANCHORS, POSITIVES, rule=rule).negatives == first.negatives
    window = mine(tiny, ANCHORS, POSITIVES, rule=Rule(count=6, skip=1, depth=6, share=None)).negatives
    assert all(set(taken) <= set(row) for taken, row in zip(first.negatives, window, strict=True))
    assert first.negatives != [row[:2] for row in window]
    other = Rule(count=2, skip=1, depth=6, share=None, sample="random", seed=8)
    assert mine(tiny, ANCHORS, POSITIVES, rule=other).negatives != first.negatives


def test_one_pair_alone_finds_nothing(tiny: Embedder) -> None:
    assert mine(tiny, ["one"], ["two"]).negatives == [[]]
    assert mine(tiny, ["same"] * 10, ["same too"] * 10, rule=FREE).negatives == [[]] * 10


def test_more_anchors_than_a_block(tiny: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mine(tiny, ANCHORS, POSITIVES, rule=Rule(count=2, share=None))
    monkeypatch.setattr("gemlet.curate.mining.LEFT", 5)
    done: list[tuple[int, int]] = []
    parts = mine(
        tiny, ANCHORS, POSITIVES, rule=Rule(count=2, share=None), comparing=lambda at, of: done.append((at, of))
    )
    assert (parts.negatives, parts.scores) == (whole.negatives, whole.scores)
    assert done == [(5, 12), (10, 12), (12, 12)]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"skip": -1}, "skip -1"),
        ({"count": 3, "depth": 2}, "depth 2"),
        ({"share": 1.1}, "share is 1.1"),
        ({"share": float("nan")}, "share is nan"),
        ({"margin": -0.1}, "margin is -0.1"),
        ({"sample": "worst"}, "sample is 'worst'; available: hardest, random"),
    ],
)
def test_a_rule_that_cannot_be(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Rule(**rule)


def test_pairs_that_are_none(tiny: Embedder) -> None:
    for anchors, positives in (([], []), (["a"], [])):
        with pytest.raises(InputError, match="each pair has both"):
            mine(tiny, anchors, positives)
    with pytest.raises(InputError, match="the corpus has no text"):
        mine(tiny, ["a"], ["b"], [])
