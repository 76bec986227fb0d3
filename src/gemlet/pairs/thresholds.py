"""Which cosine means "duplicate".   (level, dimension → cosine)

Vectors of this model are never far apart: two sentences that have nothing in common have a cosine of 0.2 to 0.5, and
what a cosine means depends on the prompt and the dimension. So the thresholds are fitted, by bench/calibrate_pairs.py,
with the prompt for sentence similarity:

duplicate       the same text but for typing errors, case, punctuation, the order of sentences: as low as 95% of such
                planted copies pass, but not so low that one of 1,000 pairs that people judged to differ does
near-duplicate  the same but for details: where half of the pairs are that people judged equivalent, or all but
same meaning    paraphrases and translations: where precision and recall against people's judgement balance (highest F1)
"""

import math
from typing import Literal, get_args

from gemlet.errors import InputError

Level = Literal["duplicate", "near-duplicate", "same meaning"]
LEVELS: tuple[Level, ...] = get_args(Level)

# What bench/calibrate_pairs.py prints.
THRESHOLDS: dict[Level, dict[int, float]] = {
    "duplicate": {768: 0.94, 512: 0.94, 256: 0.95, 128: 0.95},
    "near-duplicate": {768: 0.88, 512: 0.88, 256: 0.89, 128: 0.90},
    "same meaning": {768: 0.80, 512: 0.80, 256: 0.82, 128: 0.84},
}


def threshold_for(level: Level, dim: int = 768) -> float:
    """The least cosine of two texts that are so alike, at a dimension; of another one, that of the nearest.

    Raises InputError for another level.
    """
    if level not in THRESHOLDS:
        raise InputError(f"level is {level!r}; available: {', '.join(LEVELS)}")
    fitted = THRESHOLDS[level]
    return fitted[min(fitted, key=lambda known: abs(math.log(known / dim)))]
