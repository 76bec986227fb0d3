"""Results beside what is published → tables.   (list of Result, Published → Table → Markdown, HTML)

A row is a part of a task, or a task with many parts as their mean; a column a setting. The mean of a kind of task is
that of its tasks, each of which counts once, however many parts it has; only tasks that every column has are in it.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gemlet.errors import InputError
from gemlet.evaluation.published import Published
from gemlet.evaluation.results import Result, Setting
from gemlet.evaluation.tasks import TASKS, Task

_SHOWN_PARTS = 8
"""More parts of a task are one row, their mean."""


@dataclass(frozen=True)
class Row:
    """One line: a task and its parts, their mean in each setting, and what is published."""

    task: Task
    parts: tuple[str, ...]
    scores: dict[Setting, float]
    published: float | None
    rivals: dict[str, float | None]

    @property
    def name(self) -> str:
        """What it is called: the task, and its part or how many."""
        if self.parts == ("default",):
            return self.task.name
        return f"{self.task.name}, {self.parts[0] if len(self.parts) == 1 else f'{len(self.parts)} parts'}"

    @property
    def comparable(self) -> float | None:
        """The published score, where the data are MTEB's or nearly."""
        return None if self.task.data == "other" else self.published


@dataclass(frozen=True)
class Mean:
    """The mean of some tasks in each setting; `published` and the differences from it are of those that have one."""

    name: str
    tasks: int
    scores: dict[Setting, float]
    compared: int
    published: float | None
    differences: dict[Setting, float]


@dataclass(frozen=True)
class Table:
    """Rows and the settings that are their columns: models and quantizations, then dimensions from long to short."""

    settings: list[Setting]
    rows: list[Row]
    rivals: list[str]

    def means(self) -> list[Mean]:
        """One for each kind of task, then one for all."""
        kinds = list(dict.fromkeys(row.task.kind for row in self.rows))
        means = [self._mean(kind, [row for row in self.rows if row.task.kind == kind]) for kind in kinds]
        return [mean for mean in (*means, self._mean("all", self.rows)) if mean is not None]

    def _mean(self, name: str, rows: list[Row]) -> Mean | None:
        whole = [row for row in rows if len(row.scores) == len(self.settings)]
        if not whole:
            return None
        compared = [row for row in whole if row.comparable is not None]
        scores = {setting: _by_task(whole, [row.scores[setting] for row in whole]) for setting in self.settings}
        published = _by_task(compared, [row.comparable or 0.0 for row in compared]) if compared else None
        differences = {
            setting: _by_task(compared, [row.scores[setting] - (row.comparable or 0.0) for row in compared])
            for setting in self.settings
            if compared
        }
        return Mean(name, _tasks(whole), scores, _tasks(compared), published, differences)


def make_table(results: Sequence[Result], published: Published) -> Table:
    """Put results in the order of TASKS. Raises InputError when there are none."""
    if not results:
        raise InputError("there are no results to make a table of: run some tasks first")
    settings = sorted({result.setting for result in results}, key=_order)
    rows = [row for task in TASKS.values() for row in _rows(task, results, published)]
    return Table(settings, rows, list(published.rivals))


def to_markdown(table: Table) -> str:
    """Sections: scores with the difference from what is published, means, other models, what the data are."""
    lines = ["# Quality", "", _ABOUT, ""]
    for title, header, rows in _sections(table):
        lines += [f"## {title}", "", *_markdown(header, rows), ""]
    return "\n".join(lines)


def to_html(table: Table) -> str:
    """One page with the same tables; nothing is fetched."""
    parts = []
    for title, header, rows in _sections(table):
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
        body = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        parts.append(f"<h2>{html.escape(title)}</h2>\n<table>\n<tr>{head}</tr>\n{body}\n</table>")
    return _PAGE.format(about=html.escape(_ABOUT), tables="\n".join(parts))


