"""One query against many rows, on each instruction set: the exact integers that NumPy gives."""

import numpy as np
import pytest

from gemlet._core import kernels

WIDTHS = [32, 64, 96, 128, 160, 256, 480, 512, 544, 768, 992, 4096]
ROWS = [0, 1, 2, 3, 4, 5, 7, 8, 13]


def codes_and_query(rows: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([rows, n])
    top = kernels.largest_of_query(n)
    codes = random.integers(-128, 128, (rows, n)).astype(np.int8)
    return codes, random.integers(-top, top + 1, n).astype(np.int16)


def bits_and_query(rows: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([rows, n])
    return random.integers(0, 256, (rows, n // 8), np.uint8), random.integers(0, 256, n // 8, np.uint8)


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("rows", ROWS)
def test_products(isa: str, rows: int, n: int) -> None:
    codes, query = codes_and_query(rows, n)
    assert np.array_equal(kernels.dot_int8(isa, query, codes), codes.astype(np.int64) @ query.astype(np.int64))


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("rows", ROWS)
def test_differing_bits(isa: str, rows: int, n: int) -> None:
    bits, query = bits_and_query(rows, n)
    assert np.array_equal(kernels.hamming(isa, query, bits), np.unpackbits(bits ^ query, axis=1).sum(axis=1))


@pytest.mark.parametrize("n", WIDTHS)
def test_the_largest_sums_fit(isa: str, n: int) -> None:
    """All numbers as far from 0 as they may be: a sum of n products, and every part of it, stays within 32 bits."""
    codes = np.full((2, n), -128, np.int8)
    codes[1] = 127
    top = kernels.largest_of_query(n)
    for sign in (1, -1):
        query = np.full(n, sign * top, np.int16)
        assert kernels.dot_int8(isa, query, codes).tolist() == [-128 * n * sign * top, 127 * n * sign * top]
    assert 128 * n * top < 2**31
    assert 128 * n * (top + 1) >= 2**31 or top == 2**15 - 1  # no smaller than it has to be


@pytest.mark.parametrize("n", WIDTHS)
def test_all_bits_differ_or_none(isa: str, n: int) -> None:
    bits, query = bits_and_query(1, n)
    assert kernels.hamming(isa, query, np.concatenate([bits * 0 + query, ~query[None]])).tolist() == [0, n]


@pytest.mark.parametrize("shift", [1, 3, 16, 31])
def test_at_any_address(isa: str, shift: int) -> None:
    """A mapped file's rows begin where they begin."""
    codes, query = codes_and_query(5, 96)
    moved = np.empty(codes.size + shift, np.int8)[shift:].reshape(codes.shape)
    moved[:] = codes
    assert np.array_equal(kernels.dot_int8(isa, query, moved), kernels.dot_int8(isa, query, codes))
    bits, query_bits = bits_and_query(5, 96)
    shifted = np.empty(bits.size + shift, np.uint8)[shift:].reshape(bits.shape)
    shifted[:] = bits
    assert np.array_equal(kernels.hamming(isa, query_bits, shifted), kernels.hamming(isa, query_bits, bits))
