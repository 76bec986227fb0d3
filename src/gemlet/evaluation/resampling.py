"""How sure a figure, or the difference of two, is: the rows are drawn again.   (rows → figure) → interval, p

Interval: the bootstrap (Efron 1979): as many rows as there are, drawn with replacement, RESAMPLES times. Of a mean BCa
(Efron 1987), which allows for skewed values: of few queries it holds the truth more often than the plain percentiles,
and where one query in many lost all it does not call the loss small. BCa's correction is made for small biases, and
V-measure is much higher of rows that repeat themselves: there it holds the truth less often than no correction. So what
is no mean has the middle 95% of the resamples, moved so that their mean is the figure. bench/intervals.py counts it.

Paired test: both settings answer the same rows, so the differences are resampled, which is far sharper than to compare
two intervals. p of a mean: signs of the differences are flipped (Fisher 1935; Smucker, Allan & Carterette 2007 for
retrieval). A figure that is no mean has no difference for each row to flip: there p is twice the share of resamples on
the other side of zero.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError

RESAMPLES = 2_000
"""The ends of an interval then vary by a few hundredths of its width from seed to seed."""

FLIPS = 10_000

_TAILS = (0.025, 0.975)
_NORMAL = NormalDist()
_SAME = 1e-12  # sums of the same numbers in another order differ by less

Rows = npt.NDArray[np.intp]
Values = npt.NDArray[np.float64]

_BLOCK = 4_000_000  # numbers that are drawn at a time


@dataclass(frozen=True, eq=False)
class Sampled:
    """A figure that can be computed again of some of its rows.

    name    "ndcg@10", "spearman", ...
    size    how many rows: queries, pairs, texts
    of      rows [m] intp, with repetitions → the figure of those
    values  [size] float64 when the figure is their mean, else None
    least   the lowest that one that is no mean can be; 1 is the most
    """

    name: str
    size: int
    of: Callable[[Rows], float]
    values: Values | None = None
    least: float = 0.0

    @property
    def value(self) -> float:
        """The figure of all rows."""
        return self.of(np.arange(self.size))


def mean_of(name: str, values: Values) -> Sampled:
    """The mean of one number for each row."""
    return Sampled(name, len(values), lambda rows: float(values[rows].mean()), values)


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval, low to high. NaN where no resample has the figure."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """By how much a figure of another setting is higher than the base's, its 95 % interval, and p of "no difference".

    p is two-sided, and never 0: at least one over the number of draws.
    """

    name: str
    value: float
    low: float
    high: float
    p: float


def figure_of(sampled: Sampled, seed: int = 0) -> Figure:
    """The figure with its interval; the same seed gives the same one. Raises InputError without rows."""
    _check(sampled.size)
    if sampled.values is not None:
        return Figure(sampled.name, sampled.value, *_bca(sampled.values, _resampled(sampled, seed)))
    low, high = _middle(_centred(sampled.value, _resampled(sampled, seed)), sampled.least)
    return Figure(sampled.name, sampled.value, low, high)


def difference_of(base: Sampled, other: Sampled, seed: int = 0) -> Difference:
    """The paired test of two settings on the same rows. Raises InputError when they are not as many."""
    if base.size != other.size:
        raise InputError(f"{base.size} and {other.size} rows cannot be paired: measure both settings on the same ones")
    _check(base.size)
    value = other.value - base.value
    if base.values is not None and other.values is not None:
        gaps = other.values - base.values
        low, high = _bca(gaps, _resampled(mean_of(base.name, gaps), seed))
        return Difference(base.name, value, low, high, _flipped(gaps, seed))
    drawn = _centred(value, _resampled(other, seed) - _resampled(base, seed))  # of the same rows: the seed is the same
    low, high = _middle(drawn, least=-1)
    return Difference(base.name, value, low, high, _two_sided(drawn))


@lru_cache(maxsize=16)  # a figure's own interval wants them, and each difference
def _resampled(sampled: Sampled, seed: int) -> Values:
    """The figure of RESAMPLES draws; which rows are drawn depends on their number and the seed alone."""
    rng = np.random.default_rng(seed)
    found = np.empty(RESAMPLES)
    step = max(1, _BLOCK // sampled.size)
    for begin in range(0, RESAMPLES, step):
        drawn = rng.integers(sampled.size, size=(min(step, RESAMPLES - begin), sampled.size))
        if sampled.values is not None:
            found[begin : begin + step] = sampled.values[drawn].mean(axis=1)
        else:
            found[begin : begin + step] = [sampled.of(rows) for rows in drawn]
    return found


def _bca(values: Values, drawn: Values) -> tuple[float, float]:
    """The interval of the mean of values, from the means of resamples: bias-corrected and accelerated."""
    gaps = values - values.mean()
    if np.abs(gaps).max() < _SAME:
        return float(values.mean()), float(values.mean())
    times = len(drawn)
    lower, equal = (drawn < values.mean() - _SAME).sum(), (np.abs(drawn - values.mean()) <= _SAME).sum()
    bias = _NORMAL.inv_cdf(float(np.clip((lower + equal / 2) / times, 1 / times, 1 - 1 / times)))
    speed = float((gaps**3).sum() / (6 * (gaps**2).sum() ** 1.5))  # the jackknife of a mean
    ends = [bias + _NORMAL.inv_cdf(tail) for tail in _TAILS]
    low, high = np.quantile(drawn, [_NORMAL.cdf(bias + end / (1 - speed * end)) for end in ends])
    return float(low), float(high)


def _middle(drawn: Values, least: float) -> tuple[float, float]:
    """The ends between which 95% of the resamples lie; NaN without any."""
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.clip(np.quantile(drawn, _TAILS), least, 1)
    return float(low), float(high)


def _centred(value: float, drawn: Values) -> Values:
    """Resamples that are known, moved to the figure: a small draw of rows that are all the same has no correlation."""
    known = drawn[np.isfinite(drawn)]
    return known + (value - known.mean()) if len(known) and np.isfinite(value) else known[:0]


def _flipped(gaps: Values, seed: int) -> float:
    """How often the mean of gaps with random signs is as far from zero: two-sided p."""
    rng = np.random.default_rng(seed)
    gaps = gaps[gaps != 0]  # a sign of zero changes nothing
    if not len(gaps):
        return 1.0
    least = abs(float(gaps.sum())) * (1 - 1e-12)
    as_far = 0
    step = max(1, _BLOCK // len(gaps))
    for begin in range(0, FLIPS, step):
        signs = rng.integers(0, 2, size=(min(step, FLIPS - begin), len(gaps)), dtype=np.int8) * 2 - 1
        as_far += int((np.abs(signs @ gaps) >= least).sum())
    return (as_far + 1) / (FLIPS + 1)


def _two_sided(drawn: Values) -> float:
    if not len(drawn):
        return float("nan")
    side = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (side + 1) / (len(drawn) + 1))


def _check(size: int) -> None:
    if not size:
        raise InputError("there are no rows to resample: measure one at least")
