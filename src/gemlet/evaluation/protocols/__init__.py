"""What a task asks of vectors, scored as MTEB scores it.   (texts and what is known of them → what to embed → figures)

A protocol names its texts and their prompts (`inputs`), and turns their vectors into figures (`score`), in the same
order; who embeds is not its business. The prompts are those that the checkpoint names after MTEB's kinds of task, as
its registration in MTEB has them, but for one: the published scores of bitext mining come out with "sentence
similarity" (Bulgarian of Tatoeba: 72.3, published 72.8) and not with the checkpoint's "search result" (66.4).

Source: MTEB 2 (Muennighoff et al. 2022, arXiv:2210.07316, section 3), its classes AbsTaskSTS,
AbsTaskPairClassification, AbsTaskBitextMining, AbsTaskRetrieval, AbsTaskClassification and AbsTaskClustering, with the
seed 42.

measure.py    what a protocol is
pairs.py      STS, pair classification, bitext mining
retrieval.py  queries and documents
labelled.py   classification, clustering
"""

from gemlet.evaluation.protocols.labelled import Classification, Clustering
from gemlet.evaluation.protocols.measure import PROMPTS, Inputs, Measure, Scores
from gemlet.evaluation.protocols.pairs import Bitext, PairClassification, Similarity
from gemlet.evaluation.protocols.retrieval import Retrieval

__all__ = [
    "PROMPTS",
    "Bitext",
    "Classification",
    "Clustering",
    "Inputs",
    "Measure",
    "PairClassification",
    "Retrieval",
    "Scores",
    "Similarity",
]
