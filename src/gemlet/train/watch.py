"""What goes along with a run: its curve, its progress, Ctrl-C.   (steps → curve.jsonl)"""

import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from gemlet.dataset import whole_file
from gemlet.train.checkpoints import writing

CURVE = "curve.jsonl"
_SECONDS = 600  # of work that a kill may cost, and 60 before the result is written
_LAST_SECONDS = 60
_LEFT_OUT = ("epoch", "total_flos", "train_loss")  # and whatever is of time: the same run has the same curve


class Watch(TrainerCallback):
    """Writes a line for each step and for each look at the held-out rows; asks for checkpoints; stops on Ctrl-C.

    save_every  steps from one checkpoint to the next; None: by the clock, for a checkpoint of all parameters is large
    going_on    says what of the run stays, for messages
    """

    def __init__(self, folder: Path, save_every: int | None, progress: bool, going_on: Any) -> None:
        self.interrupted = False
        self._path, self._going_on = folder / CURVE, going_on
        self._save_every, self._saved_at = save_every, time.monotonic()
        self._progress, self._bar = progress, None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Show where the run stands."""
        if self._progress and state.is_world_process_zero:
            from tqdm import tqdm

            self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", dynamic_ncols=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After the last step look once more; after Ctrl-C keep what has been learned and stop."""
        if self._bar is not None:
            self._bar.update(1)
        last = state.global_step >= state.max_steps
        if last and args.eval_strategy != "no":
            control.should_evaluate = True
        stop, due = agreed([self.interrupted, self._due(state.global_step, last)])
        control.should_save = control.should_save or due or stop
        control.should_training_stop = control.should_training_stop or stop

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The clock begins anew."""
        self._saved_at = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Keep what was measured."""
        state.log_history.clear()  # it would be in every checkpoint, and is in the curve
        kept = {name.removeprefix("eval_"): value for name, value in logs.items() if not _of_time(name)}
        if not kept or not state.is_world_process_zero:
            return
        with writing("the curve", self._path.parent, self._going_on()), self._path.open("a") as file:
            file.write(json.dumps({"step": state.global_step, **kept}) + "\n")
        if self._bar is not None and "loss" in kept:
            self._bar.set_postfix(loss=f"{kept['loss']:.4g}")

    def _due(self, step: int, last: bool) -> bool:
        if self._save_every is not None:
            return step % self._save_every == 0
        return time.monotonic() - self._saved_at > (_LAST_SECONDS if last else _SECONDS)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Put the progress away."""
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def agreed(wishes: list[bool]) -> list[bool]:
    """What the first process wishes, everywhere: all have to save, or stop, after the same step."""
    from accelerate.utils import broadcast_object_list

    return list(broadcast_object_list(list(wishes)))


def read_curve(path: Path) -> list[dict[str, Any]]:
    """The lines, up to the first that is not whole."""
    lines: list[dict[str, Any]] = []
    with contextlib.suppress(ValueError, FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            lines.append(json.loads(line))
    return lines


def cut_curve(folder: Path, step: int) -> None:
    """Forget what came after the step from which a run goes on, or all of it when it begins: it comes again."""
    kept = [line for line in read_curve(folder / CURVE) if step and line["step"] <= step]
    with whole_file(str(folder / CURVE)) as file:
        for line in kept:
            file.write((json.dumps(line) + "\n").encode())


@contextlib.contextmanager
def finishing(watch: Watch) -> Iterator[None]:
    """The first Ctrl-C lets the step end and keeps it; the second is as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(*_: Any) -> None:
        watch.interrupted = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        watch.close()


def _of_time(name: str) -> bool:
    return name in _LEFT_OUT or "runtime" in name or name.endswith("per_second")
