"""How good the vectors are at what they are for.   (vectors, what is known of their texts → figures)

metrics.py     what was found, what is right → figures: those of trec_eval, SciPy and scikit-learn
resampling.py  how sure a figure is, and the difference of two

One's own data:
own.py         queries, documents and judgements; pairs with scores; texts with labels
ownfiles.py    files of those
settings.py    model, quantization, dimension
embedding.py   texts → vectors of every setting, each text once
exact.py       every document beside every query, in blocks
measuring.py   evaluate_retrieval(), evaluate_pairs(), evaluate_labels()
hardest.py     what went worst
comparison.py  Evaluation: figures with intervals, settings beside each other
advice.py      a difference → what to do

What others published:
tasks/         folders of published data → what to measure
protocols/     what each kind of task asks of vectors, scored as MTEB scores it
kept.py        vectors that are embedded once
running.py     tasks, a model → results
results.py     results as files in MTEB's schema
published.py   the scores that are published for the same tasks
tables.py, pages.py, chart.py   results beside those: a table, as Markdown, HTML, a picture
mteb_model.py, mteb_run.py      gemlet under mteb's own runner
"""

from gemlet.evaluation.comparison import Comparison, Evaluation
from gemlet.evaluation.embedding import Trial
from gemlet.evaluation.measuring import evaluate_labels, evaluate_pairs, evaluate_retrieval
from gemlet.evaluation.own import as_labelled, as_pairs, as_retrieval, entries_of, judgements_of
from gemlet.evaluation.ownfiles import read_labelled, read_pairs, read_retrieval
from gemlet.evaluation.settings import Setting

__all__ = [
    "Comparison",
    "Evaluation",
    "Setting",
    "Trial",
    "as_labelled",
    "as_pairs",
    "as_retrieval",
    "entries_of",
    "evaluate_labels",
    "evaluate_pairs",
    "evaluate_retrieval",
    "judgements_of",
    "read_labelled",
    "read_pairs",
    "read_retrieval",
]
