"""Which cosine means "duplicate".   (level, dimension → cosine)

Vectors of this model are never far apart: two sentences that have nothing in common have a cosine of 0.2 to 0.5, and
what a cosine means depends on the prompt and the dimension. So the thresholds are fitted, by bench/calibrate_pairs.py,
with the prompt for sentence similarity:

duplicate       the same text but for typing errors, case, punctuation, the order of sentences: nine of ten such planted
                copies pass, and of pairs that people judged to differ 0.2% in the STS benchmark, 1.7% in SICK, whose
                pairs often differ by a "not": no cosine tells that from a typing error
near-duplicate  the same but for details: 5% of the pairs that people judged to differ pass
same meaning    paraphrases: where precision and recall against people's judgement balance (the highest F1)

A translation is often further away than a paraphrase: bitext.py compares it with what else there is.
"""

import math
from typing import Literal, get_args

from gemlet.errors import InputError

Level = Literal["duplicate", "near-duplicate", "same meaning"]
LEVELS: tuple[Level, ...] = get_args(Level)

# What bench/calibrate_pairs.py prints.
THRESHOLDS: dict[Level, dict[int, float]] = {
    "duplicate": {768: 0.95, 512: 0.96, 256: 0.96, 128: 0.96},
    "near-duplicate": {768: 0.90, 512: 0.91, 256: 0.92, 128: 0.93},
    "same meaning": {768: 0.80, 512: 0.81, 256: 0.83, 128: 0.84},
}


def threshold_for(level: Level, dim: int = 768) -> float:
    """The least cosine of two texts that are so alike, at a dimension; of another one, that of the nearest.

    Raises InputError for another level.
    """
    if level not in THRESHOLDS:
        raise InputError(f"level is {level!r}; available: {', '.join(LEVELS)}")
    fitted = THRESHOLDS[level]
    return fitted[min(fitted, key=lambda known: abs(math.log(known / dim)))]
