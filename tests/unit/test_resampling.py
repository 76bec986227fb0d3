"""Intervals and paired tests: against what is known of their distributions, and against SciPy."""

import numpy as np
import pytest

from gemlet.errors import InputError
from gemlet.evaluation.metrics import spearman
from gemlet.evaluation.resampling import Sampled, difference_of, figure_of, mean_of


def correlated(name: str, x: np.ndarray, y: np.ndarray) -> Sampled:
    return Sampled(name, len(x), lambda rows: spearman(x[rows], y[rows]), least=-1)


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error_says() -> None:
    values = np.random.default_rng(0).random(400)
    figure = figure_of(mean_of("mean", values))
    error = values.std() / 20
    assert figure.value == pytest.approx(values.mean())
    assert figure.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert figure.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_the_interval_of_a_mean_is_scipys_bca() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).random(60) ** 3
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=2).confidence_interval
    ours = figure_of(mean_of("mean", values))
    assert ours.low == pytest.approx(theirs.low, abs=0.006)
    assert ours.high == pytest.approx(theirs.high, abs=0.006)


def test_one_query_of_many_that_lost_all_may_be_more_of_others() -> None:
    base, other = np.ones(100), np.ones(100)
    other[0] = 0
    gap = difference_of(mean_of("m", base), mean_of("m", other))
    assert gap.value == pytest.approx(-0.01)
    assert gap.low < -0.035  # the plain percentile is at -0.03
    assert gap.high == 0


def test_a_seed_gives_the_same_interval_and_another_another() -> None:
    sampled = mean_of("mean", np.random.default_rng(0).random(50))
    assert figure_of(sampled, 3) == figure_of(sampled, 3)
    assert figure_of(sampled, 3) != figure_of(sampled, 4)


def test_what_is_no_mean_has_its_interval_around_it() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=80)
    figure = figure_of(correlated("spearman", x, x + rng.normal(size=80)))
    assert -1 <= figure.low < figure.value < figure.high <= 1
    assert figure.high - figure.low == pytest.approx(4 * (1 - figure.value**2) / np.sqrt(80), rel=0.4)


def test_no_row_is_no_interval_and_one_row_is_a_point() -> None:
    with pytest.raises(InputError, match="no rows to resample"):
        figure_of(mean_of("mean", np.empty(0)))
    assert figure_of(mean_of("mean", np.array([0.25]))).low == 0.25


def test_a_figure_that_no_resample_has_is_nan() -> None:
    figure = figure_of(correlated("spearman", np.ones(5), np.arange(5.0)))
    assert np.isnan([figure.value, figure.low, figure.high]).all()
    same = difference_of(*[correlated("spearman", np.ones(5), np.arange(5.0))] * 2)
    assert np.isnan([same.low, same.high, same.p]).all()


def test_a_paired_test_sees_what_two_intervals_do_not() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(100)
    other = base - 0.02 + rng.normal(scale=0.02, size=100)
    left, right = mean_of("mean", base), mean_of("mean", other)
    assert figure_of(left).low < figure_of(right).high  # the intervals overlap
    gap = difference_of(left, right)
    assert gap.value == pytest.approx((other - base).mean())
    assert gap.low < gap.value < gap.high < 0
    assert gap.p <= 0.001


def test_p_is_scipys_permutation_test() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(5)
    base = rng.random(40)
    other = np.where(rng.random(40) < 0.5, base, base + rng.normal(0.02, 0.15, 40))  # half of them do not differ
    theirs = stats.permutation_test(
        (other, base), lambda a, b: (a - b).mean(), permutation_type="samples", n_resamples=10_000, rng=0
    ).pvalue
    assert 0.05 < theirs < 0.95
    assert difference_of(mean_of("m", base), mean_of("m", other)).p == pytest.approx(theirs, abs=0.02)


def test_p_is_rarely_small_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    small = 0
    for seed in range(60):
        base = rng.random(30)
        gap = difference_of(mean_of("m", base), mean_of("m", base + rng.normal(scale=0.1, size=30)), seed)
        small += gap.p < 0.05
    assert small <= 9  # 3 are to be expected; 10 or more happen once in 800 times


def test_no_difference_at_all() -> None:
    values = np.random.default_rng(0).random(30)
    gap = difference_of(mean_of("m", values), mean_of("m", values))
    assert (gap.value, gap.low, gap.high, gap.p) == (0, 0, 0, 1)
    x = np.arange(30.0)
    gap = difference_of(correlated("s", x, values), correlated("s", x, values))
    assert (gap.value, gap.low, gap.high, gap.p) == (0, 0, 0, 1)


def test_correlations_of_two_settings_are_paired() -> None:
    rng = np.random.default_rng(0)
    said = rng.normal(size=120)
    good, bad = said + rng.normal(size=120), said + 4 * rng.normal(size=120)
    gap = difference_of(correlated("s", said, good), correlated("s", said, bad))
    assert gap.value == pytest.approx(spearman(said, bad) - spearman(said, good))
    assert gap.low < gap.value < gap.high < 0
    assert gap.p < 0.01


def test_other_rows_cannot_be_paired() -> None:
    with pytest.raises(InputError, match="3 and 4 rows cannot be paired"):
        difference_of(mean_of("m", np.ones(3)), mean_of("m", np.ones(4)))
