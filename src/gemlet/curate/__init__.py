"""Tools for training data: what to leave out, what to add.   (rows → rows that are worth training on)

columns.py        which columns are texts, anchors, positives
mining.py         pairs → pairs with hard negatives
quality.py        too short, too long, repeated lines, mostly symbols, another language (extra `language`)
personal.py       mail addresses, telephone, card and account numbers, identity numbers (extra `privacy`)
contamination.py  texts that evaluation sets have as well
cleaning.py       all of these in order, each row that goes with its reason
queries.py        passages → questions that a language model writes and the engine finds its way back from
"""

from gemlet.curate.cleaning import Cleaned, Gone, Plan, clean
from gemlet.curate.columns import pair_columns, row_texts, text_columns
from gemlet.curate.contamination import EvaluationTexts, Overlap
from gemlet.curate.mining import Mined, Rule, mine
from gemlet.curate.personal import PersonalData, Span
from gemlet.curate.quality import Quality
from gemlet.curate.queries import Query, round_trip, write_queries

__all__ = [
    "Cleaned",
    "EvaluationTexts",
    "Gone",
    "Mined",
    "Overlap",
    "PersonalData",
    "Plan",
    "Quality",
    "Query",
    "Rule",
    "Span",
    "clean",
    "mine",
    "pair_columns",
    "round_trip",
    "row_texts",
    "text_columns",
    "write_queries",
]
