"""Results beside what is published → a table.   (list of Result, Published → Table)

A row is a part of a task, or a task with many parts as their mean; a column a setting. The mean of a kind of task is
that of its tasks, each of which counts once, however many parts it has; only tasks that every column has are in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gemlet.errors import InputError
from gemlet.evaluation.published import Published
from gemlet.evaluation.results import Configuration, Result
from gemlet.evaluation.tasks import TASKS, Task

_SHOWN_PARTS = 8
"""More parts of a task are one row, their mean."""


@dataclass(frozen=True)
class Row:
    """One line: a task and its parts, their mean in each setting, and what is published."""

    task: Task
    parts: tuple[str, ...]
    scores: dict[Configuration, float]
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
    scores: dict[Configuration, float]
    compared: int
    published: float | None
    differences: dict[Configuration, float]


@dataclass(frozen=True)
class Table:
    """Rows and settings, the longest vectors first, then the least rounded weights; rivals: other models' names."""

    settings: list[Configuration]
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


def _order(setting: Configuration) -> tuple[int, int, str, str]:
    known = _FROM_EXACT.index(setting.quantization) if setting.quantization in _FROM_EXACT else len(_FROM_EXACT)
    return (-setting.dim, known, setting.quantization, setting.model)
