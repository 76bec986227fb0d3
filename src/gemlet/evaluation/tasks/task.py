"""What a published task is: its name in MTEB, where its data lie here, and how far these are MTEB's."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gemlet.evaluation.protocols import Measure

Data = Literal["equal", "near", "other"]
"""Of MTEB's data: the same texts and labels; the same rows with another surface; another set, not to be compared."""

Load = Callable[[Path], Iterator[tuple[str, Measure]]]
"""The task's folder → (name of a part, what it measures), one part after the other."""


@dataclass(frozen=True)
class Task:
    """A task.

    name       in MTEB
    kind       MTEB's name of this kind of task
    folder     its data, inside the folder of all data
    load       what reads them; raises InputError for what is missing or broken
    revision   of MTEB's data set, as in the published results
    basis      what `data` rests on
    split      of the published score that this is beside
    parts      names of the parts ("subsets") that `load` yields, in order; empty: it depends on the files
    languages  of the parts, where their names do not tell
    """

    name: str
    kind: str
    folder: str
    load: Load
    revision: str
    data: Data
    basis: str
    split: str = "test"
    parts: tuple[str, ...] = ("default",)
    languages: Mapping[str, list[str]] = field(default_factory=dict)

    def languages_of(self, part: str) -> list[str]:
        """As MTEB writes them: three letters and the script."""
        return self.languages.get(part) or [side.replace("_", "-") for side in part.split("-")]
