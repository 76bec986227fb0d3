"""Each row kernel, on each instruction set: right against float64, and the same bits as the portable one."""

import numpy as np
import pytest

from gemlet._core import kernels

LENGTHS = [32, 64, 96, 256, 768, 1152]
EPS = 1e-6
ULP = np.finfo(np.float32).eps


def rows(n: int, count: int = 1, scale: float = 3.0) -> np.ndarray:
    return (np.random.default_rng(n).normal(size=(count, n)) * scale).astype(np.float32)


def same_bits(name: str, isa: str, *arguments: object) -> np.ndarray:
    result = getattr(kernels, name)(isa, *arguments)
    assert result.tobytes() == getattr(kernels, name)("portable", *arguments).tobytes()
    return result.astype(np.float64)


@pytest.mark.parametrize("n", LENGTHS)
def test_rms_norm(isa: str, n: int) -> None:
    x, w = rows(n, 2)
    got = same_bits("rms_norm", isa, x, w, EPS)
    x64 = x.astype(np.float64)
    expected = x64 / np.sqrt((x64**2).mean() + EPS) * w
    # 16 lanes of n / 16 additions each, then a handful of roundings
    assert np.abs(got / expected - 1).max() <= (n / 32 + 8) * ULP


@pytest.mark.parametrize("n", LENGTHS)
def test_add_rms_norm_adds_the_norm(isa: str, n: int) -> None:
    x, w, residual = rows(n, 3)
    got = same_bits("add_rms_norm", isa, x, w, EPS, residual)
    expected = residual + kernels.rms_norm(isa, x, w, EPS)
    assert np.array_equal(got.astype(np.float32), expected)


def test_rms_norm_of_the_largest_activations_seen(isa: str) -> None:
    x = rows(768, scale=8e5)[0]  # model facts: activations reach 8e5; their squares must not overflow
    assert np.isfinite(kernels.rms_norm(isa, x, np.ones(768, np.float32), EPS)).all()


@pytest.mark.parametrize("n", [32, 64, 256])
def test_rope_pairs_the_two_halves(isa: str, n: int) -> None:
    x, angle = rows(n, 2)
    angle = angle[: n // 2]
    cos, sin = np.cos(angle), np.sin(angle)
    got = same_bits("rope", isa, x, cos, sin, 0.0625)
    a, b = x[: n // 2].astype(np.float64), x[n // 2 :].astype(np.float64)
    expected = np.concatenate([a * cos - b * sin, b * cos + a * sin]) * 0.0625
    assert np.abs(got - expected).max() <= 2 * ULP * np.abs(x).max() * 0.0625


@pytest.mark.parametrize(("begin", "end"), [(0, 96), (0, 1), (95, 96), (5, 6), (15, 17), (16, 32), (17, 95), (31, 64)])
def test_softmax_of_a_part(isa: str, begin: int, end: int) -> None:
    x = rows(96, scale=10.0)[0]
    got = same_bits("softmax", isa, x, begin, end)
    e = np.exp(x[begin:end].astype(np.float64) - x[begin:end].max())
    expected = np.zeros(96)
    expected[begin:end] = e / e.sum()
    assert np.abs(got - expected).max() <= 8 * ULP  # exp within 2 ulp, the sum and the division within a few more
    assert not got[:begin].any()
    assert not got[end:].any()


def test_softmax_does_not_see_what_lies_outside(isa: str) -> None:
    x = rows(64)[0]
    x[:7], x[50:] = np.nan, np.inf
    assert np.isfinite(kernels.softmax(isa, x, 7, 50)).all()


def test_softmax_of_extremes(isa: str) -> None:
    x = np.array([-3e4, 0, 3e4, 88] * 8, np.float32)
    got = kernels.softmax(isa, x, 0, 32)
    assert np.allclose(got.sum(), 1, atol=4 * ULP)
    assert np.allclose(got[2::4], 1 / 8, atol=ULP)


def test_the_exponential_is_within_2_ulp(isa: str) -> None:
    """Seen through softmax: a score's share divided by the top's is e^score, but for the rounding of both shares."""
    for low in np.arange(-80, 0, 0.5):
        x = np.concatenate([[0], np.linspace(low, low + 0.5, 1023)]).astype(np.float32)
        share = kernels.softmax(isa, x, 0, len(x)).astype(np.float64)
        normal = share > 1e-36  # subnormal shares have fewer bits
        error = share / share[0] / np.exp(x.astype(np.float64)) - 1
        assert np.abs(error[normal]).max() <= (2 + 1) * ULP


def test_nan_is_not_hidden(isa: str) -> None:
    x = rows(32)[0]
    x[3] = np.nan
    assert np.isnan(kernels.softmax(isa, x, 0, 32)).any()
    assert np.isnan(kernels.gelu_tanh_mul(isa, x, np.ones(32, np.float32)))[3]


def test_gelu_tanh_mul(isa: str) -> None:
    gate = np.concatenate([np.linspace(-12, 12, 4096 - 32), rows(32, scale=1e3)[0]]).astype(np.float32)
    up = rows(4096)[0]
    got = same_bits("gelu_tanh_mul", isa, gate, up)
    g = gate.astype(np.float64)
    inner = np.sqrt(2 / np.pi) * (g + 0.044715 * g**3)
    expected = g / (1 + np.exp(np.minimum(-2 * inner, 700))) * up
    # relative where the value is not tiny: e^x turns the rounding of its argument (up to 87) into 87 ulp and less
    assert np.abs(got - expected).max() <= 1e-6 * np.abs(up).max() * np.abs(gate).max()
    near = np.abs(gate) < 4
    assert np.abs(got[near] / expected[near] - 1).max() <= 64 * ULP


@pytest.mark.parametrize("count", [1, 2, 17, 2048])
def test_mean_rows(isa: str, count: int) -> None:
    x = rows(64, count)
    got = same_bits("mean_rows", isa, x)
    assert np.abs(got - x.astype(np.float64).mean(axis=0)).max() <= count * ULP  # one addition after the other
