"""The last matrix takes back the part of a file's error that is a map of the vector, and no more."""

import numpy as np
import pytest

from gemlet.feedback import numbers_and_scales
from gemlet.train.head import correction, in_8_bits
from gemlet.vectors import FloatArray, normalize

DIM = 48


def vectors(count: int, seed: int) -> FloatArray:
    return normalize(np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32))


def noise(shape: tuple[int, int], size: float, seed: int) -> FloatArray:
    return (np.random.default_rng(seed).standard_normal(shape) * size / DIM**0.5).astype(np.float32)


def mean_cosine(ours: FloatArray, theirs: FloatArray) -> float:
    return float((normalize(ours) * normalize(theirs)).sum(axis=1).mean())


def test_what_is_a_map_of_the_vector_is_taken_back() -> None:
    planted = noise((DIM, DIM), 0.1, 1)
    ours = vectors(900, 2)
    theirs = normalize(ours + ours @ planted + noise(ours.shape, 0.05, 3))
    change, without, with_it = correction(ours[:700], theirs[:700])
    found = change.astype(np.float32)
    before = mean_cosine(ours[700:], theirs[700:])
    after = mean_cosine(ours[700:] + ours[700:] @ found, theirs[700:])
    assert before == pytest.approx(1 - (0.1**2 + 0.05**2) / 2, abs=2e-4)
    # All of the map's share of the error, but for what 700 noisy texts teach wrongly: 48 directions of 700.
    assert 1 - after == pytest.approx(0.05**2 / 2 * (1 + DIM / 700), rel=0.1)
    # What it says of itself is what texts show that it has not seen; 700 and 200 of them differ a little.
    assert 1 - without == pytest.approx(1 - before, rel=0.05)
    assert 1 - with_it == pytest.approx(1 - after, rel=0.1)


def test_where_there_is_none_nothing_is_changed() -> None:
    ours = vectors(300, 4)
    theirs = normalize(ours + noise(ours.shape, 0.05, 5))
    found = correction(ours[:100], theirs[:100])[0].astype(np.float32)
    before, after = (mean_cosine(x[100:], theirs[100:]) for x in (ours, ours + ours @ found))
    assert before == pytest.approx(1 - 0.05**2 / 2, abs=1e-4)
    assert abs(after - before) < 1e-5  # the strongest ridge may win by chance, and does next to nothing


def test_in_8_bits_it_stays_what_it_is() -> None:
    matrix = np.random.default_rng(6).standard_normal((6, 64)).astype(np.float32)
    matrix[2, :32] = 0
    stored = in_8_bits(matrix)
    assert np.abs(stored - matrix).max() < np.abs(matrix).max() / 127
    assert np.array_equal(in_8_bits(stored), stored)
    assert numbers_and_scales(stored, "Q8_0") is not None
