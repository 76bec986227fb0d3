"""What the caller says that rows are → names of the classes, and which of them each row is.   (labels → targets)"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError

Targets = npt.NDArray[np.bool_]
"""[n, classes]: what each row is."""


def as_labels(labels: Iterable[Any]) -> list[Any]:
    """A list of str, int or bool, all of one kind; NumPy's scalars become Python's.

    Raises InputError that names the row of a label that is missing (None, NaN, "") or of another kind.
    """
    if isinstance(labels, str | bytes):
        raise InputError("the labels are a single str: pass a list with one for each text")
    found = [_label(label, f"the label of text {row}") for row, label in enumerate(labels)]
    if len({type(label) for label in found}) > 1:
        raise InputError("some labels are text and others numbers: make them all text, with str()")
    return found


def as_label_sets(labels: Iterable[Any]) -> list[list[Any]]:
    """A list of labels for each row, which may be empty. Raises InputError as as_labels() does."""
    found = []
    for row, several in enumerate(labels):
        if isinstance(several, str | bytes) or not isinstance(several, Iterable):
            raise InputError(f"text {row} needs a list of labels, which may be empty, not {several!r}")
        found.append([_label(label, f"a label of text {row}") for label in several])
    as_labels(label for several in found for label in several)
    return found


def targets_of(labels: Sequence[Any], classes: Sequence[Any]) -> Targets:
    """[n, classes] bool of one label, or of a list of labels, for each row; a label that is no class is left out."""
    places = {label: place for place, label in enumerate(classes)}
    targets = np.zeros((len(labels), len(classes)), bool)
    for row, label in enumerate(labels):
        for one in label if isinstance(label, list) else [label]:
            if one in places:
                targets[row, places[one]] = True
    return targets


def classes_of(labels: Sequence[Any], several: bool) -> list[Any]:
    """The labels, sorted. Raises InputError for fewer than two, or none where rows have `several`."""
    classes = sorted({label for row in labels for label in (row if several else [row])})
    if several and not classes:
        raise InputError(f"none of the {len(labels)} rows has a label: there is nothing to learn")
    if not several and len(classes) < 2:
        rows = f"all {len(labels)} rows are" if len(labels) > 1 else "the only row is"
        raise InputError(f"{rows} {classes[0]!r}: a classifier needs examples of two labels or more")
    return classes


def check_lengths(texts: int, labels: int) -> None:
    """Raise InputError unless there is a label for each text, and at least one text."""
    if texts != labels:
        raise InputError(f"there are {texts} texts and {labels} labels: pass one label for each text")
    if not texts:
        raise InputError("there is no row to learn from or to compare with: pass texts and their labels")


def _label(label: Any, what: str) -> Any:
    if isinstance(label, np.generic):
        label = label.item()
    if label is None or label != label or label == "":  # NaN alone is not itself
        raise InputError(f"{what} is missing ({label!r}): give it one, or leave the text out")
    if not isinstance(label, str | int):
        raise InputError(f"{what} is {label!r}: labels are text or whole numbers")
    return label
