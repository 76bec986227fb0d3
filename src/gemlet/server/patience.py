"""How long a request may take for what it does, and whether somebody still waits for it."""

import asyncio
from types import TracebackType
from typing import Literal, Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from gemlet.server.problems import Problem
from gemlet.server.settings import Settings

Part = Literal["body", "work", "send"]

_SOON = 0.1  # seconds: what is done by then is done before a look at the client would end it


class Patience:
    """Around a request: a limit for the part that it is in, on one timer; it begins with the body.

    Raises, on leaving, Problem slow_body or timeout; ClientDisconnect when the client does not take the answer in time,
    or has left while there was work.
    """

    def __init__(self, receive: Receive, settings: Settings) -> None:
        self._seconds: dict[Part, float] = {
            "body": settings.body_s,
            "work": settings.request_s,
            "send": settings.send_s,
        }
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(self._seconds["body"])
        self._part: Part = "body"
        self._gone = False
        self._soon: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch_no_more()
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._over() from None

    def begin(self, part: Part) -> None:
        """Go on to the next part; while there is work, receive() belongs to this."""
        self._part = part
        self._limit.reschedule(self._loop.time() + self._seconds[part])
        self._watch_no_more()
        if part == "work":
            self._soon = self._loop.call_later(_SOON, self._watch)

    def _watch(self) -> None:
        self._watcher = self._loop.create_task(self._wait_for_the_end())

    async def _wait_for_the_end(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._limit.expired():
            self._gone = True
            self._limit.reschedule(self._loop.time())

    def _watch_no_more(self) -> None:
        for waiting in (self._soon, self._watcher):
            if waiting is not None:
                waiting.cancel()
        self._soon = self._watcher = None

    def _over(self) -> Exception:
        if self._gone or self._part == "send":
            return ClientDisconnect()
        seconds = self._seconds[self._part]
        if self._part == "body":
            return Problem("slow_body", f"the body did not come within {seconds:g} s")
        return Problem("timeout", f"no answer within {seconds:g} s", retry_after=30)
