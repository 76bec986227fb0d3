"""How often a 95% interval holds the truth: gemlet's, plain percentiles and BCa, on made rows whose truth is known.

Values like nDCG's (an eighth 0, half 1, the rest between), whose mean is known; and labels with clusters that agree on
seven of ten, whose truth is the mean V-measure of many such sets. Python prints what a figure is called, and the share
of sets whose interval held it.

Usage: python bench/intervals.py [--sets 400]
"""

import argparse
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from gemlet.clustering.quality import v_measure
from gemlet.evaluation.resampling import RESAMPLES, Sampled, Values, figure_of, mean_of

NORMAL = NormalDist()
TAIL = 0.025
LABELS = 5


def like_ndcg(rng: np.random.Generator, size: int) -> Sampled:
    """Values whose mean is TRUE_MEAN."""
    kind = rng.random(size)
    return mean_of("mean", np.where(kind < 0.125, 0, np.where(kind < 0.625, 1, rng.beta(3, 2, size))))


TRUE_MEAN = 0.5 + 0.375 * 0.6


def clustered(rng: np.random.Generator, size: int) -> Sampled:
    """Labels, and clusters that agree on seven of ten."""
    truth = rng.integers(0, LABELS, size)
    found = np.where(rng.random(size) < 0.7, truth, rng.integers(0, LABELS, size))
    return Sampled("v_measure", size, lambda rows: v_measure(truth[rows], found[rows]))


def drawn(sampled: Sampled, rng: np.random.Generator, times: int) -> Values:
    """Figures of resamples."""
    if sampled.values is not None:
        return np.asarray(sampled.values[rng.integers(sampled.size, size=(times, sampled.size))].mean(axis=1))
    return np.array([sampled.of(rng.integers(sampled.size, size=sampled.size)) for _ in range(times)])


def percentile(sampled: Sampled, resamples: Values) -> tuple[float, float]:
    """The middle 95%."""
    low, high = np.quantile(resamples, (TAIL, 1 - TAIL))
    return float(low), float(high)


def bca(sampled: Sampled, resamples: Values) -> tuple[float, float]:
    """Efron 1987: bias-corrected and accelerated, by a jackknife."""
    times = len(resamples)
    below = np.clip((resamples < sampled.value).mean(), 1 / times, 1 - 1 / times)
    bias = NORMAL.inv_cdf(float(below))
    left_out = np.array([sampled.of(np.delete(np.arange(sampled.size), row)) for row in range(sampled.size)])
    gaps = left_out.mean() - left_out
    speed = (gaps**3).sum() / (6 * (gaps**2).sum() ** 1.5 + 1e-300)
    ends = [bias + NORMAL.inv_cdf(tail) for tail in (TAIL, 1 - TAIL)]
    low, high = np.quantile(resamples, [NORMAL.cdf(bias + end / (1 - speed * end)) for end in ends])
    return float(low), float(high)


def held(
    make: Callable[[np.random.Generator, int], Sampled], size: int, truth: float, sets: int, times: int
) -> dict[str, float]:
    """Share of the sets whose interval holds the truth, by each way."""
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(("gemlet", "percentile", "BCa"), 0)
    for number in range(sets):
        sampled = make(rng, size)
        own, resamples = figure_of(sampled, number), drawn(sampled, rng, times)
        ends = {
            "gemlet": (own.low, own.high),
            "percentile": percentile(sampled, resamples),
            "BCa": bca(sampled, resamples),
        }
        for name, (low, high) in ends.items():
            counts[name] += low <= truth <= high
    return {name: count / sets for name, count in counts.items()}


def main() -> None:
    """Print a line for each figure and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=400)
    sets = parser.parse_args().sets
    print(f"{sets} sets, {RESAMPLES} resamples; share of intervals that hold the truth\n")
    print("figure       rows  gemlet  percentile  BCa")
    for size in (20, 40, 100):
        show("mean", size, held(like_ndcg, size, TRUE_MEAN, sets, RESAMPLES))
    for size in (60, 200):
        rng = np.random.default_rng(1)
        truth = float(np.mean([clustered(rng, size).value for _ in range(2000)]))
        show("V-measure", size, held(clustered, size, truth, sets // 4, RESAMPLES // 4))


def show(name: str, size: int, shares: dict[str, float]) -> None:
    """Print one line."""
    print(f"{name:12} {size:4} {shares['gemlet']:7.1%} {shares['percentile']:11.1%} {shares['BCa']:6.1%}", flush=True)


if __name__ == "__main__":
    main()
