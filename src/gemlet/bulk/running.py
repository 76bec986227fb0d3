"""A plan → its shards, one after the other in this process, or on Ray's workers.   (Plan → Report)"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from traceback import clear_frames
from typing import Protocol

from gemlet.bulk.cutting import Shard
from gemlet.bulk.embedding import BlockEmbedder, open_model
from gemlet.bulk.folder import Folder
from gemlet.bulk.plan import Plan, check_same, made_with, make_plan, read_plan, write_plan
from gemlet.bulk.reading import ReadError, part_of
from gemlet.bulk.report import Listener, Meter, Report, Silence
from gemlet.bulk.settings import Job, Model, Settings, Target
from gemlet.bulk.shards import Counts, finished, make_shard
from gemlet.bulk.storing import load, reach
from gemlet.errors import BulkError
from gemlet.gpu import OWN, TORCH_ON_CPU

ATTEMPTS = 3
"""How often a shard is begun, when reading it fails or its worker dies."""

_PAUSE_S = 1.0  # before it is begun again; longer each time


@dataclass(frozen=True)
class Outcome:
    """What a worker says of a shard: its counts, or why there is none.

    again  whether the same may succeed another time; where it cannot, nothing else will succeed either
    """

    counts: Counts | None
    reason: str = ""
    again: bool = True


Take = Callable[[], tuple[Shard, int] | None]
"""Gives the next shard and which attempt it is, from 1; None when there is none, until one has failed."""


class Workers(Protocol):
    """Who makes shards. Closed at the end, or when a run is broken off."""

    def make(self, take: Take, meter: Meter) -> Iterator[tuple[Shard, Outcome]]:
        """Yield each shard as it is done, until take() has none and none is left."""

    def close(self) -> None:
        """End them."""


MakeWorkers = Callable[[Plan, int], Workers]
"""(plan, number of shards that are to be made) → workers."""


def run(
    inputs: Sequence[str],
    output: str,
    settings: Settings,
    model: Model,
    *,
    to: Target | None = None,
    workers: MakeWorkers | None = None,
    listener: Listener | None = None,
) -> Report:
    """Embed every row of the inputs into files in the folder `output`, or go on with what an earlier run began.

    inputs    files, folders, globs, addresses: sources.find_sources()
    to        a store that the finished files' rows go into afterwards, each once
    workers   makes those who make the shards; None: this process

    A file of the output is there whole or not at all, and is made once; the same rows give the same files, however many
    workers there are. Raises InputError for a call that cannot be right, BulkError when the output cannot be written
    or another process writes it, StoreError and its kin for the store; what is finished then stays.
    """
    try:
        return _run(inputs, output, settings, model, to, workers, listener or Silence())
    except BaseException as error:
        _let_go(error)
        raise


def _run(
    inputs: Sequence[str],
    output: str,
    settings: Settings,
    model: Model,
    to: Target | None,
    workers: MakeWorkers | None,
    listener: Listener,
) -> Report:
    folder = Folder(output)
    if workers is not None and model.device != OWN:  # a driver needs no GPU, and leaves those that are here to them
        model = replace(model, device=TORCH_ON_CPU)
    embedder = open_model(model)
    BlockEmbedder(embedder, settings)  # raises for settings that cannot be, before anything is there
    made = made_with(embedder, settings)
    plan = _planned(inputs, folder, settings, made, listener)
    if to is not None:
        reach(to, plan.job, model.name)
    folder.make()
    with folder.lock():
        written = read_plan(folder)  # another driver may have been here meanwhile
        if written is None:
            write_plan(plan, folder)
        else:
            check_same(written, inputs, folder, settings, made)
            plan = written
        folder.clear()
        there = finished(folder, plan.job, plan.shards)
        report = Report(folder.name, len(plan.shards), len(there), Counts(), Counts(), broken=plan.broken)
        for counts in there.values():
            report.counts.add(counts)
        pending = [shard for shard in plan.shards if shard not in there]
        if pending:
            makers: Workers
            if workers is None:
                makers = Here(plan, folder, BlockEmbedder(embedder, plan.job.settings))
            else:
                del embedder  # each worker has its own
                makers = workers(plan, len(pending))
            meter = Meter(listener, plan, list(there))
            try:
                _make(plan, pending, makers, meter, report, listener)
            finally:
                makers.close()
                with suppress(BulkError):  # a Ctrl-C may come before a file's writer can take it away
                    folder.clear()
            meter.show()
            report.seconds = meter.seconds
        report.counts.add(report.new)
        if to is not None:
            done = list(finished(folder, plan.job, plan.shards))
            report.stored = load(folder, plan.job, done, to, model.name, listener)
    return report


def _planned(
    inputs: Sequence[str], folder: Folder, settings: Settings, made: dict[str, object], listener: Listener
) -> Plan:
    """What an earlier run planned, or a new plan."""
    plan = read_plan(folder)
    if plan is not None:
        check_same(plan, inputs, folder, settings, made)
        return plan
    return make_plan(inputs, folder, settings, made, listener.message)


def _make(plan: Plan, pending: list[Shard], makers: Workers, meter: Meter, report: Report, listener: Listener) -> None:
    attempts = dict.fromkeys(pending, 1)
    queue = list(reversed(pending))

    def take() -> tuple[Shard, int] | None:
        return (queue[-1], attempts[queue.pop()]) if queue else None

    for shard, outcome in makers.make(take, meter):
        part = part_of(shard, plan.job.sources[shard.source])
        if outcome.counts is not None:
            report.new.add(outcome.counts)
            meter.done(shard, outcome.counts)
        elif not outcome.again:
            raise BulkError(outcome.reason)
        elif attempts[shard] < ATTEMPTS:
            attempts[shard] += 1
            queue.append(shard)
            listener.message(f"{part}: {outcome.reason}; it is tried again")
        else:
            report.failed.append((part, outcome.reason))
            listener.message(f"{part}: {outcome.reason}; given up")


def _let_go(error: BaseException) -> None:
    """Take the model out of the frames that an error has come through: it must not live as long as the error does."""
    passed: BaseException | None = error
    while passed is not None:
        clear_frames(passed.__traceback__)
        passed = passed.__context__


class Here:
    """The one worker without Ray: this process."""

    def __init__(self, plan: Plan, folder: Folder, model: BlockEmbedder) -> None:
        self._plan, self._folder, self._model = plan, folder, model

    def make(self, take: Take, meter: Meter) -> Iterator[tuple[Shard, Outcome]]:
        """One after the other."""
        while (next_one := take()) is not None:
            shard, attempt = next_one
            time.sleep(_PAUSE_S * (attempt - 1))
            yield shard, attempt_shard(shard, attempt, self._plan.job, self._folder, self._model, meter.partial)

    def close(self) -> None:
        """There is nothing to end."""


def attempt_shard(
    shard: Shard, attempt: int, job: Job, folder: Folder, model: BlockEmbedder, partial: Callable[[int, int], None]
) -> Outcome:
    """Make a shard; what cannot be read is an Outcome. `partial` is told the rows and tokens that are through."""
    through = [0, 0]

    def tell(rows: int, tokens: int) -> None:
        through[0] += rows
        through[1] += tokens
        partial(*through)

    try:
        counts = make_shard(shard, job, folder, model, tell, last=attempt == ATTEMPTS)
    except ReadError as error:
        return Outcome(None, str(error))
    finally:
        partial(0, 0)
    return Outcome(counts)
