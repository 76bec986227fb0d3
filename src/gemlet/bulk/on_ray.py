"""Shards made by Ray's workers, on this machine or a cluster.   (Plan → shards)

A worker is told which shard to make; it reads, embeds and writes by itself, so that no text passes through Ray's object
store, and none piles up: a worker has one shard at a time. All workers of a machine map the same file of weights.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from threading import Lock
from typing import Any

from gemlet.bulk.cutting import Shard
from gemlet.bulk.embedding import BlockEmbedder, open_model
from gemlet.bulk.folder import Folder
from gemlet.bulk.plan import Plan, made_with
from gemlet.bulk.report import Meter
from gemlet.bulk.running import MakeWorkers, Outcome, Take, attempt_shard
from gemlet.bulk.settings import Job, Model
from gemlet.errors import BulkError, GemletError, InputError, MissingExtra

_POLL_S = 1.0
_OPEN_S = 60.0  # that the first shard waits for all workers to have a model, so that the pace is that of all
_STORE_BYTES = 100 << 20  # of Ray's object store, which carries nothing but shards' names and counts


class Worker:
    """Makes shards, one at a time, in a thread; in another one it answers how far it is."""

    def __init__(self, job: Job, model: Model) -> None:
        self._job, self._model = job, model
        self._folder = Folder(job.output)
        self._embedder: BlockEmbedder | None = None
        self._through = (0, 0)
        self._opening = Lock()

    def make(self, shard: Shard, attempt: int) -> Outcome:
        """Make it. Raises nothing of ours: errors travel as what they say."""
        try:
            return attempt_shard(shard, attempt, self._job, self._folder, self._opened(), self._note)
        except GemletError as error:
            return Outcome(None, str(error), again=False)

    def through(self) -> tuple[int, int]:
        """Rows and tokens of the shard that it makes."""
        return self._through

    def open(self) -> None:
        """Open the model before there is a shard to make; why that failed, make() says."""
        with suppress(GemletError):
            self._opened()

    def _note(self, rows: int, tokens: int) -> None:
        self._through = (rows, tokens)

    def _opened(self) -> BlockEmbedder:
        with self._opening:
            if self._embedder is None:
                self._embedder = self._open()
            return self._embedder

    def _open(self) -> BlockEmbedder:
        embedder = open_model(self._model)
        made = made_with(embedder, self._job.settings)
        for name, value in made.items():
            if value != self._job.made[name]:
                raise BulkError(
                    f"a worker has {name} {str(value)[:40]}, this process {str(self._job.made[name])[:40]}: "
                    "install the same gemlet and the same model on all machines"
                )
        return BlockEmbedder(embedder, self._job.settings)


def ray_workers(model: Model, count: int | None = None) -> MakeWorkers:
    """What run() makes its workers with.

    model  whose `threads` are those of a worker; None: one; on the device "cuda" a worker has a GPU
    count  of workers; None: as many as there is room for

    Raises MissingExtra; InputError for a GPU that is named.
    """
    if model.device.startswith("cuda:"):
        raise InputError(f"Ray says which worker has which GPU, device is {model.device!r}: take --device cuda")
    _imported()
    return lambda plan, shards: RayWorkers(plan, shards, model, count)


class RayWorkers:
    """As many workers as are asked for. Ray is started on this machine, unless $RAY_ADDRESS names a cluster."""

    def __init__(self, plan: Plan, shards: int, model: Model, count: int | None) -> None:
        """Raises InputError when there is no room for them, BulkError when Ray cannot be started."""
        threads = model.threads or 1
        name = os.path.abspath(model.name) if os.path.exists(model.name) else model.name  # a worker is elsewhere
        self._model = replace(model, name=name, threads=threads)
        self._folder = Folder(plan.job.output)
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Shard]] = {}
        self._ray, self._own = _started()
        needs = {"CPU": threads, "GPU": int(model.device == "cuda")}
        there = self._ray.cluster_resources()
        room = min(int(there.get(name, 0)) // of_one for name, of_one in needs.items() if of_one)
        if (count or 1) > room:
            self.close()
            gpus = " and a GPU each" if needs["GPU"] else ""
            raise InputError(
                f"{count or 1} workers of {threads} threads{gpus} do not fit, Ray has room for {room}: "
                "take fewer (--workers, --threads)"
            )
        self._count = min(count or room, shards)
        self._actor = self._ray.remote(num_cpus=needs["CPU"], num_gpus=needs["GPU"], max_concurrency=2, max_restarts=0)(
            Worker
        )
        self._job = self._ray.put(plan.job)
        self._idle += [self._new() for _ in range(self._count)]
        self._ray.wait([worker.open.remote() for worker in self._idle], num_returns=self._count, timeout=_OPEN_S)

    def make(self, take: Take, meter: Meter) -> Iterator[tuple[Shard, Outcome]]:
        """Whoever is free gets the next; one that died is replaced, and what it made is to be tried again."""
        while True:
            while self._idle and (next_one := take()) is not None:
                worker = self._idle.pop()
                self._busy[worker.make.remote(*next_one)] = (worker, next_one[0])
            if not self._busy:
                return
            ready, _ = self._ray.wait(list(self._busy), timeout=_POLL_S)
            for call in ready:
                worker, shard = self._busy.pop(call)
                outcome, alive = self._outcome(call, shard)
                self._idle.append(worker if alive else self._new())
                yield shard, outcome
            meter.partial(*self._through())

    def close(self) -> None:
        """End them, and Ray where it was started here."""
        if self._own:
            self._ray.shutdown()
            return
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            self._ray.kill(worker)

    def _new(self) -> Any:
        return self._actor.remote(self._job, self._model)

    def _outcome(self, call: Any, shard: Shard) -> tuple[Outcome, bool]:
        """(what became of it, whether its worker lives)."""
        try:
            outcome: Outcome = self._ray.get(call)
        except self._ray.exceptions.RayActorError:
            return Outcome(None, "its worker died: killed, or out of memory"), False
        except self._ray.exceptions.RayError as error:
            return Outcome(None, _last_line(error), again=False), False
        if outcome.counts is not None and self._folder.size(shard.name) != outcome.counts.bytes:
            reason = (
                f"a worker has written {shard.name}, but it is not in {self._folder.name} here: "
                "name a folder that all machines share, or an address such as s3://..."
            )
            return Outcome(None, reason, again=False), True
        return outcome, True

    def _through(self) -> tuple[int, int]:
        """Rows and tokens of the shards that are being made; a worker that is starting, or died, says nothing."""
        calls = [worker.through.remote() for worker, _ in self._busy.values()]
        ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=_POLL_S) if calls else ([], [])
        rows = tokens = 0
        for call in ready:
            try:
                one = self._ray.get(call)
            except self._ray.exceptions.RayError:
                continue
            rows, tokens = rows + one[0], tokens + one[1]
        return rows, tokens


def _imported() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray tells its makers about its use unless told not to
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of what it will do later
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "--ray") from None
    return ray


def _started() -> tuple[Any, bool]:
    """(Ray, whether it was started here, and not before by a program that this is a part of)."""
    ray = _imported()
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if "RAY_ADDRESS" not in os.environ:
        os.environ.setdefault("RAY_worker_niceness", "0")  # as one process has it; Ray's 15 starves beside other work
        options |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        ray.init(**options)
    except Exception as error:  # of many kinds, and bare ones: a machine that is too busy, a cluster that is not there
        raise BulkError(f"cannot start Ray: {_last_line(error)}") from None
    return ray, True


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1][:300]
