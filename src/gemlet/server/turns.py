"""Whose turn it is: a fair queue of sequences.   (requests → the sequences of the next batch)

Each request is a flow, and all that wait have the same share of the machine (fair queueing: Demers, Keshav and Shenker,
SIGCOMM 1989). The clock tells what a flow that always waited would have been given so far, in tokens: work, divided by
the flows among which it was shared. A sequence's tag is when its flow will have been given it: the clock as the flow
joins, or the tag before, and the sequence's length. The least tag goes first. So a query of 18 tokens waits for no
more than some 18 tokens of each other request, however many texts these have; and nobody waits for ever.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Any, Literal

from gemlet.packing import IntArray, fits

Kind = Literal["sentence", "tokens"]
Key = tuple[Kind, bytes]


class Job:
    """A sequence to run once, for all who want it.

    takers  (who, which of its rows); a job that nobody wants any more is passed over
    """

    __slots__ = ("ids", "key", "started", "takers")

    def __init__(self, key: Key, ids: IntArray) -> None:
        self.key = key
        self.ids = ids
        self.takers: list[tuple[Any, int]] = []
        self.started = False

    @property
    def waits(self) -> bool:
        """Whether it is still to be run."""
        return not self.started and bool(self.takers)


class Turns:
    """The queue. It locks nothing: its owner does."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, deque[Job]]] = []
        self._order = count()
        self._clock = 0.0

    def add(self, jobs: Iterable[Job]) -> None:
        """Let a request's jobs wait, in order; a job may wait with several requests, and runs at its first turn."""
        self._push(self._clock, deque(jobs))

    def take(self, token_budget: int) -> list[Job]:
        """Start the jobs of one batch: of one kind, and of at most `token_budget` tokens; a longer one goes alone."""
        chosen: list[Job] = []
        used = 0
        while self._heap:
            tag, _, flow = self._heap[0]
            job = flow[0]
            served = tag - len(job.ids)
            if job.waits:
                if chosen and (job.key[0] != chosen[0].key[0] or not fits(used, len(job.ids), token_budget)):
                    break
                job.started = True
                chosen.append(job)
                used += len(job.ids)
                served = tag
                self._clock += len(job.ids) / len(self._heap)
            heapq.heappop(self._heap)
            flow.popleft()
            self._push(served, flow)
        return chosen

    def _push(self, served: float, flow: deque[Job]) -> None:
        while flow and not flow[0].waits:
            flow.popleft()
        if flow:
            heapq.heappush(self._heap, (served + len(flow[0].ids), next(self._order), flow))
