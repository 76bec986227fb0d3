"""Rows and a checkpoint → a fine-tuned checkpoint.   (paths → folder)"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemlet.errors import InputError, MissingExtra
from gemlet.pretrained import find
from gemlet.train.checkpoints import check_same, find_checkpoint
from gemlet.train.plan import plan
from gemlet.train.rows import PROMPTS, TrainingSet, read_training_set
from gemlet.train.settings import Settings
from gemlet.train.work import Work, begun

Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What a run came to.

    folder         the model
    steps, chosen  batches in all; after which of them the model was at its best
    before, after  figures of the held-out rows: without training, and of `chosen`; empty where none were held out
    losses         means over the first and over the last tenth of the steps
    """

    folder: Path
    steps: int
    chosen: int
    before: dict[str, float]
    after: dict[str, float]
    losses: tuple[float, float]


def train(
    model: str | os.PathLike[str],
    data: Sequence[str | os.PathLike[str] | TrainingSet],
    output: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    held_out: str | os.PathLike[str] | TrainingSet | None = None,
    teachers: Sequence[str] = (),
    offline: bool = False,
    progress: bool = False,
    say: Say = lambda line: None,
) -> Result:
    """Fine-tune `model` on `data` and write the result to the new folder `output`.

    model     a published name, or the folder of a checkpoint
    data      files, or what read_training_set() made of them; each is a set of its own, one for each batch
    held_out  rows to measure by: the weights that were best on them are the result, and training stops when they have
              not become better `settings.patience` times
    teachers  for each set, or one for all, a .npy file of vectors, or the folder of a better model; see teacher.py
    progress  show a bar on stderr
    say       is given a sentence for everything that is worth knowing and no error

    A run that was killed goes on where its last checkpoint was, when the same is asked for again: the result is the
    same, bit for bit, on the same machine. Ctrl-C keeps what has been learned and raises KeyboardInterrupt.
    Under torchrun each process takes its share of each batch.

    Raises InputError, ModelError and its kin, MissingExtra, TrainingError.
    """
    settings = settings or Settings()
    target = Path(output)
    if target.exists():
        raise InputError(f"{target} is there already: name another folder, or delete it")
    if not target.parent.is_dir():
        raise InputError(f"cannot write {target}: there is no folder {target.parent}")
    if not data:
        raise InputError("there is nothing to learn from: name a file of rows")
    check_installed()
    sets = [one if isinstance(one, TrainingSet) else read_training_set(one) for one in data]
    held = held_out if held_out is None or isinstance(held_out, TrainingSet) else read_training_set(held_out)
    for one in sets if not settings.qat else []:
        if one.kind == "texts" and not teachers:
            raise InputError(f"{one.name}: texts alone teach nothing: name a --teacher, or --qat")
    given: list[str | None] = list(teachers) or [None]
    if len(given) not in (1, len(sets)):
        raise InputError(f"{len(given)} teachers for {len(sets)} data sets: give one for each, or one for all")
    work = Work(
        base=find(os.fspath(model), offline=offline),
        name=os.fspath(model),
        output=target,
        sets=sets,
        prompts=[settings.prompts or PROMPTS[one.kind] for one in sets],
        held_out=held,
        teachers=given * len(sets) if len(given) == 1 else given,
        settings=settings,
    )
    for note in [note for one in [*sets, *([held] if held else [])] for note in one.notes]:
        say(note)
    return _run(work, progress, say)


def check_installed() -> None:
    """Raise MissingExtra unless what training needs is there."""
    from importlib.util import find_spec

    for package in ("torch", "transformers", "sentence_transformers", "peft", "accelerate", "datasets"):
        if find_spec(package) is None:
            raise MissingExtra("train", "training")


