"""Queries and documents, judged by the order in which documents come."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from gemlet.errors import InputError
from gemlet.evaluation import metrics
from gemlet.evaluation.protocols.measure import Inputs, Scores, check, nearest, with_main
from gemlet.vectors import FloatArray

CUTS = (1, 3, 5, 10, 20, 100)
"""Ranks at which retrieval is judged."""

_RANKING = {
    "ndcg": metrics.ndcg,
    "map": metrics.ranked_precision,
    "recall": metrics.recall,
    "precision": metrics.precision,
    "mrr": metrics.reciprocal_rank,
}


@dataclass(frozen=True)
class Retrieval:
    """Queries, documents, and which documents answer which query.

    grades     for each query the rows of its documents → grade; over 0 is relevant
    documents  with their titles, if they have any, before the text and a space
    names      of the documents: of equally near ones that with the later name comes first, as trec_eval has it
    """

    kind: ClassVar[str] = "Retrieval"
    main: ClassVar[str] = "ndcg_at_10"
    queries: list[str]
    documents: list[str]
    grades: list[dict[int, int]]
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check("queries", self.queries, self.grades)
        check("documents", self.documents, *([self.names] if self.names else []))
        for query, grade in zip(self.queries, self.grades, strict=True):
            if not any(value > 0 for value in grade.values()):
                raise InputError(f"no document is relevant for the query {query[:60]!r}")

    def inputs(self) -> list[Inputs]:
        """Queries, then documents."""
        return [Inputs(self.queries, "Retrieval-query"), Inputs(self.documents, "Retrieval-document")]

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """NDCG, MAP, recall, precision and MRR at the CUTS."""
        rows = range(len(self.documents))
        order = np.array(sorted(rows, key=self.names.__getitem__, reverse=True) if self.names else rows, np.intp)
        ranked = order[nearest(vectors[0], vectors[1][order], max(CUTS))]
        figures: dict[str, float] = {}
        for name, metric in _RANKING.items():
            for k in CUTS:
                figures[f"{name}_at_{k}"] = float(metric(ranked, self.grades, k).mean())
        return with_main(self, figures)
