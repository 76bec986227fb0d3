"""A run's curve → a picture.   (lines → PNG or SVG)"""

import io
from collections.abc import Sequence
from typing import Any

from gemlet.errors import MissingExtra

_SMOOTH = 0.9


def draw_curve(lines: Sequence[dict[str, Any]], main: str | None, kind: str = "png") -> bytes:
    """The loss of every step, with its running mean, and below it the figure of the held-out rows.

    lines  of curve.jsonl
    main   the name of the held-out rows' main figure; None: there are none

    Raises MissingExtra without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("plot", "a picture") from None
    figure = Figure(figsize=(8, 6 if main else 4), layout="constrained")
    axes = figure.subplots(2 if main else 1, sharex=True, squeeze=False)[:, 0]
    steps = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    axes[0].plot([step for step, _ in steps], [loss for _, loss in steps], color="0.75", linewidth=0.8)
    axes[0].plot([step for step, _ in steps], _running([loss for _, loss in steps]), color="tab:blue")
    axes[0].set_ylabel("loss")
    if main:
        looks = [(line["step"], line[main]) for line in lines if main in line]
        axes[1].plot([step for step, _ in looks], [value for _, value in looks], color="tab:orange", marker="o")
        axes[1].set_ylabel(f"{main}, held out")
    axes[-1].set_xlabel("step")
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=120)
    return content.getvalue()


def _running(values: Sequence[float]) -> list[float]:
    """The exponential mean, without the pull of its first value."""
    found, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = _SMOOTH * total + (1 - _SMOOTH) * value, _SMOOTH * weight + 1 - _SMOOTH
        found.append(total / weight)
    return found
