"""Scores that others published.   (the folder of data → task, split, part → score; other models' scores)

mteb_results_embeddinggemma.csv   the model's own, a line for each task, split and part, from 0 to 1
README.md                         a table of other models: task, split, part, then a column for each, times 100

Either may be missing: there is nothing to stand beside then.
"""

import csv
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gemlet.dataset import whole_file
from gemlet.errors import InputError
from gemlet.evaluation.tasks import TASKS

RESULTS = "mteb_results_embeddinggemma.csv"
RIVALS = "README.md"

Key = tuple[str, str, str]
"""Task, split, part."""

_COLUMNS = ("task", "split", "subset", "main_score")
_SCORE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:\((\d+)\))?$")


@dataclass(frozen=True)
class Published:
    """own: the model's scores, times 100; rivals: model → the same; a part "" stands for all of a task's."""

    own: dict[Key, float] = field(default_factory=dict)
    rivals: dict[str, dict[Key, float]] = field(default_factory=dict)

    def score(self, task: str, split: str, parts: list[str]) -> float | None:
        """The mean over these parts; None unless each of them is published."""
        found = [self.own.get((task, split, part)) for part in parts]
        known = [value for value in found if value is not None]
        return float(np.mean(known)) if known and len(known) == len(found) else None

    def rival(self, model: str, task: str, split: str, parts: list[str]) -> float | None:
        """Another model's score of these parts, or of the one and only; None where it is not published."""
        scores = self.rivals[model]
        found = [scores.get((task, split, part), scores.get((task, split, ""))) for part in parts]
        known = [value for value in found if value is not None]
        return float(np.mean(known)) if known and len(known) == len(found) else None


def read_published(data: Path) -> Published:
    """What the folder has. Raises InputError for a file without the columns that it should have."""
    return Published(_own(data / RESULTS), _rivals(data / RIVALS))


def _own(path: Path) -> dict[Key, float]:
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if absent := set(_COLUMNS) - set(reader.fieldnames or ()):
            raise InputError(f"{path} has no column {', '.join(sorted(absent))}")
        try:
            return {
                (row["task"], row["split"], row["subset"]): 100 * float(row["main_score"])
                for row in reader
                if row["task"] in TASKS
            }
        except ValueError as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}") from None


def _rivals(path: Path) -> dict[str, dict[Key, float]]:
    """Every table whose header begins with task, split and subset; its first model is the one that is measured."""
    found: dict[str, dict[Key, float]] = {}
    models: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[:3] == ["task", "split", "subset"]:
            models = cells[3:]
        elif len(cells) != len(models) + 3:
            models = []
        elif models:
            _add(found, models[1:], cells)
    return found


def _add(found: dict[str, dict[Key, float]], models: list[str], cells: list[str]) -> None:
    """One line of the table: what each model has."""
    part = "" if cells[2] == "None" else cells[2].strip("[]'\"")
    for model, cell in zip(models, cells[4:], strict=True):
        if cells[0] in TASKS and (score := _SCORE.match(cell)) and score[2] in (None, "1"):
            found.setdefault(model, {})[cells[0], cells[1], part] = float(score[1])


KEPT = "published.json"


def keep_published(results: Path, published: Published) -> None:
    """Write what is published beside the results, so that a table needs nothing else."""
    rows = [[*key, round(score, 4)] for key, score in published.own.items()]
    rivals = {name: [[*key, score] for key, score in scores.items()] for name, scores in published.rivals.items()}
    with whole_file(os.fspath(results / KEPT)) as file:
        file.write(json.dumps({"own": rows, "rivals": rivals}).encode() + b"\n")


def kept_published(results: Path) -> Published:
    """What keep_published() wrote; nothing where it has not. Raises InputError for another file."""
    path = results / KEPT
    if not path.exists():
        return Published()
    try:
        value = json.loads(path.read_bytes())
        rivals = {str(name): _keyed(rows) for name, rows in value["rivals"].items()}
        return Published(_keyed(value["own"]), rivals)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} is broken: delete it, a run with --data-dir writes it again") from None


def _keyed(rows: list[tuple[str, str, str, float]]) -> dict[Key, float]:
    return {(task, split, part): float(score) for task, split, part, score in rows}
