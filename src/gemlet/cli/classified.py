"""What `gemlet classify` writes and prints: rows with their labels, reports."""

import json
import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from gemlet.cli.finding import echo, on_one_line, shown_path, styled
from gemlet.dataset import Dataset, Rows

if TYPE_CHECKING:
    from gemlet.classify import Classifier, Report

SHOWN = 20
"""Rows that a terminal gets, and pairs of labels that are mixed up."""
MATRIX = 8
"""Classes at most whose confusion matrix is printed."""
NOBODY = "(not sure)"


def columns_of(data: Dataset) -> list[str]:
    """The columns of the output: the rows' own, and two for what is said, by a longer name where it is taken."""
    taken = {"label", "probability"} & set(data.columns)
    return [*data.columns, *(f"predicted_{name}" if taken else name for name in ("label", "probability"))]


class Classified:
    """Rows and what was said of them.

    probabilities  [n, classes] float64; NaN for a row of which nothing is said: its label's only example
    """

    def __init__(self, data: Dataset, texts: list[str], classifier: "Classifier", probabilities: Any) -> None:
        self._data, self._texts = data, texts
        self._probabilities = probabilities
        self._method = classifier.method_
        self._several = classifier.multi_label
        self._classes = classifier.classes_.tolist()
        known = ~np.isnan(probabilities[:, 0])
        said: Any = classifier.decide(np.nan_to_num(probabilities))
        self._labels = [label if k else None for label, k in zip(said, known, strict=True)]

    def write(self, writer: Rows) -> None:
        """Write every row with its label and probability."""
        names = columns_of(self._data)[-2:]
        for place, row in enumerate(self._data.rows):
            said = (self._labels[place], self._probability(place))
            writer.write(row | dict(zip(names, said, strict=True)))

    def print_json(self, report: "Report | None") -> None:
        """Print one object: every row with all its probabilities, and the report if there is one."""
        rows = [
            {
                "place": self._data.places[place],
                "label": self._labels[place],
                "probability": self._probability(place),
                "probabilities": dict(zip(self._classes, map(_number, row), strict=True)),
            }
            for place, row in enumerate(self._probabilities)
        ]
        value = {
            "method": self._method,
            "labels": self._classes,
            "rows": rows,
            "report": report.to_dict() if report else None,
        }
        echo(json.dumps(value, ensure_ascii=False), errors="backslashreplace")

    def print_table(self) -> None:
        """Print label, probability and text: a few rows and the counts on a terminal, every row in a pipe."""
        if not sys.stdout.isatty():
            for place in range(len(self._texts)):
                echo("\t".join([self._shown(place), self._percent(place, ".4f"), self._line(place)]))
            return
        shown = min(len(self._texts), SHOWN)
        width = max(len(self._shown(place)) for place in range(shown))
        room = max(shutil.get_terminal_size().columns - width - 8, 20)
        for place in range(shown):
            line = self._line(place)
            line = line if len(line) <= room else line[: room - 1] + "…"
            echo(f"{styled(self._shown(place).ljust(width), bold=True)}  {self._percent(place, '.0%'):>4}  {line}")
        if len(self._texts) > shown:
            echo(f"... and {len(self._texts) - shown:,} more rows: -o FILE writes them all")
        echo()
        every = self._labels if not self._several else [one for row in self._labels for one in row or [None]]
        counts = Counter(NOBODY if label is None else str(label) for label in every)
        echo(" · ".join(f"{on_one_line(label)} {count:,}" for label, count in counts.most_common()))

    def _probability(self, place: int) -> Any:
        """Of the label that was said, or that was nearest; of each label, where there may be several."""
        row = self._probabilities[place]
        if not self._several:
            return _number(row.max())
        return [_number(row[self._classes.index(label)]) for label in self._labels[place] or []]

    def _percent(self, place: int, form: str) -> str:
        value = self._probability(place)
        if isinstance(value, list):
            value = min(value, default=None)
        return "" if value is None else format(value, form)

    def _shown(self, place: int) -> str:
        label = self._labels[place]
        if self._several:
            label = "|".join(label or [])
        return on_one_line(str(label)) if label else NOBODY if sys.stdout.isatty() else ""

    def _line(self, place: int) -> str:
        """A row for a reader: its text, or its path where it is a file."""
        row = self._data.rows[place]
        if {"path", "folder"} <= row.keys():
            return shown_path(str(row["path"]))
        return on_one_line(self._texts[place])


def say_learned(classifier: "Classifier", path: str) -> None:
    """Say on stderr what was learned, and how good it is."""
    found = classifier.validation_
    judged = f"; {_summary(found)}" if found else ""
    click.echo(f"gemlet: {path} tells {len(classifier.classes_)} labels ({classifier.method_}){judged}", err=True)


def print_report(report: "Report", classifier: "Classifier", held_out: bool) -> None:
    """Print the figures of each class, then of all; what is mixed up with what."""
    names = [on_one_line(str(row.label)) for row in report.classes]
    width = max([5, *map(len, names)])
    echo(styled(f"{'label':<{width}}  precision  recall    F1    rows", bold=True))
    for name, row in zip(names, report.classes, strict=True):
        echo(f"{name:<{width}}  {row.precision:9.3f}  {row.recall:6.3f}  {row.f1:.3f}  {row.support:6,}")
    echo()
    whence = "held out in five folds" if held_out else "that it has not learned from"
    if classifier.method_ == "zero-shot":
        whence = "none of them seen"
    echo(f"{_summary(report)}, {report.rows:,} rows, {whence} ({classifier.method_})")
    if report.unsure:
        sure = report.rows - report.unsure
        right = f", and {report.accuracy * report.rows / sure:.1%} right of the other {sure:,}" if sure else ""
        echo(f"not sure of {report.unsure:,} rows{right if report.confusion is not None else ''}")
    if report.unseen:
        shown = ", ".join(on_one_line(str(label)) for label in report.unseen[:5])
        echo(f"{len(report.unseen)} labels are none that it knows, and their rows count as wrong: {shown}")
    if report.confusion is not None:
        _print_confusion(report, names)


def _summary(report: "Report") -> str:
    error = "" if report.calibration_error is None else f", probabilities off by {report.calibration_error:.3f}"
    micro = f", micro F1 {report.micro_f1:.3f}" if report.confusion is None else ""
    return f"{report.accuracy:.1%} right, macro F1 {report.macro_f1:.3f}{micro}{error}"


def _print_confusion(report: "Report", names: list[str]) -> None:
    """Print the matrix of a few classes; the pairs that are mixed up most of many."""
    counts = report.confusion
    assert counts is not None
    columns = [*names, NOBODY] if report.unsure else names
    echo()
    if len(names) <= MATRIX:
        width = max(5, *map(len, names))
        cells = [max(len(name), 5) for name in columns]
        echo(
            styled(
                f"{'is so':<{width}}  " + "  ".join(f"{n:>{w}}" for n, w in zip(columns, cells, strict=True)), bold=True
            )
        )
        for name, row in zip(names, counts, strict=True):
            echo(f"{name:<{width}}  " + "  ".join(f"{count:>{w}}" for count, w in zip(row, cells, strict=False)))
        return
    wrong = [
        (int(count), names[row], [*names, NOBODY][column])
        for (row, column), count in np.ndenumerate(counts)
        if count and row != column
    ]
    for count, true, said in sorted(wrong, key=lambda pair: -pair[0])[:SHOWN]:
        echo(f"{count:6,} × {true} was said to be {said}")


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
