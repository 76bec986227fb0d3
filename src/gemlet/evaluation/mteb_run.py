"""Tasks of mteb by name, their data from the network → results.   (names, GemletModel → files in the results folder)"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gemlet.errors import InputError, MissingExtra
from gemlet.evaluation.mteb_model import GemletModel
from gemlet.evaluation.results import Configuration


def run_by_name(names: Sequence[str], model: GemletModel, results: Path) -> list[Path]:
    """Run tasks or benchmarks, and write mteb's results in the layout of results.py. Returns the files.

    Raises MissingExtra without mteb, InputError for a name that mteb does not know.
    """
    try:
        import mteb
    except ImportError:
        raise MissingExtra("eval", "--mteb") from None
    paths = []
    for task in _tasks(mteb, names):
        for result in mteb.evaluate(model, task, cache=None).task_results:
            setting = Configuration(model.name, model.embedder.quantization, model.embedder.truncate_dim)
            path = results / setting.folder / model.revision / f"{result.task_name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            result.to_disk(path)
            paths.append(path)
    return paths


def _tasks(mteb: Any, names: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    benchmarks = {benchmark.name: benchmark for benchmark in mteb.get_benchmarks()}
    for name in names:
        try:
            found += benchmarks[name].tasks if name in benchmarks else [mteb.get_task(name)]
        except KeyError:
            raise InputError(f"mteb has no task and no benchmark {name!r}: see `mteb available-tasks`") from None
    return found
