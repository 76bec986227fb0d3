"""Duplicates, similar pairs, neighbours, translations, recommendations: what brute force in float32 finds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemlet import Embedder, InputError
from gemlet.pairs import (
    LEVELS,
    Keep,
    as_coded,
    code_texts,
    duplicate_texts,
    duplicates,
    mine_bitext,
    nearest,
    normal_form,
    recommend,
    similar_pairs,
    threshold_for,
)
from gemlet.pairs.comparing import LEFT, RIGHT
from gemlet.vectors import MATRYOSHKA_DIMS, normalize

ROUNDING = 2e-6  # of a sum of 96 products in float32, in another order


def made(n: int, dim: int = 96, kinds: int = 40, seed: int = 0) -> np.ndarray:
    """Unit vectors in clusters, some of whose members are very near."""
    random = np.random.default_rng([n, seed])
    centres = np.random.default_rng(dim).normal(size=(kinds, dim))
    noise = 0.25 * random.normal(size=(n, dim)) * random.random((n, 1))
    return normalize((centres[random.integers(0, kinds, n)] + noise).astype(np.float32))


def brute_duplicates(cosines: np.ndarray, threshold: float, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    keeper, score, kept = np.arange(len(cosines)), np.ones(len(cosines), np.float32), []
    for row in order:
        if kept:
            best = int(np.argmax(cosines[row, kept]))
            if cosines[row, kept[best]] >= threshold:
                keeper[row], score[row] = kept[best], cosines[row, kept[best]]
                continue
        kept.append(row)
    return keeper, score


@pytest.mark.parametrize("n", [1, 2, 700])
def test_duplicates_are_those_of_brute_force(n: int) -> None:
    x = made(n)
    for order in (np.arange(n), np.random.default_rng(0).permutation(n)):
        found = duplicates(x, 0.97, order=order)
        keeper, score = brute_duplicates(x @ x.T, 0.97, order)
        assert np.array_equal(found.keeper, keeper)
        assert np.abs(found.score - score).max() <= ROUNDING
        assert sorted([*found.kept, *found.removed]) == list(range(n))
    assert n < 700 or 0 < len(found.removed) < n


def test_duplicates_across_blocks_in_eight_bits() -> None:
    """The products are whole numbers that float32 holds: not one bit of a cosine may differ."""
    n = 2 * LEFT + RIGHT + 5
    x = as_coded(made(n)).rounded()
    codes = x.codes.astype(np.float32)
    cosines = (codes @ codes.T) * (x.scales[:, None] * x.scales[None, :])
    order = np.random.default_rng(0).permutation(n)
    found = duplicates(x, 0.97, order=order)
    keeper, score = brute_duplicates(cosines, 0.97, order)
    assert np.array_equal(found.keeper, keeper)
    assert np.array_equal(found.score, score)
    assert RIGHT > len(found.kept) > 1000


def test_every_row_that_goes_is_near_the_one_that_stands_for_it() -> None:
    """A chain of small steps, whose ends have nothing in common: single linkage would keep one of all."""
    angles = np.linspace(0, np.pi / 2, 40)
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = duplicates(chain, 0.99)
    assert len(found.kept) > 5
    assert ((chain * chain[found.keeper]).sum(axis=1) >= 0.99 - ROUNDING).all()
    assert (found.keeper[found.keeper] == found.keeper).all()


def test_exact_vectors_decide_where_eight_bits_are_not_sure() -> None:
    """Thresholds between the cosines that float32 gives, closer than 8 bits can tell."""
    x = made(300)
    scores = similar_pairs(x, 2000).score
    coarse = similar_pairs(as_coded(x).rounded(), 2000).score
    assert np.abs(scores - coarse).max() > 1e-4  # there is something to decide
    for at in (100, 500, 900):
        threshold = float(scores[at - 1] / 2 + scores[at] / 2)
        assert scores[at - 1] > threshold > scores[at]
        assert len(similar_pairs(x, 5000, threshold=threshold)) == at


@pytest.mark.parametrize("n", [2, 513, RIGHT + 600])
@pytest.mark.parametrize("k", [1, 3000])
def test_similar_pairs_are_those_of_brute_force(n: int, k: int) -> None:
    x = made(n)
    rows, columns = np.triu_indices(n, 1)
    cosines = np.einsum("ij,ij->i", x[rows], x[columns]) if n < 1000 else (x @ x.T)[rows, columns]
    best = -np.sort(-cosines)[:k]
    found = similar_pairs(x, k)
    assert np.abs(found.score - best).max() <= ROUNDING
    assert (found.left < found.right).all()
    assert len(set(zip(found.left.tolist(), found.right.tolist(), strict=True))) == len(best)
    assert np.abs((x[found.left] * x[found.right]).sum(axis=1) - found.score).max() <= ROUNDING


def test_of_ten_identical_rows_all_pairs_are_found_and_one_is_kept() -> None:
    x = np.tile(made(1), (10, 1))
    assert len(similar_pairs(x, 100)) == 45
    found = duplicates(x, 1 - ROUNDING)
    assert found.members() == {0: list(range(1, 10))}


@pytest.mark.parametrize(("n", "m"), [(1, 1), (50, 3), (LEFT + 10, RIGHT + 20)])
@pytest.mark.parametrize("k", [1, 4])
def test_neighbours_are_those_of_brute_force(n: int, m: int, k: int) -> None:
    a, b = made(n), made(m, seed=1)
    cosines = a @ b.T
    best = -np.sort(-cosines, axis=1)[:, :k]
    found = nearest(a, b, k)
    assert np.abs(found.score[:, : best.shape[1]] - best).max() <= ROUNDING
    assert (found.rows[:, best.shape[1] :] == -1).all()
    rough = nearest(as_coded(a).rounded(), as_coded(b).rounded(), k)
    assert np.abs(rough.score[:, : best.shape[1]] - best).max() <= 0.003  # what 8 bits may be off


def test_a_row_is_not_its_own_neighbour() -> None:
    x = made(500)
    cosines = x @ x.T
    np.fill_diagonal(cosines, -2)
    for vectors in (x, as_coded(x).rounded()):
        found = nearest(vectors, None, 3)
        assert np.abs(found.score + np.sort(-cosines, axis=1)[:, :3]).max() <= 0.003
        assert (found.rows != np.arange(500)[:, None]).all()


@settings(max_examples=50, deadline=None)
@given(n=st.integers(0, 60), dim=st.sampled_from([3, 32, 100]), threshold=st.floats(-1, 1), seed=st.integers(0, 9))
def test_any_vectors(n: int, dim: int, threshold: float, seed: int) -> None:
    x = made(n, dim, kinds=5, seed=seed)
    cosines = x @ x.T
    if np.abs(cosines - threshold).min(initial=1) > ROUNDING:
        assert np.array_equal(duplicates(x, threshold).keeper, brute_duplicates(cosines, threshold, np.arange(n))[0])
        expected = int((np.triu(cosines >= threshold, 1)).sum())
        assert len(similar_pairs(x, 10_000, threshold=threshold)) == expected


def test_translations_are_found_and_the_rest_is_not() -> None:
    random = np.random.default_rng(0)
    a = normalize(random.normal(size=(600, 128)).astype(np.float32))
    order = random.permutation(500)
    b = normalize(a[order] + 0.05 * random.normal(size=(500, 128)).astype(np.float32))
    found = mine_bitext(a, b)
    assert sorted(found.right.tolist()) == list(range(500))
    assert (order[found.right] == found.left).all()
    assert (np.diff(found.margin) <= 0).all()
    assert (found.margin >= 1.06).all()


def test_a_margin_is_the_cosine_over_the_mean_of_both_neighbourhoods() -> None:
    a, b = made(40), made(30, seed=1)
    cosines = a @ b.T
    of_a, of_b = (np.sort(cosines, axis=axis) for axis in (1, 0))
    margins = cosines / ((of_a[:, -4:].mean(axis=1)[:, None] + of_b[-4:].mean(axis=0)[None]) / 2)
    found = mine_bitext(a, b, margin=0)
    assert np.abs(margins[found.left, found.right] - found.margin).max() < 1e-4
    assert len(set(found.left.tolist())) == len(set(found.right.tolist())) == len(found)


def test_near_to_everything_is_no_translation() -> None:
    """One vector in the middle of all has the highest cosines, and a margin of about 1."""
    random = np.random.default_rng(0)
    shared = normalize(random.normal(size=(1, 64)).astype(np.float32))
    a, b = (normalize(3 * shared + normalize(random.normal(size=(50, 64)).astype(np.float32))) for _ in range(2))
    assert (nearest(a, b).score > 0.85).all()
    assert len(mine_bitext(a, b)) == 0


def test_recommendations_are_like_these_and_not_like_those() -> None:
    x = np.eye(40, 64, dtype=np.float32)
    x[10] = normalize(x[0:1] + x[1:2])[0]
    x[11] = normalize(x[0:1] + x[2:3])[0]
    assert recommend(x, x[0:1], x[1:2], k=3, without=[0]).rows.tolist()[:2] == [11, 10]
    assert recommend(x, x[0:1], k=2, without=[0]).rows.tolist() == [10, 11]
    assert recommend(x, x[0:1], x[1:2], k=40).rows[0] == 0
    assert recommend(x, x[0:1], x[1:2], k=40).rows[-1] == 1
    both = recommend(x, x[[0, 1]], k=3)
    assert both.rows[0] == 10
    assert np.abs(both.score - both.like).max() == 0
    scored = recommend(x, x[0:1], x[1:2], weight=0.25, k=40)
    assert np.abs(scored.score - (scored.like - 0.25 * scored.unlike)).max() < 1e-6


def test_texts_that_differ_in_spaces_or_encoding_are_embedded_once(tiny: Embedder) -> None:
    seen: list[int] = []
    texts = ["caf\u00e9  au lait", "cafe\u0301 au lait ", "\ufb01ne", "fine", "something else", "fine"]
    found = duplicate_texts(tiny, texts, 1, embedding=lambda done, total: seen.append(total))
    assert seen == [3]
    assert found.keeper.tolist() == [0, 0, 2, 2, 4, 2]
    assert found.score.tolist() == [1] * 6
    assert normal_form(" a\u00a0b\n c ") == "a b c"


@pytest.mark.parametrize(
    ("keep", "keeper"), [("first", [0, 0, 0, 3]), ("last", [2, 2, 2, 3]), ("longest", [1, 1, 1, 3])]
)
def test_policies_say_which_row_stays(tiny: Embedder, keep: Keep, keeper: list[int]) -> None:
    texts = ["one two", "one  two ", "one two", "seven eight nine"]
    assert duplicate_texts(tiny, texts, 0.99999, keep=keep).keeper.tolist() == keeper


def test_a_near_duplicate_of_a_copy_is_traced_to_the_row_that_stays(tiny: Embedder) -> None:
    found = duplicate_texts(tiny, ["b", "a", " a", "b "], -1, keep="last")
    assert found.keeper.tolist() == [3, 3, 3, 3]
    assert found.members() == {3: [0, 1, 2]}


def test_texts_become_codes_of_unit_length(tiny: Embedder) -> None:
    texts = ["first", "second", "first"]
    coded = code_texts(tiny, texts)
    exact = tiny.encode(texts, prompt_name="sentence similarity")
    assert np.abs(coded.codes * coded.scales[:, None] - exact).max() < 0.003
    assert np.array_equal(coded.codes[0], coded.codes[2])
    assert len(code_texts(tiny, [])) == 0


def test_thresholds_fall_from_level_to_level() -> None:
    for dim in MATRYOSHKA_DIMS:
        found = [threshold_for(level, dim) for level in LEVELS]
        assert found == sorted(found, reverse=True)
        assert 0.5 < found[-1] < found[0] < 1
    assert threshold_for("duplicate", 700) == threshold_for("duplicate", 768)
    with pytest.raises(InputError, match="available: duplicate, near-duplicate, same meaning"):
        threshold_for("equal")


WRONG: list[tuple[Any, str]] = [
    (lambda x: duplicates(x, 1.5), "threshold is 1.5"),
    (lambda x: duplicates(x, float("nan")), "threshold is nan"),
    (lambda x: duplicates(x, 0.9, order=[0, 0, 1]), "each of the 9 rows once"),
    (lambda x: duplicates(x[0], 0.9), r"an array \[n, dim\]"),
    (lambda x: duplicates(np.array([["a"]]), 0.9), "vectors are numbers"),
    (lambda x: duplicates(np.where(np.arange(9)[:, None] == 4, np.nan, x), 0.9), "vector 4 is not finite"),
    (lambda x: similar_pairs(x, 0), "k is 0"),
    (lambda x: similar_pairs(x, 3, threshold=-2), "threshold is -2"),
    (lambda x: nearest(x, x[:, :40]), "96 and 64 numbers: cut both"),
    (lambda x: nearest(x, x, 0), "k is 0"),
    (lambda x: nearest(x, x, threads=0), "threads is 0"),
    (lambda x: mine_bitext(x, x, margin=float("nan")), "margin is NaN"),
    (lambda x: recommend(x, x[:0]), "nothing is liked"),
    (lambda x: recommend(x, x[:1], k=0), "k is 0"),
    (lambda x: recommend(x, x[:1], weight=-1), "weight -1"),
    (lambda x: recommend(x, x[:1, :40]), "96 and 64 numbers"),
    (lambda x: duplicate_texts(None, ["a"], 0.9, keep="best"), "available: first, last, longest"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_what_cannot_be_is_refused(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(made(9))


def test_ctrl_c_stops_between_blocks() -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        similar_pairs(made(RIGHT + 1), 3, progress=interrupt)


def test_progress_ends_at_the_whole() -> None:
    told: list[tuple[int, int]] = []
    duplicates(made(RIGHT + 100), 0.9, progress=lambda *at: told.append(at))
    assert len(told) == 2
    assert told[-1][0] == told[-1][1]
