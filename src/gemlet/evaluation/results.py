"""Scores → files in the layout of MTEB's results, and back.   (folder ↔ Result)

    RESULTS/embeddinggemma-300m__q8_0__768/57c266a740f5.../STSBenchmark.json
            └ model, quantization, dimension └ revision     └ MTEB's TaskResult

What MTEB's readers do not know they pass over: "gemlet" says how the score came about.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemlet import __version__
from gemlet.dataset import whole_file
from gemlet.errors import InputError
from gemlet.evaluation.protocols import Scores
from gemlet.evaluation.tasks import Task

_FOLDER = re.compile(r"(.+)__([a-z0-9_]+?)__(\d+)$")
_DIGITS = 6


@dataclass(frozen=True, order=True)
class Configuration:
    """What was measured: a model's name, the type of its matrices, how many numbers a vector has."""

    model: str
    quantization: str
    dim: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.model}__{self.quantization}__{self.dim}"


@dataclass(frozen=True)
class Result:
    """A task in one setting: for each part its main score, times 100."""

    setting: Configuration
    task: str
    split: str
    scores: dict[str, float]


def write_result(
    folder: Path, setting: Configuration, revision: str, task: Task, scores: dict[str, Scores], seconds: float
) -> Path:
    """Write the file of a task, whole or not at all; parts that it has and that were not measured now stay.

    scores   for each part
    seconds  that the parts took
    """
    path = folder / setting.folder / revision / f"{task.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {row["hf_subset"]: row for row in _read(path)["scores"].get(task.split, [])} if path.exists() else {}
    for part, figures in scores.items():
        parts[part] = {"hf_subset": part, "languages": task.languages_of(part), **_rounded(figures)}
    value = {
        "dataset_revision": task.revision,
        "task_name": task.name,
        "mteb_version": None,
        "scores": {task.split: [parts[part] for part in sorted(parts)]},
        "evaluation_time": round(seconds, 2),
        "kg_co2_emissions": None,
        "gemlet": {
            "version": __version__,
            "quantization": setting.quantization,
            "dim": setting.dim,
            "data": task.data,
            "basis": task.basis,
        },
    }
    with whole_file(os.fspath(path)) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")
    return path


def read_results(folder: Path) -> list[Result]:
    """All results of a folder, by setting and task. Raises InputError for a file that is none of MTEB's."""
    found = []
    for path in sorted(folder.glob("*__*__*/*/*.json")):
        if name := _FOLDER.match(path.parent.parent.name):
            value = _read(path)
            setting = Configuration(name[1], name[2], int(name[3]))
            for split, rows in value["scores"].items():
                scores = {row["hf_subset"]: 100 * float(row["main_score"]) for row in rows}
                found.append(Result(setting, value["task_name"], split, scores))
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
        if all("hf_subset" in row and "main_score" in row for rows in value["scores"].values() for row in rows):
            return {"task_name": value["task_name"], "scores": value["scores"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise InputError(f"{path} is no result of MTEB: delete it, its scores are made again from the kept vectors")


def _rounded(value: Any) -> Any:
    """The same with numbers of six digits behind the point, as MTEB writes them."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, _DIGITS) if isinstance(value, float) else value
