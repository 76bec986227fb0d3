"""Two processes, half the batch each, as torchrun would start them.   (folder of the tiny model, folder for results →)

Run as a program, so that the processes are forked before torch has threads: python two_ranks.py MODEL RESULTS.
RESULTS/NAME-RANK.npz: each parameter's gradient and the loss; RESULTS/uneven-RANK.txt: what was said.
"""

import datetime
import os
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing
from tiny_batches import DIMS, HALF, LABELS, backward, columns, gradients, load, teacher
from torch.nn.parallel import DistributedDataParallel

from gemlet.errors import InputError
from gemlet.train.losses import LossSettings
from gemlet.train.losses.recipe import RecipeLoss

CASES = {
    "plain": (LossSettings(dims=DIMS, gather=True), "teacher"),
    "cached": (LossSettings(dims=DIMS, gather=True, mini_batch=2), "teacher"),
    "labels": (LossSettings(dims=DIMS, gather=True), "labels"),
    "apart": (LossSettings(dims=DIMS), "teacher"),
}


def work(rank: int, folder: Path, results: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{results / 'meeting'}", timeout=datetime.timedelta(minutes=5), rank=rank, world_size=2
    )
    half = slice(rank * HALF, (rank + 1) * HALF)
    for name, (settings, kind) in CASES.items():
        model = load(folder)
        loss = RecipeLoss(model, settings)
        loss.model = DistributedDataParallel(model)  # as the trainer does it
        labels = teacher(half) if kind == "teacher" else LABELS[half]
        value = backward(loss(columns(model, half), labels))
        np.savez(results / f"{name}-{rank}.npz", loss=value, **gradients(model))
    try:
        RecipeLoss(model, CASES["plain"][0])(columns(model, slice(0, 2 + rank)))
    except InputError as error:
        (results / f"uneven-{rank}.txt").write_text(str(error))
    dist.barrier()
    os._exit(0)  # gloo's threads now and then wait for one another when they are taken down


if __name__ == "__main__":
    context = torch.multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(rank, *map(Path, sys.argv[1:]))) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(max(abs(process.exitcode) for process in processes))