_ABOUT = (
    "Scores times 100, each by the main figure of its task in MTEB, on local copies of the data; in brackets the "
    "difference from the score that is published for the checkpoint in full precision and 768 numbers."
)

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Quality</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: .2em .7em; border-bottom: 1px solid #ccc; text-align: right; white-space: nowrap; }}
td:first-child, th:first-child {{ text-align: left; }}
</style>
<h1>Quality</h1>
<p>{about}</p>
{tables}
</html>
"""

Section = tuple[str, list[str], list[list[str]]]


def _sections(table: Table) -> Iterator[Section]:
    labels = labels_of(table.settings)
    yield "Scores", ["task", "published", *labels], [_cells(table, row) for row in table.rows]
    yield (
        "Means by kind of task",
        ["kind", "tasks", *labels],
        [[mean.name, str(mean.tasks), *(f"{mean.scores[s]:.2f}" for s in table.settings)] for mean in table.means()],
    )
    yield (
        "Means beside what is published",
        ["kind", "tasks", "published", *labels],
        [
            [mean.name, str(mean.compared), f"{mean.published:.2f}"]
            + [f"{mean.differences[setting]:+.2f}" for setting in table.settings]
            for mean in table.means()
            if mean.published is not None
        ],
    )
    if table.rivals:
        first = table.settings[0]
        yield (
            "Beside other models",
            ["task", labels[0], *table.rivals],
            [
                [row.name, _number(row.scores.get(first)), *(_number(row.rivals[name]) for name in table.rivals)]
                for row in table.rows
                if any(value is not None for value in row.rivals.values())
            ],
        )
    yield (
        "The data",
        ["task", "kind", "split", "MTEB's data?", "what that rests on"],
        [
            [task.name, task.kind, task.split, _DATA[task.data], task.basis]
            for name in dict.fromkeys(row.task.name for row in table.rows)
            for task in [TASKS[name]]
        ],
    )


_DATA = {"equal": "the same", "near": "nearly", "other": "no: not to be compared"}


def labels_of(settings: Sequence[Setting]) -> list[str]:
    """What each is called beside the others: by the model only where there are several."""
    several = len({setting.model for setting in settings}) > 1
    return [
        f"{setting.model} {setting.quantization} {setting.dim}" if several else f"{setting.quantization} {setting.dim}"
        for setting in settings
    ]


def _cells(table: Table, row: Row) -> list[str]:
    mark = "" if row.task.data != "other" else " *"
    cells = [row.name, _number(row.published) + (mark if row.published is not None else "")]
    for setting in table.settings:
        score = row.scores.get(setting)
        known = row.comparable
        cells.append(_number(score) + (f" ({score - known:+.2f})" if None not in (score, known) else ""))  # type: ignore[operator]
    return cells


def _rows(task: Task, results: Sequence[Result], published: Published) -> Iterator[Row]:
    mine = [result for result in results if (result.task, result.split) == (task.name, task.split)]
    parts = [part for part in dict.fromkeys(part for result in mine for part in result.scores)]
    parts.sort(key=lambda part: task.parts.index(part) if part in task.parts else len(task.parts))
    groups = [(part,) for part in parts] if len(parts) <= _SHOWN_PARTS else [tuple(parts)]
    for group in groups:
        scores = {
            result.setting: float(np.mean([result.scores[part] for part in group]))
            for result in mine
            if set(group) <= set(result.scores)
        }
        own = published.score(task.name, task.split, list(group))
        rivals = {name: published.rival(name, task.name, task.split, list(group)) for name in published.rivals}
        yield Row(task, group, scores, own, rivals)


def _by_task(rows: Sequence[Row], values: Sequence[float]) -> float:
    tasks: dict[str, list[float]] = {}
    for row, value in zip(rows, values, strict=True):
        tasks.setdefault(row.task.name, []).append(value)
    return float(np.mean([np.mean(each) for each in tasks.values()]))


def _tasks(rows: Sequence[Row]) -> int:
    return len({row.task.name for row in rows})


_FROM_EXACT = ("f32", "f16", "bf16", "q8_0", "mixed", "q4_0")


def _order(setting: Setting) -> tuple[str, int, int, str]:
    known = _FROM_EXACT.index(setting.quantization) if setting.quantization in _FROM_EXACT else len(_FROM_EXACT)
    return (setting.model, -setting.dim, known, setting.quantization)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _markdown(header: list[str], rows: list[list[str]]) -> list[str]:
    align = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, align, *rows)]
