"""A request's body, within limits of size and time.   (ASGI → bytes)"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from gemlet.server.problems import Problem
from gemlet.server.settings import Settings


class Bodies:
    """The bodies of all requests that are being worked on; together they stay under a limit too."""

    def __init__(self, settings: Settings) -> None:
        self._each, self._all, self._seconds = settings.body_bytes, settings.bodies_bytes, settings.body_s
        self.held_bytes = 0

    @asynccontextmanager
    async def read(self, scope: Scope, receive: Receive, *, wanted: bool) -> AsyncIterator[bytes]:
        """The body; its bytes count as held until the block ends. Of a route that takes none, anything is too much.

        Raises Problem: too_large, overloaded, slow_body; ClientDisconnect.
        """
        limit = self._each if wanted else 0
        if _announced(scope) > limit:
            raise _too_large(limit)
        held = [0]
        try:
            yield await self._in_time(receive, limit, held)
        finally:
            self.held_bytes -= held[0]

    async def _in_time(self, receive: Receive, limit: int, held: list[int]) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._collect(receive, limit, held)
        except TimeoutError:
            raise Problem("slow_body", f"the body did not come within {self._seconds:g} s") from None

    async def _collect(self, receive: Receive, limit: int, held: list[int]) -> bytes:
        parts: list[bytes] = []
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part = message.get("body", b"")
            more = message.get("more_body", False)
            held[0] += len(part)
            self.held_bytes += len(part)
            if held[0] > limit:
                raise _too_large(limit)
            if self.held_bytes > max(self._all, limit):
                raise Problem("overloaded", "too many large requests at once: ask again in 1 s", retry_after=1)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(limit: int) -> Problem:
    told = f"the body is larger than {limit} bytes" if limit else "this route takes no body"
    return Problem("too_large", told)
