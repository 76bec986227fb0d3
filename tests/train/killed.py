"""A run that ends itself with SIGKILL: `killed.py BASE ROWS HELD OUTPUT METHOD WHERE`.

WHERE  "step": in the middle of a step; "checkpoint": while a checkpoint is written; "export": while the result is
"""

import os
import signal
import sys
from typing import Any

from training import settings

from gemlet.train import train
from gemlet.train import trainer as trainers

STEPS, SAVE_EVERY, LOOK_EVERY, KILLED = 12, 3, 4, 8


def choices(method: str) -> Any:
    return settings(method=method, steps=STEPS, save_every=SAVE_EVERY, eval_every=LOOK_EVERY, patience=0)


def kill(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(base: str, rows: str, held: str, output: str, method: str, where: str) -> None:
    if where == "step":
        whole = trainers.Trainer.training_step

        def step(self: Any, *args: Any, **options: Any) -> Any:
            loss = whole(self, *args, **options)
            if self.state.global_step == KILLED - 1:
                kill()
            return loss

        trainers.Trainer.training_step = step
    elif where == "checkpoint":
        sealed = trainers.seal
        trainers.seal = lambda path: kill() if path.name == f".checkpoint-{SAVE_EVERY * 2}" else sealed(path)
    else:
        from gemlet.train import export

        export._write_weights = kill
    train(base, [rows], output, choices(method), held_out=held)


if __name__ == "__main__":
    main(*sys.argv[1:])
