"""A report → a picture of its confusion matrix.   (Report → PNG or SVG)"""

import os
from pathlib import Path

import numpy as np

from gemlet.classify.report import Report
from gemlet.dataset import whole_file
from gemlet.errors import InputError, MissingExtra

SUFFIXES = (".png", ".svg")

_NUMBERED = 30
"""Classes at most whose cells have their counts written in."""


def check_picture(path: str | os.PathLike[str]) -> None:
    """Raise InputError for a file that is no picture, MissingExtra where nothing can draw: before the work begins."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot draw {os.fspath(path)!r}: name a .png or .svg file")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra("plot", "a picture") from None


def draw(report: Report, path: str | os.PathLike[str]) -> None:
    """Draw the confusion matrix: a row for what is so, a column for what was said, dark where many rows lie.

    A cell's shade is its share of its row. Raises InputError for another suffix, where rows have several labels, or a
    folder that cannot be written; MissingExtra without matplotlib. The file is written whole or not at all.
    """
    check_picture(path)
    if report.confusion is None:
        raise InputError("rows with several labels have no confusion matrix to draw: leave the picture out")
    from matplotlib.figure import Figure

    counts = report.confusion if report.unsure else report.confusion[:, :-1]
    names = [str(row.label) for row in report.classes]
    size = min(4 + 0.35 * len(names), 40)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(counts.shape[1]), [*names, "(not sure)"][: counts.shape[1]], rotation=90, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_xlabel("said")
    axes.set_ylabel("is so")
    axes.set_title(f"{report.accuracy:.1%} of {report.rows:,} rows right")
    if len(names) <= _NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                dark = count > counts[row].sum() / 2
                axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    with whole_file(os.fspath(path)) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=120)
