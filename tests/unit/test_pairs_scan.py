"""Every row of a block with every row of another: the exact integers that NumPy gives, on each instruction set."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemlet import _core
from gemlet._core import kernels
from gemlet.errors import InputError

WHICH = ("all", "other", "later")


def codes_of(rows: int, dim: int, seed: int = 0, kinds: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Codes in clusters, whose numbers fall as those of a model cut to any dimension do, with scales."""
    random = np.random.default_rng([rows, dim, seed])
    centres = np.random.default_rng(dim).normal(size=(kinds, dim)) / np.sqrt(np.arange(dim) + 20)
    x = centres[random.integers(0, kinds, rows)] + random.normal(size=(rows, dim)) * 0.03 * random.random((rows, 1))
    codes = np.rint(x / np.abs(x).max(axis=1, keepdims=True, initial=1e-9) * 127).astype(np.int8)
    return codes, (1 / np.linalg.norm(codes.astype(np.float64), axis=1)).astype(np.float32)


def brute(left: Any, right: Any, floors: np.ndarray, which: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In float32, in the order of the engine's operations; the sums themselves are exact."""
    products = (left[0].astype(np.int64) @ right[0].astype(np.int64).T).astype(np.float32)
    scores = products * (left[1][:, None] * right[1][None, :])
    i, j = np.indices(scores.shape)
    wanted = {"all": i == i, "other": j != i, "later": j > i}[which]
    rows, columns = np.nonzero((scores >= floors[:, None]) & wanted)
    return rows, columns, scores[rows, columns]


def assert_same(found: Any, expected: Any) -> None:
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("n", [32, 64, 96, 256, 768, 4096])
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 1), (2, 31), (3, 32), (5, 33), (9, 64), (13, 70), (20, 1)])
def test_products(isa: str, rows: int, columns: int, n: int) -> None:
    random = np.random.default_rng([rows, columns, n])
    x = random.integers(-127, 128, (rows, n)).astype(np.int8)
    w = random.integers(-127, 128, (columns, n)).astype(np.int8)
    y = kernels.multiply_codes(isa, x, w)
    assert np.array_equal(y[:, :columns], x.astype(np.int64) @ w.astype(np.int64).T)
    assert not y[:, columns:].any()


@pytest.mark.parametrize("n", [32, 4096])
def test_the_largest_products_fit(isa: str, n: int) -> None:
    x = np.full((2, n), 127, np.int8)
    x[1] = -127
    assert kernels.multiply_codes(isa, x, x)[:, :2].tolist() == [
        [127**2 * n, -(127**2) * n],
        [-(127**2) * n, 127**2 * n],
    ]


@pytest.mark.parametrize("dim", [32, 256, 288, 768])
@pytest.mark.parametrize("floor", [-1.5, 0.3, 0.8, 0.95, 1.5])
@pytest.mark.parametrize("which", WHICH)
def test_all_pairs_over_a_floor_and_no_other(isa: str, dim: int, floor: float, which: str) -> None:
    left, right = codes_of(300, dim), codes_of(200, dim, 1)
    right = left if which != "all" else right
    floors = np.full(len(left[0]), floor, np.float32)
    found = _core.Scanner(2, isa).pairs(*left, *right, floors, 0, which)
    assert_same(found, brute(left, right, floors, which))
    if floor == 0.8:
        assert len(found[0]) > 100  # the test has something to find


def test_the_sizes_of_vectors_do_not_matter() -> None:
    """What rules most pairs out goes by lengths: they may differ by any factor."""
    left, right = codes_of(300, 768), codes_of(200, 768, 1)
    sizes = (10 ** np.random.default_rng(0).uniform(-8, 8, 300)).astype(np.float32)
    left = (left[0], left[1] * sizes)
    floors = (0.8 * sizes).astype(np.float32)
    found = _core.Scanner(2).pairs(*left, *right, floors)
    assert_same(found, brute(left, right, floors, "all"))
    assert len(found[0]) > 100


def test_any_number_of_threads_gives_the_same() -> None:
    block = codes_of(1000, 256)
    floors = np.full(1000, 0.7, np.float32)
    first = _core.Scanner(1).pairs(*block, *block, floors, 0, "later")
    for threads in (2, 3, 7):
        assert_same(_core.Scanner(threads).pairs(*block, *block, floors, 0, "later"), first)


@pytest.mark.parametrize("k", [1, 2, 5, 1000])
def test_the_k_best_of_a_row_are_never_left_out(k: int) -> None:
    left, right = codes_of(50, 128), codes_of(700, 128, 1)
    floors = np.full(50, -2, np.float32)
    rows, columns, scores = _core.Scanner(2).pairs(*left, *right, floors, k)
    every = brute(left, right, floors, "all")
    for row in range(50):
        mine, all_of = rows == row, every[0] == row
        best = np.lexsort((every[1][all_of], -every[2][all_of]))[:k]
        kept = np.lexsort((columns[mine], -scores[mine]))[:k]
        assert columns[mine][kept].tolist() == every[1][all_of][best].tolist()
    assert len(rows) == 50 * min(700, sum(min(k, part) for part in (128, 128, 128, 128, 128, 60)))


@settings(max_examples=100, deadline=None)
@given(
    rows=st.integers(0, 40), columns=st.integers(0, 300), dim=st.sampled_from([32, 64, 320, 512]),
    floor=st.floats(-1, 1, width=32), which=st.sampled_from(WHICH),
)  # fmt: skip
def test_any_blocks(rows: int, columns: int, dim: int, floor: float, which: Any) -> None:
    left, right = codes_of(rows, dim, 2, kinds=3), codes_of(columns, dim, 3, kinds=3)
    floors = np.full(rows, floor, np.float32)
    assert_same(_core.Scanner(2).pairs(*left, *right, floors, 0, which), brute(left, right, floors, which))


def test_a_vector_of_zeros_and_a_scale_that_is_no_number() -> None:
    codes, scales = codes_of(40, 512)
    codes[3] = 0
    scales[5] = np.nan
    rows, columns, scores = _core.Scanner(2).pairs(codes, scales, codes, scales, np.zeros(40, np.float32), 0, "other")
    assert 5 not in rows
    assert 5 not in columns
    assert (scores[rows == 3] == 0).all()
    assert (rows == 3).sum() == 38


def call(**changed: Any) -> None:
    codes, scales = codes_of(50, 64)
    arguments: dict[str, Any] = {
        "left": codes, "left_scales": scales, "right": codes, "right_scales": scales, "floors": scales,
    }  # fmt: skip
    _core.Scanner(1).pairs(**arguments | changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"right": np.zeros((50, 96), np.int8)}, "64 numbers on one side and 96 on the other"),
        ({"left": np.zeros((50, 40), np.int8)}, "vectors have 40 numbers; a multiple of 32"),
        ({"left_scales": np.zeros(3, np.float32)}, "50 rows of codes have 3 scales"),
        ({"right_scales": np.zeros(51, np.float32)}, "50 rows of codes have 51 scales"),
        ({"floors": np.zeros(49, np.float32)}, "50 rows have 49 floors"),
        ({"which": "some"}, "not `some`"),
        ({"right": np.full((50, 64), -128, np.int8)}, "row 0 holds the code -128"),
    ],
)
def test_arrays_that_do_not_fit_together(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(**changed)


def test_nothing_is_copied_to_fit() -> None:
    for name, wrong in (("left", np.zeros((50, 64), np.int16)), ("floors", np.zeros(50))):
        with pytest.raises(TypeError):
            call(**{name: wrong})