def _run(work: Work, progress: bool, say: Say) -> Result:
    process, processes = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    first = process == 0
    batches = plan(work.sets, work.settings, processes)
    if first:
        check_same(work.folder, begun(work, processes))
    found = find_checkpoint(work.folder)
    if first:
        for line in found.damaged:
            say(line)
        if found.step:
            say(f"{work.folder}: going on after step {found.step:,} of {len(batches):,}")
    if first and work.settings.qat and not found.step:
        say(f"first the checkpoint is rounded to {work.settings.qat}, which takes some minutes")
    _be_quiet()
    from gemlet.train.assembly import assemble
    from gemlet.train.watch import Watch, cut_curve, finishing, read_curve

    if first:
        cut_curve(work.folder, found.step)
    trainer = assemble(work, batches, process, processes, fresh=not found.step, progress=progress and first)
    trainer.kept = found.step
    if first and trainer.fitted and not found.step:
        texts, before, after = trainer.fitted
        say(
            f"the head's last matrix is fitted to {texts:,} texts: cosine {before:.5f} to {after:.5f}, of texts that "
            "it was not fitted to"
        )
    watch = Watch(work.folder, work.settings.save_every, progress and first, trainer.going_on)
    trainer.add_callback(watch)
    with finishing(watch):
        trainer.train(resume_from_checkpoint=str(found.path) if found.path else None)
    if watch.interrupted and trainer.state.global_step < len(batches):
        say(
            f"stopped after step {trainer.state.global_step:,} of {len(batches):,}: the same command goes on from there"
        )
        raise KeyboardInterrupt
    trainer.accelerator.wait_for_everyone()
    result = _result(work, trainer, read_curve(work.folder / "curve.jsonl"))
    if first:
        _write(work, trainer, result)
    trainer.accelerator.wait_for_everyone()
    return result


def _result(work: Work, trainer: Any, curve: list[dict[str, Any]]) -> Result:
    losses = [line["loss"] for line in curve if "loss" in line]
    tenth = max(1, len(losses) // 10)
    best = trainer.state.best_global_step or trainer.state.global_step
    main = trainer.evaluator.main if trainer.evaluator else None
    looks = [{k: v for k, v in line.items()} for line in curve if main in line]
    before = next((look for look in looks if look["step"] == 0), {})
    after = next((look for look in looks if look["step"] == best), {})
    return Result(
        folder=work.output,
        steps=trainer.state.global_step,
        chosen=best,
        before={name: value for name, value in before.items() if name != "step"},
        after={name: value for name, value in after.items() if name != "step"},
        losses=(sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth),
    )


def _write(work: Work, trainer: Any, result: Result) -> None:
    """Export with the card and the curve; then the run's folder has done its work."""
    from gemlet.train.card import Story, card
    from gemlet.train.curve import draw_curve
    from gemlet.train.export import export
    from gemlet.train.grids import settle
    from gemlet.train.loading import merge_lora
    from gemlet.train.watch import read_curve

    learned = sum(value.numel() for value in trainer.model.parameters() if value.requires_grad)
    story = Story(
        name=work.output.name, base=work.name, sets=work.sets, held_out=work.held_out, settings=work.settings,
        prompts=work.prompts, steps=result.steps, chosen=result.chosen, before=result.before, after=result.after,
        losses=result.losses, learned=learned, fitted=trainer.fitted,
    )  # fmt: skip
    merge_lora(trainer.model)
    settle(trainer.model)
    path = work.folder / "curve.jsonl"
    extra = {"README.md": card(story).encode(), "curve.jsonl": path.read_bytes()}
    with contextlib.suppress(MissingExtra):
        extra["curve.png"] = draw_curve(read_curve(path), trainer.evaluator.main if trainer.evaluator else None)
    export(trainer.model, work.base, work.output, extra, exact=work.settings.qat is not None)
    shutil.rmtree(work.folder, ignore_errors=True)


def _be_quiet() -> None:
    """What the libraries have to tell is told here, in other words."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for name in ("sentence_transformers", "accelerate", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
