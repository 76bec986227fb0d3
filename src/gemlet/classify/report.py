"""What rows are and what was said of them → figures.   (true, predicted → Report)

Precision, recall, F1 and their means are scikit-learn's: what is 0 of 0 counts as 0, and a mean is over the classes
that some row has or was said to have.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet.classify.labels import targets_of


@dataclass(frozen=True)
class ClassFigures:
    """Of one class; support: how many rows have it."""

    label: Any
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Report:
    """How well labels were found.

    classes            figures of each class
    accuracy           share of rows of which everything said is right; "don't know" is not right
    macro_f1           mean of the classes' F1
    micro_f1           of all decisions together; where a row has exactly one label it is the accuracy
    rows, unsure       how many there are, and of how many nothing was said
    unseen             labels of rows that are no class of the classifier: these rows cannot be right
    confusion          [classes, classes + 1] int64: rows that are the one and were said to be the other; the last
                       column: unsure. None where a row may have several labels
    calibration_error  mean distance between probability and share of right ones, 0 to 1; None: not known
    """

    classes: list[ClassFigures]
    accuracy: float
    macro_f1: float
    micro_f1: float
    rows: int
    unsure: int
    unseen: list[Any]
    confusion: npt.NDArray[np.int64] | None
    calibration_error: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        confusion = None if self.confusion is None else self.confusion.tolist()
        return asdict(self) | {"confusion": confusion}


def report_of(
    true: Sequence[Any],
    predicted: Sequence[Any],
    classes: Sequence[Any],
    *,
    several: bool = False,
    calibration_error: float | None = None,
) -> Report:
    """Compare what rows are with what was said of them.

    true, predicted  a label for each row, None: not sure; or a list of labels where rows have `several`
    classes          that the classifier knows
    """
    met = {label for row in (*true, *predicted) for label in (row if several else [row]) if label is not None}
    labels = sorted(met, key=lambda label: (isinstance(label, str), label))
    is_so, said = targets_of(true, labels), targets_of(predicted, labels)
    support, claims, hits = is_so.sum(axis=0), said.sum(axis=0), (is_so & said).sum(axis=0)
    precision, recall = _share(hits, claims), _share(hits, support)
    f1 = _share(2 * hits, support + claims)
    return Report(
        classes=[ClassFigures(*row) for row in zip(
            labels, precision.tolist(), recall.tolist(), f1.tolist(), support.tolist(), strict=True
        )],
        accuracy=float((is_so == said).all(axis=1).mean()),
        macro_f1=float(f1.mean()) if len(f1) else 0.0,
        micro_f1=float(_share(2 * hits.sum(), support.sum() + claims.sum())),
        rows=len(is_so),
        unsure=int((~said.any(axis=1)).sum()),
        unseen=[label for label in labels if label not in set(classes)],
        confusion=None if several else _confusion(is_so, said),
        calibration_error=calibration_error,
    )  # fmt: skip


def _confusion(is_so: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    answers = np.column_stack([said, ~said.any(axis=1)])
    return is_so.astype(np.int64).T @ answers.astype(np.int64)


def _share(part: Any, whole: Any) -> Any:
    """Part / whole, 0 of 0 is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)
