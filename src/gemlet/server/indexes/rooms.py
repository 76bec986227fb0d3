"""Threads for what blocks, few of them, and few requests that wait for one.   (function → its result, later)"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from gemlet.server.problems import Problem

P = ParamSpec("P")
R = TypeVar("R")

Pending = set["Future[Any]"]

pending: contextvars.ContextVar[Pending | None] = contextvars.ContextVar("pending", default=None)
"""What the work in this thread waits for, so that it can be given up when nobody waits for the work."""

_RETRY_S = 2


class Room:
    """A pool of threads with a limit to those that wait."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"gemlet-{name}")
        self._most = threads + waiting
        self.inside = 0

    async def run(self, work: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Do the work in a thread. When this is cancelled, the work is not awaited, and what it waits for is given up.

        Raises Problem "overloaded", and what the work raises.
        """
        mine: Pending = set()
        context = contextvars.copy_context()
        context.run(pending.set, mine)
        future = self._submit(lambda: context.run(work, *arguments, **named))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.cancel()
            for other in list(mine):
                other.cancel()
            raise

    def start(self, work: Callable[[], R]) -> "Future[R]":
        """Do the work in a thread, which somebody else waits for. Raises Problem "overloaded"."""
        return self._submit(work)

    def close(self) -> None:
        """Take no more work, and drop what waits; what runs goes on to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Callable[[], R]) -> "Future[R]":
        if self.inside >= self._most:
            raise Problem(
                "overloaded", f"too many such requests at once: ask again in {_RETRY_S} s", retry_after=_RETRY_S
            )
        try:
            future = self._pool.submit(work)
        except RuntimeError:
            raise Problem("unavailable", "the server is shutting down", retry_after=5) from None
        self.inside += 1
        future.add_done_callback(self._left)
        return future

    def _left(self, _: "Future[Any]") -> None:
        self.inside -= 1
