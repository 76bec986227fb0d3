"""The engine's search in arrays: what brute force finds, in one order."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemlet import _core
from gemlet.errors import InputError

SCANNER = _core.Scanner(2)
ULP = np.finfo(np.float32).eps


def vectors(n: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Codes with many equal rows, scales, bits, and a query."""
    random = np.random.default_rng([n, dim, seed])
    codes = random.integers(-127, 128, (max(1, n // 3), dim)).astype(np.int8)[random.integers(0, max(1, n // 3), n)]
    scales = random.choice(np.array([0.5, 1, 1.5], np.float32), n)
    query = random.normal(size=dim).astype(np.float32)
    return codes, scales, np.packbits(codes > 0, axis=1), query


def best(scores: np.ndarray, k: int, allowed: np.ndarray | None = None) -> np.ndarray:
    """Rows in the order that is promised: by score, of equal ones the lower first."""
    rows = np.lexsort((np.arange(len(scores)), -scores))
    return rows[allowed[rows]][:k] if allowed is not None else rows[:k]


def scores_of(codes: np.ndarray, scales: np.ndarray, query: np.ndarray) -> np.ndarray:
    """In float32, in the order of the engine's operations; the sums themselves are exact."""
    top = np.abs(query).max().astype(np.float64)
    steps = _core.kernels.largest_of_query(len(query))
    words = np.rint(query * (steps / top)).astype(np.int64)
    return (codes.astype(np.int64) @ words).astype(np.float32) * scales * np.float32(top / steps)


def packed(allowed: np.ndarray | None) -> np.ndarray | None:
    return None if allowed is None else np.packbits(allowed, bitorder="little")


def masks(n: int) -> list[np.ndarray | None]:
    random = np.random.default_rng(n)
    rare, frequent = random.random(n) < 0.02, random.random(n) < 0.9
    runs = np.repeat(random.random(n // 100 + 1) < 0.3, 100)[:n]
    return [None, np.ones(n, bool), np.zeros(n, bool), rare, frequent, runs, np.arange(n) == n - 1]


@pytest.mark.parametrize("dim", [32, 128, 768])
@pytest.mark.parametrize("n", [1, 7, 64, 65, 1023, 1024, 3333])
def test_it_finds_what_brute_force_finds(n: int, dim: int) -> None:
    codes, scales, bits, query = vectors(n, dim)
    expected, query_bits = scores_of(codes, scales, query), np.packbits(query > 0)
    distances = np.unpackbits(bits ^ query_bits, axis=1).sum(axis=1)
    for allowed in masks(n):
        for k in (0, 1, 10, n, n + 5):
            rows, scores = SCANNER.int8(codes, scales, query, k, packed(allowed))
            assert rows.tolist() == best(expected, k, allowed).tolist()
            assert np.array_equal(scores, expected[rows])
            rows, found = SCANNER.binary(bits, query_bits, k, packed(allowed))
            assert rows.tolist() == best(-distances, k, allowed).tolist()
            assert np.array_equal(found, distances[rows])


def test_the_scores_are_the_products() -> None:
    dim = 768
    codes, scales, _, query = vectors(500, dim)
    rows, scores = SCANNER.int8(codes, scales, query, 500)
    decoded = (codes * scales[:, None])[rows].astype(np.float64)
    # The query in steps of 1/21845 of its largest: half a step off at most, and the errors add up like noise, not all
    step = np.abs(query).max() / _core.kernels.largest_of_query(dim)
    assert np.abs(scores - decoded @ query).max() <= 0.5 * step * np.linalg.norm(decoded, axis=1).max() * 4


@pytest.mark.parametrize("candidates", [1, 5, 50, 999, 1000, 5000])
def test_rescoring_ranks_the_nearest_by_bits(candidates: int) -> None:
    codes, scales, bits, query = vectors(1000, 256)
    query_bits = np.packbits(query > 0)
    for allowed in masks(1000):
        near, _ = SCANNER.binary(bits, query_bits, candidates, packed(allowed))
        among = np.zeros(1000, bool)
        among[near] = True
        expected = scores_of(codes, scales, query)
        rows, scores = SCANNER.rescored(bits, codes, scales, query_bits, query, 10, candidates, packed(allowed))
        assert rows.tolist() == best(expected, 10, among).tolist()
        assert np.array_equal(scores, expected[rows])


def test_enough_candidates_make_it_exact() -> None:
    codes, scales, bits, query = vectors(777, 64)
    exact = SCANNER.int8(codes, scales, query, 20)
    found = SCANNER.rescored(bits, codes, scales, np.packbits(query > 0), query, 20, 777)
    assert all(np.array_equal(a, b) for a, b in zip(exact, found, strict=True))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_filter(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 300))
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    codes, scales, _, query = vectors(n, 32)
    k = data.draw(st.integers(0, n + 1))
    rows, _ = SCANNER.int8(codes, scales, query, k, packed(allowed))
    assert rows.tolist() == best(scores_of(codes, scales, query), k, allowed).tolist()


def test_a_query_of_zeros_finds_the_first_rows() -> None:
    codes, scales, _, query = vectors(50, 64)
    rows, scores = SCANNER.int8(codes, scales, query * 0, 3)
    assert rows.tolist() == [0, 1, 2]
    assert not scores.any()


@pytest.mark.parametrize("size", [1e-44, 1e-30, 1e30, 3e38])
def test_the_size_of_a_query_does_not_change_the_order(size: float) -> None:
    codes, scales, _, query = vectors(300, 64)
    scaled = (query / np.abs(query).max()).astype(np.float32)
    small = (scaled * size).astype(np.float32)
    rows, _ = SCANNER.int8(codes, scales * 0 + np.float32(1e-6), small, 1)
    expected = (codes.astype(np.float64) @ small.astype(np.float64)).argmax()
    assert np.array_equal(codes[rows[0]], codes[expected]) or size == 1e-44  # of 7 steps: the best of its rounding


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_query_that_is_not_finite_is_refused(wrong: float) -> None:
    codes, scales, bits, query = vectors(50, 64)
    query[7] = wrong
    with pytest.raises(InputError, match="not finite: number 7"):
        SCANNER.int8(codes, scales, query, 3)
    with pytest.raises(InputError, match="not finite"):
        SCANNER.rescored(bits, codes, scales, bits[0], query, 3, 10)


def test_a_row_whose_score_is_no_number_is_left_out() -> None:
    codes, scales, _, query = vectors(50, 64)
    scales[[3, 9]] = np.nan
    rows, scores = SCANNER.int8(codes, scales, query, 50)
    assert sorted(rows.tolist()) == [i for i in range(50) if i not in (3, 9)]
    assert np.isfinite(scores).all()


def call(method: str, **changed: Any) -> None:
    codes, scales, bits, query = vectors(50, 64)
    arguments: dict[str, Any] = {"codes": codes, "scales": scales, "bits": bits, "query": query} | changed
    if method == "int8":
        SCANNER.int8(*(arguments[name] for name in ("codes", "scales", "query")), 3, changed.get("allowed"))
    elif method == "binary":
        SCANNER.binary(arguments["bits"], changed.get("query", bits[0]), 3, changed.get("allowed"))
    else:
        SCANNER.rescored(
            *(arguments[name] for name in ("bits", "codes", "scales")), bits[0], arguments["query"], 3, 9,
            changed.get("allowed"),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "changed", "message"),
    [
        ("int8", {"query": np.zeros(96, np.float32)}, "the query has 96 numbers, the vectors have 64"),
        ("int8", {"scales": np.zeros(49, np.float32)}, "50 rows of codes have 49 scales"),
        ("int8", {"codes": np.zeros((50, 40), np.int8)}, "vectors have 40 numbers; a multiple of 32"),
        ("int8", {"codes": np.zeros((50, 0), np.int8)}, "vectors have 0 numbers"),
        ("int8", {"codes": np.zeros((2, 8192), np.int8)}, "vectors have 8192 numbers"),
        ("int8", {"allowed": np.zeros(6, np.uint8)}, "`allowed` has 6 bytes.* 50 rows takes 7"),
        ("binary", {"query": np.zeros(9, np.uint8)}, "the query has 72 numbers, the vectors have 64"),
        ("binary", {"bits": np.zeros((50, 2), np.uint8)}, "vectors have 16 numbers"),
        ("binary", {"allowed": np.zeros(8, np.uint8)}, "`allowed` has 8 bytes"),
        ("rescored", {"codes": np.zeros((51, 64), np.int8)}, "not of the same vectors"),
        ("rescored", {"codes": np.zeros((50, 32), np.int8)}, "not of the same vectors"),
        ("rescored", {"scales": np.zeros(0, np.float32)}, "50 rows of codes have 0 scales"),
    ],
)
def test_arrays_that_do_not_fit_together(method: str, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(method, **changed)


def test_nothing_is_copied_to_fit() -> None:
    codes, scales, _, query = vectors(50, 64)
    for other in (codes.astype(np.int16), codes[:, ::2], codes.T):
        with pytest.raises(TypeError):
            SCANNER.int8(other, scales, query, 3)
    with pytest.raises(TypeError):
        SCANNER.int8(codes, scales.astype(np.float64), query, 3)


def test_no_rows() -> None:
    empty = np.zeros((0, 64), np.int8)
    rows, scores = SCANNER.int8(empty, np.zeros(0, np.float32), np.ones(64, np.float32), 5)
    assert (len(rows), len(scores)) == (0, 0)
    rows, distances = SCANNER.binary(np.zeros((0, 8), np.uint8), np.zeros(8, np.uint8), 5)
    assert (len(rows), len(distances)) == (0, 0)


def test_the_checksum_tells_any_flipped_bit() -> None:
    content = np.random.default_rng(0).integers(0, 256, 1000, np.uint8)
    whole = _core.checksum(content)
    for at in range(1000):
        content[at] ^= 1 << at % 8
        assert _core.checksum(content) != whole
        content[at] ^= 1 << at % 8
    assert _core.checksum(content) == whole
    assert _core.checksum(content[:999]) != whole
