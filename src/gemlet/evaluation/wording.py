"""What terminal and reports say alike of an Evaluation.   (Evaluation → words)"""

from gemlet.evaluation.advice import MARGIN, surely_lower
from gemlet.evaluation.comparison import Comparison, Evaluation
from gemlet.evaluation.resampling import Difference, Figure

TITLES = {
    "retrieval": "How well queries find their documents",
    "pairs": "How well cosines follow what people said",
    "labels": "How well labels are told",
}
HARDEST = {
    "retrieval": ("The hardest queries", "relevant", "found instead"),
    "pairs": ("The pairs that differ most from what was said", "and", "which seem"),
    "labels": ("The texts told most wrongly", "label", "told as"),
}
NAMES = {
    "ndcg": "nDCG",
    "mrr": "MRR",
    "map": "MAP",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "average_precision": "average precision",
    "best_f1": "best F1",
    "best_accuracy": "best accuracy",
    "macro_f1": "macro F1",
    "v_measure": "V-measure",
}
FIGURE_HEAD = ("figure", "points", "95% interval")
DIFFERENCE_HEAD = ("figure", "points", "difference", "95% interval", "p")


def name_of(figure: str) -> str:
    """How a figure is written: nDCG@10 for "ndcg@10"."""
    name, at, k = figure.partition("@")
    return NAMES.get(name, name) + at + k


def figure_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """A row of cells for each figure, in points."""
    return [(name_of(one.name), _points(one.value), _interval(one)) for one in evaluation.figures]


def difference_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """A row of cells for each figure of another setting."""
    return [
        (name_of(own.name), _points(own.value), _signed(gap.value), _interval(gap, signed=True), p_of(gap.p))
        for own, gap in zip(comparison.figures, comparison.differences, strict=True)
    ]


def advice(evaluation: Evaluation) -> list[str]:
    """A sentence for each comparison, by the figure that counts; what else is surely lower is said with it."""
    name = name_of(evaluation.figures[0].name)
    return [f"{one.verdict.text} (by {name}){_also_lower(one)}" for one in evaluation.comparisons]


def _also_lower(comparison: Comparison) -> str:
    if comparison.verdict.choice == "a trade":
        return ""
    lower = [gap for gap in comparison.differences[1:] if surely_lower(gap, MARGIN)]
    return "".join(
        f"; but {name_of(gap.name)} is surely lower, by {_points(-gap.high)} points or more" for gap in lower
    )


def p_of(p: float) -> str:
    """Three places; "?" where it is not known."""
    return "?" if p != p else f"{p:.3f}" if p >= 0.001 else "<0.001"


def _points(value: float) -> str:
    return "?" if value != value else f"{100 * value:.2f}"


def _signed(value: float) -> str:
    if value != value:
        return "?"
    return f"{100 * value:+.2f}" if round(100 * value, 2) else "0.00"


def _interval(one: Figure | Difference, *, signed: bool = False) -> str:
    shown = _signed if signed else _points
    return f"{shown(one.low)} to {shown(one.high)}"
