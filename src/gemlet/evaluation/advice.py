"""A difference → what to do.   (Difference → Verdict)

The rule asks one thing: how much may the other setting cost at worst? That is the low end of the difference's interval,
not its middle and not p: a large p with few rows means "not known", never "as good".

better        surely higher: the whole interval is above zero, and p below ALPHA
good enough   at worst it is MARGIN lower
a trade       at worst it is more than MARGIN lower, and surely lower
not decided   all else: the rows are too few to tell, and about how many would do is said

"Surely" takes both, as interval and p are found in different ways and with few rows may not agree.

MARGIN is one point (a hundredth): one query in a hundred that loses all, and twice what the model card's table loses in
the mean from 768 to 512 numbers (English, -0.5).
"""

import math
from dataclasses import dataclass
from typing import Literal

from gemlet.evaluation.resampling import Difference
from gemlet.evaluation.settings import Setting
from gemlet.vectors import MATRYOSHKA_DIMS

MARGIN = 0.01
ALPHA = 0.05

Choice = Literal["better", "good enough", "a trade", "not decided"]

_SHARES = {
    2 / 3: "two thirds of the",
    1 / 2: "half the",
    1 / 3: "a third of the",
    1 / 4: "a quarter of the",
    1 / 6: "a sixth of the",
}


@dataclass(frozen=True)
class Verdict:
    """The choice, and a sentence that says why."""

    choice: Choice
    text: str


def judged(base: Setting, other: Setting, difference: Difference, rows: int) -> Verdict:
    """What to make of the difference of the figure that counts, in `rows` rows."""
    low, high = difference.low, difference.high
    name = other.named(base)
    measured = f"{name}: {_gap(difference)}{_size(base, other)}"
    if math.isnan(low):
        return Verdict("not decided", f"{measured}: the rows are too few to tell")
    if surely_higher(difference):
        return Verdict("better", f"{measured}: better")
    if low >= -MARGIN:
        if low >= 0:
            return Verdict("good enough", f"{measured}: good enough, it is no lower in these rows")
        return Verdict("good enough", f"{measured}: good enough if you can afford {_points(_worst(low))}")
    if surely_lower(difference):
        return Verdict("a trade", f"{measured}: worse, take it only if you can afford {_points(_worst(low))}")
    needed = _rows_needed(low, high, rows)
    return Verdict("not decided", f"{measured}: not decided, some {needed:,} rows like these would tell")


def surely_higher(difference: Difference) -> bool:
    """Whether interval and p both say that the other setting is better."""
    return difference.low > 0 and difference.p < ALPHA


def surely_lower(difference: Difference, margin: float = 0) -> bool:
    """Whether both say that it is worse, by more than a margin."""
    return difference.high < -margin and difference.p < ALPHA


def _gap(difference: Difference) -> str:
    """0.4 points less (0.1 to 0.7)."""
    value, low, high = (round(100 * part, 2) for part in (difference.value, difference.low, difference.high))
    if value == 0:
        return f"no more and no less ({low:+.2f} to {high:+.2f} points)"
    ends = f"{-low:.2f} less to {high:.2f} more"
    if low >= 0 or high <= 0:
        ends = " to ".join(f"{end:.2f}" for end in sorted((abs(low), abs(high))))
    return f"{abs(value):.2f} points {'less' if value < 0 else 'more'} ({ends})"


def _size(base: Setting, other: Setting) -> str:
    full = MATRYOSHKA_DIMS[0]
    share = (other.dim or full) / (base.dim or full)
    if share == 1:
        return ""
    known = next((words for part, words in _SHARES.items() if abs(part - share) < 1e-9), None)
    return f", {known} size" if known else f", {share:.3g} times the size"


def _worst(low: float) -> float:
    """The low end in points, rounded up to a tenth."""
    return math.ceil(round(-1000 * low, 6)) / 10


def _points(points: float) -> str:
    return "half a point" if points == 0.5 else "a point" if points == 1 else f"{points:g} points"


def _rows_needed(low: float, high: float, rows: int) -> int:
    """Rows that make the interval as wide as the margin to both sides: it shrinks with their square root."""
    times = ((high - low) / 2 / MARGIN) ** 2
    needed = max(times * rows, rows + 1)
    digits: int = 10 ** max(0, len(str(int(needed))) - 2)
    return math.ceil(needed / digits) * digits
