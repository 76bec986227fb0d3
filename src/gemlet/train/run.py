"""Rows and a checkpoint → a fine-tuned checkpoint.   (paths → folder)"""

import contextlib
import dataclasses
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemlet.errors import InputError, MissingExtra
from gemlet.pretrained import find
from gemlet.train.checkpoints import check_same, find_checkpoint, run_folder
from gemlet.train.plan import Batch, plan
from gemlet.train.rows import PROMPTS, TrainingSet, read_training_set
from gemlet.train.settings import Settings

_LOOKS = 10  # at the held-out rows, where nobody says how often
_ENOUGH = 8192  # tokens whose steps backwards are in memory at once: some 10 GB

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
        check_same(work.folder, _begun(work, processes))
    found = find_checkpoint(work.folder)
    if first:
        for line in found.damaged:
            say(line)
        if found.step:
            say(f"{work.folder}: going on after step {found.step:,} of {len(batches):,}")
    _be_quiet()
    from gemlet.train.trainer import Trainer
    from gemlet.train.watch import Watch, cut_curve, finishing, read_curve

    if first:
        cut_curve(work.folder, found.step)
    trainer = _trainer(work, batches, process, processes)
    trainer.kept = found.step
    watch = Watch(work.folder, work.settings.save_every, progress and first, trainer.going_on)
    trainer.add_callback(watch)
    with finishing(watch):
        trainer.train(resume_from_checkpoint=str(found.path) if found.path else None)
    if watch.interrupted and trainer.state.global_step < len(batches):
        say(f"stopped after step {trainer.state.global_step:,} of {len(batches):,}: the same command goes on from there")
        raise KeyboardInterrupt
    trainer.accelerator.wait_for_everyone()
    result = _result(work, trainer, read_curve(work.folder / "curve.jsonl"))
    if first:
        _write(work, trainer, result)
    trainer.accelerator.wait_for_everyone()
    assert isinstance(trainer, Trainer)
    return result


def _begun(work: Work, processes: int) -> dict[str, Any]:
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


def _trainer(work: Work, batches: list[Batch], process: int, processes: int) -> Any:
    """Everything that learns, put together."""
    from transformers import EarlyStoppingCallback, PrinterCallback

    from gemlet.prompts import find_prompt
    from gemlet.train.batches import Collator, Rows, loader
    from gemlet.train.heldout import HeldOut
    from gemlet.train.loading import load_student
    from gemlet.train.objective import loss_of
    from gemlet.train.teacher import teacher_vectors
    from gemlet.train.trainer import Trainer

    settings = work.settings
    student = load_student(work.base, settings)
    texts = [(find_prompt(student.prompts, a), find_prompt(student.prompts, b)) for a, b in work.prompts]
    kept = work.folder / "teacher"
    vectors = [
        teacher_vectors(one, source, kept / f"{i}.npy", settings.batch)
        for i, (one, source) in enumerate(zip(work.sets, work.teachers, strict=True))
    ]
    collator = Collator(student, work.sets, texts, vectors)
    held = None
    if work.held_out is not None:
        a, b = settings.prompts or PROMPTS[work.held_out.kind]
        prompts = (find_prompt(student.prompts, a), find_prompt(student.prompts, b))
        held = HeldOut(work.held_out, prompts, settings.batch, settings.seed)
    rows = Rows(work.sets)
    trainer = Trainer(
        model=student,
        args=_arguments(work, batches, held.main if held else None, processes),
        train_dataset=rows,
        losses=[loss_of(one, student, _mini_batch(one, student, settings), settings, processes) for one in work.sets],
        loader=loader(batches, collator, rows, process, processes),
        evaluator=held,
        data_collator=collator,
        callbacks=[EarlyStoppingCallback(settings.patience)] if held and settings.patience else [],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _mini_batch(one: TrainingSet, student: Any, settings: Settings) -> int | None:
    """Texts in memory at once; None: no gradient cache. From the lengths of a few hundred rows, evenly taken."""
    if settings.mini_batch is not None:
        return settings.mini_batch or None
    some = [text for row in one.texts[:: max(1, len(one) // 256)] for text in row]
    ids = student.tokenizer(some, truncation=True, max_length=student.max_seq_length)["input_ids"]
    mean = sum(map(len, ids)) / len(ids) + 8  # and the prompt
    if mean * settings.batch * max(2, len(one.columns)) <= _ENOUGH:
        return None
    return max(1, int(_ENOUGH / 2 / mean))


def _arguments(work: Work, batches: list[Batch], main: str | None, processes: int) -> Any:
    """The settings in the trainer's words."""
    import torch
    from sentence_transformers import SentenceTransformerTrainingArguments

    settings = work.settings
    every = settings.eval_every or max(1, len(batches) // _LOOKS)
    half = settings.precision == "bfloat16" or (
        settings.precision == "auto" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    )
    return SentenceTransformerTrainingArguments(
        output_dir=str(work.folder),
        max_steps=len(batches),
        per_device_train_batch_size=settings.batch,
        learning_rate=settings.rate,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(settings.schedule, settings.schedule),
        warmup_steps=round(settings.warmup * len(batches)),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        bf16=half,
        seed=settings.seed,
        use_cpu=not torch.cuda.is_available(),
        ddp_backend="gloo" if processes > 1 and not torch.cuda.is_available() else None,
        ddp_find_unused_parameters=False,
        dataloader_drop_last=True,
        dataloader_pin_memory=False,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="best" if main else "no",  # and whenever watch.py asks for it
        eval_strategy="steps" if main else "no",
        eval_steps=every if main else None,
        eval_on_start=bool(main) and not find_checkpoint(work.folder).step,
        load_best_model_at_end=bool(main),
        metric_for_best_model=f"eval_{main}" if main else None,
        greater_is_better=True if main else None,
        report_to="none",
        disable_tqdm=True,
    )


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
    from gemlet.train.loading import merge_lora
    from gemlet.train.watch import read_curve

    learned = sum(value.numel() for value in trainer.model.parameters() if value.requires_grad)
    story = Story(
        name=work.output.name, base=work.name, sets=work.sets, held_out=work.held_out, settings=work.settings,
        prompts=work.prompts, steps=result.steps, chosen=result.chosen, before=result.before, after=result.after,
        losses=result.losses, learned=learned,
    )  # fmt: skip
    merge_lora(trainer.model)
    path = work.folder / "curve.jsonl"
    extra = {"README.md": card(story).encode(), "curve.jsonl": path.read_bytes()}
    with contextlib.suppress(MissingExtra):
        extra["curve.png"] = draw_curve(read_curve(path), trainer.evaluator.main if trainer.evaluator else None)
    export(trainer.model, work.base, work.output, extra)
    shutil.rmtree(work.folder, ignore_errors=True)


def _be_quiet() -> None:
    """What the libraries have to tell is told here, in other words."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for name in ("sentence_transformers", "accelerate", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
