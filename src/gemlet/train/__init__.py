"""Rows and a checkpoint → a fine-tuned checkpoint.   (paths → folder)

settings.py     every choice of a run
rows.py         tables → pairs, triplets, scored pairs, labelled texts
plan.py         the batches of a whole run, decided before its first step
batches.py      a plan → tokens
grids.py        matrices whose numbers a file of few bits can hold
head.py         ... and the last one, fitted to what they get wrong
loading.py      a checkpoint → a model that learns: LoRA or all of it; no padding is computed
losses/         what training makes small
objective.py    which loss for which kind of rows
teacher.py      a better model's vectors of the same texts
heldout.py      how good the model is on rows that it does not learn from
trainer.py      sentence-transformers' trainer, with checkpoints that a kill cannot break
checkpoints.py  the run's folder
watch.py        the curve, progress, Ctrl-C
curve.py        the curve as a picture
card.py         the model card
averaging.py, soup.py, tasting.py   checkpoints of one shape → their mean, judged by a dev set
export.py       → a folder that sentence-transformers and gemlet load
work.py         what a run is asked for, and whether it is the same that was begun before
assembly.py     a run's parts, put together
run.py          train(): all of it in order

Extra `train`. PyTorch is imported when a run begins, not before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gemlet.train.losses import LossSettings
    from gemlet.train.rows import TrainingSet, read_training_set
    from gemlet.train.run import Result, train
    from gemlet.train.settings import Settings

__all__ = ["LossSettings", "Result", "Settings", "TrainingSet", "read_training_set", "train"]

_HOMES = {
    "LossSettings": "losses",
    "Result": "run",
    "Settings": "settings",
    "TrainingSet": "rows",
    "read_training_set": "rows",
    "train": "run",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: most of it needs the extra."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gemlet.train' has no attribute {name!r}")
    value = getattr(import_module(f"gemlet.train.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
