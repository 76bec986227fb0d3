"""Tasks on local data → results, from vectors that are kept.   (data, model, tasks → one file a task and setting)

    RESULTS/vectors/embeddinggemma-300m__q8_0__1f0c7d2a9b3e/

holds the vectors of one model in one quantization; the number is a hash of what the model makes of two texts, so that
another model, or an engine that computes otherwise, has vectors of its own. Shorter vectors are cut from those of 768.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gemlet.embedder import Embedder
from gemlet.errors import InputError
from gemlet.evaluation.kept import KeptVectors, Progress
from gemlet.evaluation.protocols import Inputs, Measure, Scores
from gemlet.evaluation.results import Configuration, write_result
from gemlet.evaluation.tasks import Task
from gemlet.pretrained.pins import PINNED
from gemlet.prompts import find_prompt
from gemlet.vectors import FloatArray, check_dim, normalize

Chosen = Sequence[tuple[Task, str | None]]

_PROBES = (
    "task: search result | query: Which planet is red?",
    "title: none | text: " + "Mars is red, la Luna es gris, die Erde ist blau, 金星は黄色い. " * 8,
)


@dataclass(frozen=True)
class Cost:
    """What a part of a task takes: its texts, those that are not kept, and the tokens of these."""

    task: Task
    part: str
    texts: int
    missing: int
    tokens: int


class PublishedTasks:
    """One model on the tasks of one folder of data."""

    def __init__(
        self, data: Path, results: Path, embedder: Embedder, name: str, *, progress: Progress = lambda count: None
    ) -> None:
        """Open the vectors that are kept in `results`.

        name      of the model, as the user gave it
        progress  is told how many texts have just been embedded
        """
        self._data, self._results, self._embedder = data, results, embedder
        self.model, self.revision = named(name)
        folder = f"{self.model}__{embedder.quantization}__{fingerprint(embedder)}"
        self.full: int = embedder.checkpoint.config["dense"][-1]
        embed = partial(embedder.encode, truncate_dim=self.full)
        self.vectors = KeptVectors(results / "vectors" / folder, embed, dim=self.full, progress=progress)

    def missing(self, chosen: Chosen) -> int:
        """How many texts have to be embedded before the tasks can be scored."""
        texts = [
            text
            for _, _, measure in self._parts(chosen)
            for one in measure.inputs()
            for text in prompted(self._embedder, one)
        ]
        return len(self.vectors.missing(texts))

    def costs(self, chosen: Chosen) -> Iterator[Cost]:
        """What each part takes; a text that an earlier part has too counts with that."""
        counted: set[str] = set()
        for task, part, measure in self._parts(chosen):
            texts = [text for inputs in measure.inputs() for text in prompted(self._embedder, inputs)]
            missing = [text for text in self.vectors.missing(texts) if text not in counted]
            counted.update(missing)
            tokens = int(self._embedder.count_tokens(missing).sum()) if missing else 0
            yield Cost(task, part, len(set(texts)), len(missing), tokens)

    def run(self, chosen: Chosen, dims: Sequence[int], done: Callable[[Task, str, int, Scores], None]) -> None:
        """Score each task at each dimension, and write the results of a task as soon as it is through.

        done  is told each score

        Raises InputError for data that are missing or broken, or that make a score no number.
        """
        dims = [check_dim(dim, self.full) for dim in dims]
        for task, only in chosen:
            begin = time.perf_counter()
            scores: dict[int, dict[str, Scores]] = {dim: {} for dim in dims}
            for _, part, measure in self._parts([(task, only)]):
                whole = [self.vectors.of(prompted(self._embedder, inputs)) for inputs in measure.inputs()]
                for dim in dims:
                    scores[dim][part] = _scored(task, part, measure, [_cut(rows, dim) for rows in whole])
                    done(task, part, dim, scores[dim][part])
            seconds = (time.perf_counter() - begin) / len(dims)
            for dim, parts in scores.items():
                setting = Configuration(self.model, self._embedder.quantization, dim)
                write_result(self._results, setting, self.revision, task, parts, seconds)

    def _parts(self, chosen: Chosen) -> Iterator[tuple[Task, str, Measure]]:
        for task, only in chosen:
            found = False
            try:
                for part, measure in task.load(self._data / task.folder):
                    if only in (None, part):
                        found = True
                        yield task, part, measure
            except InputError as error:
                raise InputError(f"{task.name}: {error}") from None
            if not found:
                raise InputError(f"{task.name} has no part {only!r}")


def prompted(embedder: Embedder, inputs: Inputs) -> list[str]:
    """Texts with their prompt, white space at their ends included."""
    prompt = find_prompt(embedder.prompts, inputs.prompt_name)
    return [prompt + text for text in inputs.texts]


def named(model: str) -> tuple[str, str]:
    """(its name in the results, its revision): of a file or folder its own name, and "local"."""
    path = Path(model)
    if path.exists():
        return path.stem if path.is_file() else path.resolve().name, "local"
    return path.name, PINNED[model].revision if model in PINNED else "main"


def fingerprint(embedder: Embedder) -> str:
    """12 hex digits: a hash of the vectors of two texts, bit for bit, and of the length at which texts are cut."""
    rows = embedder.encode(list(_PROBES), truncate_dim=embedder.checkpoint.config["dense"][-1])
    digest = hashlib.sha256(np.ascontiguousarray(rows).tobytes())
    digest.update(str(embedder.max_seq_length).encode())
    return digest.hexdigest()[:12]


def _cut(rows: FloatArray, dim: int) -> FloatArray:
    return rows if dim == rows.shape[1] else normalize(rows[:, :dim].copy())


def _scored(task: Task, part: str, measure: Measure, vectors: list[FloatArray]) -> Scores:
    scores = measure.score(vectors)
    if not np.isfinite(scores["main_score"]):
        raise InputError(f"{task.name}, {part}: {measure.main} is no number: the vectors cannot be told apart")
    return scores
