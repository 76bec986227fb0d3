"""The packed matrix products: right on each instruction set, and each row by itself."""

import numpy as np
import pytest

from gemlet._core import kernels

ULP = np.finfo(np.float32).eps
ROWS = [1, 2, 5, 6, 7, 11, 12, 13, 18, 25, 48]
SHAPES = [(32, 32), (64, 64), (96, 96), (64, 160), (256, 768), (32, 1152)]


def matrices(rows: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([rows, n, k])
    return random.normal(size=(rows, k)).astype(np.float32), random.normal(size=(n, k)).astype(np.float32)


def to_bf16(x: np.ndarray) -> np.ndarray:
    """Rounded to nearest, ties to even; under 2^-50 zero."""
    bits = x.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return np.where(np.abs(x) < 2.0**-50, np.float32(0), rounded)


def rotate(x: np.ndarray) -> np.ndarray:
    """Each block of 32 times the Hadamard matrix, by sums and differences at distances 16, 8, 4, 2 and 1."""
    for distance in (16, 8, 4, 2, 1):
        pairs = x.reshape(*x.shape[:-1], -1, 2, distance)
        x = np.stack([pairs[..., 0, :] + pairs[..., 1, :], pairs[..., 0, :] - pairs[..., 1, :]], axis=-2)
        x = x.reshape(*x.shape[:-3], -1)
    return x


def round_group(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rotated = rotate(x)
    top = np.abs(rotated).max(axis=1, keepdims=True)
    inverse = np.divide(np.float32(127), top, out=np.zeros_like(top), where=top > 0)
    return np.rint(rotated * inverse).astype(np.int64), top / np.float32(127)


def int8_product(x: np.ndarray, w: np.ndarray, group: int) -> np.ndarray:
    """What the kernels promise, to the bit."""
    y = None
    for begin in range(0, x.shape[1], group):
        (a, scale_a), (b, scale_b) = (round_group(rows[:, begin : begin + group]) for rows in (x, w))
        part = (a @ b.T).astype(np.float32) * scale_a * (scale_b / np.float32(32)).T
        y = part if y is None else y + part
    return y


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("n", "k"), SHAPES)
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_floats_against_float64(isa: str, rows: int, n: int, k: int, dtype: str) -> None:
    x, w = matrices(rows, n, k)
    got = kernels.gemm(isa, dtype, x, w)
    if dtype == "bf16":
        x, w = to_bf16(x), to_bf16(w)
    exact = x.astype(np.float64) @ w.T.astype(np.float64)
    size = np.abs(x).astype(np.float64) @ np.abs(w).T.astype(np.float64)
    assert (np.abs(got - exact) <= (k + 1) * ULP * size).all()  # k roundings, one after the other


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_int8_to_the_bit(isa: str, rows: int, n: int, k: int) -> None:
    x, w = matrices(rows, n, k)
    x[0, 3] = 1e4  # an outlier
    w[1] = 0
    assert np.array_equal(kernels.gemm(isa, "int8", x, w), int8_product(x, w, 128))
    if k <= 256:
        assert np.array_equal(kernels.gemm(isa, "int8_fine", x, w), int8_product(x, w, 64))


def test_int8_is_near_the_product(isa: str) -> None:
    x, w = matrices(48, 256, 768)
    exact = x @ w.T
    error = np.linalg.norm(kernels.gemm(isa, "int8", x, w) - exact) / np.linalg.norm(exact)
    assert error < 0.0125  # normal numbers: the largest of 128 is about 2.6 sigma, half a step of 2 operands is 0.8%


def test_bf16_and_int8_give_the_same_bits_everywhere(isa: str) -> None:
    x, w = matrices(13, 96, 768)
    x[0] *= 1e-30
    w[0] *= 1e-30
    x[1, :5] = [np.inf, 0, -0.0, 1e38, 2.0**-130]
    for dtype in ("bf16", "int8"):
        got, expected = kernels.gemm(isa, dtype, x, w), kernels.gemm("portable", dtype, x, w)
        assert np.array_equal(got, expected, equal_nan=True)


@pytest.mark.parametrize("dtype", ["f32", "bf16", "int8"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_hidden(isa: str, dtype: str, value: float) -> None:
    x, w = matrices(3, 32, 256)
    x[1, 130] = value
    got = kernels.gemm(isa, dtype, x, w)
    assert not np.isfinite(got[1]).any()
    assert np.isfinite(got[[0, 2]]).all()


@pytest.mark.parametrize("dtype", ["f32", "bf16", "int8"])
def test_a_row_does_not_depend_on_its_neighbours(isa: str, dtype: str) -> None:
    x, w = matrices(48, 96, 256)
    together = kernels.gemm(isa, dtype, x, w)
    for rows in (1, 3, 13, 31):
        assert np.array_equal(kernels.gemm(isa, dtype, x[:rows], w), together[:rows])


def test_f32_has_the_same_bits_wherever_there_is_fused_multiply_add(isa: str) -> None:
    if isa == "portable":
        pytest.skip("rounds twice where the others round once")
    x, w = matrices(13, 96, 768)
    assert np.array_equal(kernels.gemm(isa, "f32", x, w), kernels.gemm("avx2", "f32", x, w))


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("m", [1, 2, 31, 63, 64])
def test_a_matrix_packed_by_columns(isa: str, dtype: str, m: int) -> None:
    x, columns = matrices(7, 64, 64)[0], matrices(m, 1, 96)[0]
    x[:, m:] = 0
    padded = np.zeros((64, 96), np.float32)
    padded[:m] = columns
    got = kernels.gemm_columns(isa, dtype, x, columns)
    assert np.array_equal(got, kernels.gemm(isa, dtype, x, np.ascontiguousarray(padded.T)))


def values_product(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """What int8_values promises, to the bit: groups of 64, x in steps of 1/255 and columns of 1/127 of the largest."""
    y = None
    columns = np.pad(columns, ((0, x.shape[1] - len(columns)), (0, 0)))
    for begin in range(0, x.shape[1], 64):
        a, b = x[:, begin : begin + 64], columns[begin : begin + 64]
        top_a, top_b = a.max(axis=1, keepdims=True), np.abs(b).max(axis=0, keepdims=True)
        steps_a = np.rint(a * np.divide(np.float32(255), top_a, out=np.zeros_like(top_a), where=top_a > 0))
        steps_b = np.rint(b * np.divide(np.float32(127), top_b, out=np.zeros_like(top_b), where=top_b > 0))
        exact = (steps_a.astype(np.int64) @ steps_b.astype(np.int64)).astype(np.float32)
        part = exact * (top_a / np.float32(255)) * (top_b / np.float32(127))
        y = part if y is None else y + part
    return y


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("m", [1, 4, 63, 64, 65, 130, 640])
def test_values_to_the_bit(isa: str, rows: int, m: int) -> None:
    x, columns = matrices(rows, 96, m)[0], matrices(m, 1, 96)[0]
    x = np.pad(np.abs(x), ((0, 0), (0, -m % 64)))
    x[0, 0], x[-1, :64] = 1e6, 0
    columns[0, 3], columns[:, 5] = -1e6, 0
    assert np.array_equal(kernels.gemm_columns(isa, "int8_values", x, columns), values_product(x, columns))


def test_the_largest_values_do_not_overflow(isa: str) -> None:
    """Where an instruction adds pairs of products in 16 bits, and over the longest row."""
    for sign in (1, -1):
        x, columns = np.ones((3, 2048), np.float32), np.full((2048, 32), sign, np.float32)
        x[1, 1:] = 0  # -128 times the largest
        got = kernels.gemm_columns(isa, "int8_values", x, columns)
        assert np.array_equal(got, values_product(x, columns))
        assert np.abs(got[0] - sign * 2048).max() < 0.01


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_in_values_is_not_hidden(isa: str, value: float) -> None:
    x, columns = np.abs(matrices(3, 32, 128)[0]), matrices(100, 1, 64)[0]
    columns[70, 9] = value
    got = kernels.gemm_columns(isa, "int8_values", x, columns)
    assert not np.isfinite(got[:, 9]).any()
    assert np.isfinite(np.delete(got, 9, axis=1)).all()
    x[1, 30] = value
    assert not np.isfinite(kernels.gemm_columns(isa, "int8_values", x, columns)[1]).any()


def test_what_the_peak_is_measured_by_does_what_it_says(isa: str) -> None:
    chains, lanes, products, operations = 12, 16, 4, 2
    assert kernels.spin_int8(isa, 10) == 10 * chains * lanes * products * operations


def q4_0(n: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(blocks, numbers -8 to 7 [n, k], scales [n, k / 32]): every number occurs, and scales down to subnormal ones."""
    random = np.random.default_rng([n, k])
    numbers = random.integers(-8, 8, (n, k))
    scales = (random.normal(size=(n, k // 32)) * 0.01).astype(np.float16)
    scales[0], scales[1] = 0, 3e-7
    stored = (numbers + 8).astype(np.uint8).reshape(n, -1, 32)
    heads = scales[..., None].view(np.uint8)
    return np.concatenate([heads, stored[..., :16] | stored[..., 16:] << 4], axis=2).reshape(n, -1), numbers, scales


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_q4_0_to_the_bit(isa: str, rows: int, n: int, k: int) -> None:
    x, _ = matrices(rows, n, k)
    blocks, numbers, scales = q4_0(n, k)
    got = kernels.gemm_q4_0(isa, x, blocks)
    y = np.zeros((rows, n), np.float32)
    for begin in range(0, k, 32):
        part = x[:, begin : begin + 32]
        top = np.abs(part).max(axis=1, keepdims=True)
        rounded = np.rint(part * (np.float32(127) / top)).astype(np.int64)
        sums = (rounded @ numbers[:, begin : begin + 32].T).astype(np.float32) * (top / np.float32(127))
        # Fused: the product with a scale is exact in float64, and the sum is rounded to float32 once.
        y = (sums.astype(np.float64) * scales[:, begin // 32].astype(np.float64) + y).astype(np.float32)
    assert np.array_equal(got, y)


def test_q4_0_gives_nan_for_what_is_no_number(isa: str) -> None:
    x, _ = matrices(3, 64, 64)
    x[1, 5] = np.nan
    x[2, 40] = np.inf
    blocks, _, _ = q4_0(64, 64)
    got = kernels.gemm_q4_0(isa, x, blocks)
    assert np.isfinite(got[0]).all()
    assert not np.isfinite(got[1:]).any()
    lying = blocks.copy()
    lying[5, :2] = np.array([np.inf], np.float16).view(np.uint8)
    assert not np.isfinite(kernels.gemm_q4_0(isa, x[:1], lying)[:, 5]).any()
