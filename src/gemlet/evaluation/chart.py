"""A table → a picture: how far each setting is from what is published.   (Table → PNG or SVG)"""

import os
from pathlib import Path

from gemlet.dataset import whole_file
from gemlet.errors import InputError, MissingExtra
from gemlet.evaluation.pages import names_of
from gemlet.evaluation.tables import Table

SUFFIXES = (".png", ".svg")


def check_chart(path: str | os.PathLike[str]) -> None:
    """Raise InputError for a file that is no picture, MissingExtra where nothing can draw: before the work begins."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot draw {os.fspath(path)!r}: name a .png or .svg file")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra("plot", "a picture") from None


def draw_table(table: Table, path: str | os.PathLike[str]) -> None:
    """Draw a line for each task: what is published as a ring, each setting as a dot. Written whole or not at all."""
    check_chart(path)
    from matplotlib.figure import Figure

    rows = list(reversed(table.rows))
    figure = Figure(figsize=(9, 1.5 + 0.28 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for setting, name in names_of(table.settings).items():
        points = [(row.scores[setting], place) for place, row in enumerate(rows) if setting in row.scores]
        axes.scatter([x for x, _ in points], [y for _, y in points], s=14, label=f"{name}, {setting.dim}", zorder=3)
    known = [(row.comparable, place) for place, row in enumerate(rows) if row.comparable is not None]
    if known:
        rings = axes.scatter([x for x, _ in known], [y for _, y in known], s=60, label="published", zorder=2)
        rings.set(facecolor="none", edgecolor="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row.name for row in rows], parse_math=False)
    axes.set_xlabel("score times 100")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize="small", loc="best")
    with whole_file(os.fspath(path)) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=120)
