"""All requests' sequences → packed batches → rows, each sequence once.   (ids → rows)

The event loop hands sequences in and rows out; one thread takes batches from the queue and runs them, so that the
engine never waits for the loop. What is running is never broken off: it is at most one batch.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gemlet.embedder import Embedder
from gemlet.errors import GemletError
from gemlet.packing import IntArray, lay
from gemlet.server.cache import Cache
from gemlet.server.metrics import Metrics
from gemlet.server.problems import Problem
from gemlet.server.settings import Settings
from gemlet.server.turns import Job, Key, Kind, Turns
from gemlet.vectors import FloatArray

_FIRST_SPEED = 1000.0  # tokens a second, until one is measured
_LONGEST_RETRY = 60


@dataclass(eq=False)
class Ticket:
    """What a request waits for: `rows` is filled as jobs are done, and `done` says when `left` is 0."""

    rows: list[FloatArray | None]
    done: asyncio.Future[None]
    left: int
    jobs: list[Job] = field(default_factory=list)
    hits: int = 0
    queued: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class Rows:
    """What came of a request's sequences, in their order; `hits`: how many the cache had."""

    rows: list[FloatArray]
    hits: int


class Batcher:
    """One for each embedder; start() and stop() are called in the event loop that asks for rows()."""

    def __init__(self, embedder: Embedder, settings: Settings, metrics: Metrics) -> None:
        self._embedder, self._settings, self._metrics = embedder, settings, metrics
        self.cache = Cache(settings.cache_bytes)
        self._turns = Turns()
        self._jobs: dict[Key, Job] = {}  # waiting or running
        self._wake = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="gemlet-batches", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.waiting_items = 0
        self.waiting_tokens = 0
        self.speed = _FIRST_SPEED

    def start(self) -> None:
        """Begin to work."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Refuse what waits and what comes, and return when the running batch is done."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        for job in list(self._jobs.values()):
            self._fail(job, _closing())

    @property
    def alive(self) -> bool:
        """Whether there is somebody to work."""
        return self._thread.is_alive() and not self._stopped

    async def rows(self, ids: Sequence[IntArray], kind: Kind = "sentence") -> Rows:
        """Return a row for each sequence: [768] float32 of a sentence, not cut, not normalised; or [tokens, 768].

        Raises Problem: overloaded, unavailable, internal.
        """
        assert self._loop is not None
        ticket = Ticket([None] * len(ids), self._loop.create_future(), len(ids))
        wanted: list[tuple[int, Key]] = []
        for place, sequence in enumerate(ids):
            key: Key = (kind, sequence.tobytes())
            row = self.cache.get(key[1]) if kind == "sentence" else None
            if row is None:
                wanted.append((place, key))
            else:
                ticket.rows[place] = row
        ticket.hits = len(ids) - len(wanted)
        ticket.left = len(wanted)
        if wanted:
            self._queue(ticket, wanted, ids)
            try:
                await ticket.done
            except BaseException:  # cancelled, or one of its rows cannot be had
                self._drop(ticket)
                raise
        return Rows([row for row in ticket.rows if row is not None], ticket.hits)

    def _queue(self, ticket: Ticket, wanted: list[tuple[int, Key]], ids: Sequence[IntArray]) -> None:
        fresh = {key: ids[place] for place, key in wanted if key not in self._jobs}
        tokens = sum(map(len, fresh.values()))
        self._admit(len(fresh), tokens)
        with self._wake:
            self._jobs |= {key: Job(key, sequence) for key, sequence in fresh.items()}
            for place, key in wanted:
                self._jobs[key].takers.append((ticket, place))
            ticket.jobs = [self._jobs[key] for key in dict.fromkeys(key for _, key in wanted)]
            self.waiting_items += len(fresh)
            self.waiting_tokens += tokens
            self._turns.add(ticket.jobs)
            self._wake.notify()

    def _admit(self, items: int, tokens: int) -> None:
        """Raise Problem when there is no room; into an empty queue any request goes that its own limits let through."""
        if self._stopped:
            raise _closing()
        settings = self._settings
        full = self.waiting_items + items > settings.queue_items or self.waiting_tokens + tokens > settings.queue_tokens
        if full and self.waiting_items:
            after = min(_LONGEST_RETRY, 1 + int(self.waiting_tokens / self.speed))
            raise Problem("overloaded", f"the queue is full: ask again in {after} s", retry_after=after)

    def _drop(self, ticket: Ticket) -> None:
        """Forget a request that nobody waits for; what others want too stays."""
        with self._wake:
            for job in ticket.jobs:
                waited = job.waits
                job.takers = [taker for taker in job.takers if taker[0] is not ticket]
                if waited and not job.takers:
                    self._jobs.pop(job.key, None)
                    self._count_out([job])

    def _count_out(self, jobs: Sequence[Job]) -> None:
        self.waiting_items -= len(jobs)
        self.waiting_tokens -= sum(len(job.ids) for job in jobs)

    def _work(self) -> None:
        """The thread: take a batch, run it, hand the rows to the loop."""
        while True:
            with self._wake:
                while not self._stopped and not (jobs := self._turns.take(self._embedder.token_budget)):
                    self._wake.wait()
                if self._stopped:
                    return
                self._count_out(jobs)
            self._metrics.batch(len(jobs), sum(len(job.ids) for job in jobs))
            began = time.perf_counter()
            found: Sequence[FloatArray] | Exception
            try:
                found = self._run(jobs)
            except Exception as error:  # the thread lives on, whatever a batch does
                found = error
            self._to_loop(jobs, found, began, time.perf_counter())

    def _run(self, jobs: Sequence[Job]) -> Sequence[FloatArray]:
        batch = lay([job.ids for job in jobs], 0, len(jobs))
        if jobs[0].key[0] == "tokens":
            return self._embedder.run_tokens(batch)
        return list(self._embedder.run(batch))

    def _to_loop(self, jobs: list[Job], found: Sequence[FloatArray] | Exception, began: float, ended: float) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._deliver, jobs, found, began, ended)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._stopped = True

    def _deliver(self, jobs: list[Job], found: Sequence[FloatArray] | Exception, began: float, ended: float) -> None:
        tokens = sum(len(job.ids) for job in jobs)
        self.speed += 0.2 * (tokens / max(ended - began, 1e-6) - self.speed)
        self._metrics.inference(ended - began)
        if isinstance(found, Exception):
            self._metrics.broken(found)
            for job in jobs:
                self._fail(job, Problem("internal", "the engine failed; the server's log says how"))
            return
        for job, row in zip(jobs, found, strict=True):
            if not np.isfinite(row).all():
                self._metrics.broken(GemletError("a vector is not finite: the weights may be damaged"))
                self._fail(job, Problem("internal", "the vector is not finite: run `gemlet verify` on the server"))
                continue
            self._jobs.pop(job.key, None)
            if job.key[0] == "sentence":
                self.cache.put(job.key[1], row)
            for ticket, place in job.takers:
                ticket.rows[place] = row
                ticket.left -= 1
                if not ticket.left and not ticket.done.done():
                    self._metrics.waited(began - ticket.queued)
                    ticket.done.set_result(None)

    def _fail(self, job: Job, problem: Problem) -> None:
        self._jobs.pop(job.key, None)
        for ticket, _ in job.takers:
            if not ticket.done.done():
                ticket.done.set_exception(problem)


def _closing() -> Problem:
    return Problem("unavailable", "the server is shutting down", retry_after=5)
