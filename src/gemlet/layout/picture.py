"""A map → a picture, by matplotlib (extra `map`).   (chart → PNG or SVG)"""

import warnings
from typing import IO, Any

from gemlet.errors import MissingExtra
from gemlet.layout.chart import Chart, Grouping

KINDS = (".png", ".svg")

LEGEND = 24
"""Groups that a legend names; more have their colours alone."""

_SHORT = 40  # characters of a name


def write_picture(chart: Chart, file: IO[bytes], kind: str) -> None:
    """Write the map, coloured by its first grouping, as `kind`: ".png" or ".svg". Raises MissingExtra."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its fonts do not have
        try:
            import matplotlib
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingExtra("map", "a picture of a map") from None
        grouping = chart.shown[0]
        figure = Figure(figsize=(11 if _has_legend(grouping) else 8, 8), layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, chart, grouping)
        with matplotlib.rc_context({"svg.hashsalt": "gemlet", "svg.fonttype": "none"}):  # the same bytes again
            metadata = {"Date": None} if kind == ".svg" else {"Software": None}
            figure.savefig(file, format=kind[1:], dpi=150, metadata=metadata)


def _draw(axes: Any, chart: Chart, grouping: Grouping) -> None:
    size = 30 if len(chart.points) < 1_000 else 9 if len(chart.points) < 10_000 else 3
    handles = []
    for number, colour in enumerate(grouping.colours):
        rows = [row for row, group in enumerate(grouping.of) if group == number]
        handles.append(axes.scatter(*chart.points[rows].T, s=size, color=colour, linewidths=0.4, edgecolors="white"))
    axes.set_title(_plain(chart.title))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_axis_off()
    if _has_legend(grouping):
        names = [_plain(name) for name in grouping.names]
        axes.legend(
            handles, names, title=_plain(grouping.name), loc="center left", bbox_to_anchor=(1, 0.5), frameon=False
        )


def _has_legend(grouping: Grouping) -> bool:
    return not grouping.plain and len(grouping.names) <= LEGEND


def _plain(name: str) -> str:
    """A name on one line, with nothing in it that matplotlib takes for a formula, or XML for an error."""
    line = " ".join("".join(c if c.isprintable() else " " for c in name).split()).replace("$", r"\$")
    return line if len(line) <= _SHORT else line[: _SHORT - 1] + "…"
