"""The packed matrix product: right on each instruction set, and each row by itself."""

import numpy as np
import pytest

from gemlet._core import kernels

ULP = np.finfo(np.float32).eps


def matrices(rows: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([rows, n, k])
    return random.normal(size=(rows, k)).astype(np.float32), random.normal(size=(n, k)).astype(np.float32)


def to_bf16(x: np.ndarray) -> np.ndarray:
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 11, 12, 13, 25, 48])
@pytest.mark.parametrize(("n", "k"), [(32, 1), (64, 17), (96, 96), (256, 768)])
@pytest.mark.parametrize("bf16", [False, True])
def test_against_float64(isa: str, rows: int, n: int, k: int, bf16: bool) -> None:
    x, w = matrices(rows, n, k)
    got = kernels.gemm(isa, x, w, bf16)
    stored = to_bf16(w) if bf16 else w
    exact = x.astype(np.float64) @ stored.T.astype(np.float64)
    size = np.abs(x).astype(np.float64) @ np.abs(stored).T.astype(np.float64)
    assert (np.abs(got - exact) <= (k + 1) * ULP * size).all()  # k roundings, one after the other


def test_a_row_does_not_depend_on_its_neighbours(isa: str) -> None:
    x, w = matrices(48, 96, 256)
    together = kernels.gemm(isa, x, w, False)
    for rows in (1, 3, 13, 31):
        assert np.array_equal(kernels.gemm(isa, x[:rows], w, False), together[:rows])


def test_the_same_bits_wherever_there_is_fused_multiply_add(isa: str) -> None:
    if isa == "portable":
        pytest.skip("rounds twice where the others round once")
    x, w = matrices(13, 96, 768)
    assert np.array_equal(kernels.gemm(isa, x, w, False), kernels.gemm("avx2", x, w, False))
