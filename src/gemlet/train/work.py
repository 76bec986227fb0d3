"""What a run is asked for, and whether it is the same that was begun before.   (rows, settings → Work)"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemlet.train.checkpoints import run_folder
from gemlet.train.rows import TrainingSet
from gemlet.train.settings import Settings


@dataclass(frozen=True)
class Work:
    """A run as it is asked for: rows, their prompts, the folders."""

    base: Path
    name: str
    output: Path
    sets: list[TrainingSet]
    prompts: list[tuple[str, str]]
    held_out: TrainingSet | None
    teachers: list[str | None]
    settings: Settings

    @property
    def folder(self) -> Path:
        """Where the run lives until its result is written."""
        return run_folder(self.output)


def begun(work: Work, processes: int) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    settings = work.settings.as_dict()
    loss = settings.pop("loss")
    rows = [*work.sets, *([work.held_out] if work.held_out else [])]
    return {
        "model": work.name,
        "checkpoint": _weights_of(work.base),
        **{f"rows of {one.name}": _digest(one) for one in rows},
        "held out": work.held_out.name if work.held_out else None,
        "prompts of the rows": work.prompts,
        "teachers": work.teachers,
        "processes": processes,
        **settings,
        **loss,
    }


def _weights_of(base: Path) -> list[list[Any]]:
    """Names, lengths and times of the weights: reading a gigabyte at each start would take seconds."""
    files = sorted(base.rglob("model.safetensors"))
    return [[file.relative_to(base).as_posix(), file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _digest(one: TrainingSet) -> str:
    digest = hashlib.blake2b(repr((one.kind, one.columns)).encode(), digest_size=16)
    for texts in one.texts:
        digest.update(repr(texts).encode("utf-8", "replace"))
    digest.update(repr(one.targets).encode("utf-8", "replace"))
    return digest.hexdigest()
