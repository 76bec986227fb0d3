"""A run's parts, put together.   (Work, batches → Trainer)"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformerTrainingArguments
from transformers import EarlyStoppingCallback, PrinterCallback

from gemlet.prompts import find_prompt
from gemlet.train.batches import Collator, Rows, loader
from gemlet.train.grids import RATE, put_on_grid, starting_file
from gemlet.train.head import FOLDS, Fitted, fit_head
from gemlet.train.heldout import HeldOut
from gemlet.train.loading import load_student
from gemlet.train.objective import loss_of
from gemlet.train.plan import Batch
from gemlet.train.rows import EACH, PROMPTS, TrainingSet
from gemlet.train.settings import Settings
from gemlet.train.teacher import own_vectors, prompted, teacher_vectors
from gemlet.train.trainer import Trainer
from gemlet.train.work import Work
from gemlet.vectors import FloatArray

_LOOKS = 10  # at the held-out rows, where nobody says how often
_ENOUGH = 8192  # tokens whose steps backwards are in memory at once: some 10 GB


def assemble(work: Work, batches: list[Batch], process: int, processes: int, *, fresh: bool, progress: bool) -> Trainer:
    """Everything that learns.

    fresh     the run begins, and looks at the held-out rows before its first step
    progress  show bars for what takes long before that
    """
    settings = work.settings
    student = load_student(work.base, settings)
    prompts = [_prompts(student, names) for names in work.prompts]
    kept = work.folder / "teacher"
    vectors = []
    for i, (one, source) in enumerate(zip(work.sets, work.teachers, strict=True)):
        path = kept / f"{i}.npy"
        own = one.kind == "texts" and source is None
        vectors.append(
            own_vectors(student, one, prompts[i][0], path, settings.batch, progress=progress) if own
            else teacher_vectors(one, source, path, settings.batch)
        )  # fmt: skip
    held = _held_out(work, student, kept / "held-out.npy", progress)
    fitted = None
    if settings.qat:
        start = work.folder / "start.gguf"
        starting_file(work.base, start, settings.qat, process, progress=progress)
        put_on_grid(student, student[0].model, start, settings.qat)
        fitted = _fit_head(work, student, start, prompts, vectors, process, progress)
    collator = Collator(student, work.sets, prompts, vectors)
    rows = Rows(work.sets)
    trainer = Trainer(
        model=student,
        args=_arguments(work, batches, held.main if held else None, processes, fresh),
        train_dataset=rows,
        losses=[loss_of(one, student, _mini_batch(one, student, settings), settings, processes) for one in work.sets],
        loader=loader(batches, collator, rows, process, processes),
        evaluator=held,
        data_collator=collator,
        callbacks=[EarlyStoppingCallback(settings.patience)] if held and settings.patience else [],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.fitted = fitted
    return trainer


def _prompts(student: Any, names: tuple[str, str]) -> tuple[list[str], list[str]]:
    """The prompts of the first column and of the others; all of them for EACH."""
    every = ["", *dict.fromkeys(student.prompts.values())]
    first, others = (
        [*dict.fromkeys(every)] if name == EACH else [find_prompt(student.prompts, name)] for name in names
    )
    return first, others


def _fit_head(
    work: Work, student: Any, start: Path, prompts: list[Any], vectors: list[Any], process: int, progress: bool
) -> Fitted | None:
    """Fit to the texts whose teacher is the model's own before; None where these are too few."""
    own = [i for i, one in enumerate(work.sets) if one.kind == "texts" and work.teachers[i] is None]
    if sum(len(work.sets[i]) for i in own) < FOLDS:
        return None

    def taught() -> tuple[list[str], FloatArray]:
        texts = [text for i in own for text in prompted([text for (text,) in work.sets[i].texts], prompts[i][0])]
        return texts, np.concatenate([vectors[i][:, 0] for i in own])

    return fit_head(student, start, taught, work.folder / "teacher" / "head.npz", process, progress=progress)


def _held_out(work: Work, student: Any, kept: Path, progress: bool) -> HeldOut | None:
    if work.held_out is None:
        return None
    settings, rows = work.settings, work.held_out
    prompts = _prompts(student, settings.prompts or PROMPTS[rows.kind])
    wanted = None
    if rows.kind == "texts":
        wanted = own_vectors(student, rows, prompts[0], kept, settings.batch, progress=progress)[:, 0]
    return HeldOut(rows, prompts, settings.batch, settings.seed, wanted)


def _mini_batch(one: TrainingSet, student: Any, settings: Settings) -> int | None:
    """Texts in memory at once; None: no gradient cache. From the lengths of a few hundred rows, evenly taken."""
    if settings.mini_batch is not None:
        return settings.mini_batch or None
    some = [text for row in one.texts[:: max(1, len(one) // 256)] for text in row]
    ids = student.tokenizer(some, truncation=True, max_length=student.max_seq_length)["input_ids"]
    mean = sum(map(len, ids)) / len(ids) + 8  # and the prompt
    if one.kind == "texts" or mean * settings.batch * max(2, len(one.columns)) <= _ENOUGH:
        return None
    return max(1, int(_ENOUGH / 2 / mean))


def _arguments(work: Work, batches: list[Batch], main: str | None, processes: int, fresh: bool) -> Any:
    """The settings in the trainer's words."""
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
        learning_rate_mapping={r"\.numbers$": RATE} if settings.qat else {},
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
        eval_on_start=bool(main) and fresh,
        load_best_model_at_end=bool(main),
        metric_for_best_model=f"eval_{main}" if main else None,
        greater_is_better=True if main else None,
        report_to="none",
        disable_tqdm=True,
    )
