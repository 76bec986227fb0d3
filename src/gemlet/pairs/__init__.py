"""Vectors compared with one another: what is the same, what is alike, what belongs together.   (vectors → pairs)

coded.py       vectors in 8 bits, a quarter of their memory, and texts → those
comparing.py   two blocks of vectors → the pairs that are alike; all blocks of one or two sets
groups.py      duplicates, each with the row that is kept in its place
neighbours.py  for each row of one set the nearest of another
similar.py     the most similar pairs
bitext.py      translations, by how much nearer they are than everything else
recommending.py  what is like these and not like those
thresholds.py  which cosine means "duplicate"

A vector is compared with every other, in blocks, by the engine (native/scan/pairs.cpp); memory holds the vectors and a
block of pairs, never all pairs.
"""

from gemlet.pairs.bitext import Translations, mine_bitext
from gemlet.pairs.coded import Coded, as_coded, code_texts
from gemlet.pairs.groups import Groups, Keep, duplicate_texts, duplicates, normal_form
from gemlet.pairs.neighbours import Neighbours, nearest
from gemlet.pairs.recommending import Recommendations, recommend
from gemlet.pairs.similar import Pairs, similar_pairs
from gemlet.pairs.thresholds import LEVELS, Level, threshold_for

__all__ = [
    "LEVELS",
    "Coded",
    "Groups",
    "Keep",
    "Level",
    "Neighbours",
    "Pairs",
    "Recommendations",
    "Translations",
    "as_coded",
    "code_texts",
    "duplicate_texts",
    "duplicates",
    "mine_bitext",
    "nearest",
    "normal_form",
    "recommend",
    "similar_pairs",
    "threshold_for",
]
