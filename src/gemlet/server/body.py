"""A request's body, within limits of size.   (ASGI → bytes)"""

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from gemlet.server.problems import Problem
from gemlet.server.settings import Settings


class Bodies:
    """The bodies of all requests that are being worked on; together they stay under a limit too."""

    def __init__(self, settings: Settings) -> None:
        self._each, self._all = settings.body_bytes, settings.bodies_bytes
        self.held_bytes = 0

    async def read(self, scope: Scope, receive: Receive, *, wanted: bool) -> bytes:
        """The body; its bytes count as held until release(). Of a route that takes none, anything is too much.

        Raises Problem: too_large, overloaded; ClientDisconnect.
        """
        limit = self._each if wanted else 0
        if _announced(scope) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        held, more = 0, True
        try:
            while more:
                part, more = await _next(receive)
                parts.append(part)
                held += len(part)
                self.held_bytes += len(part)
                self._check(held, limit)
        except BaseException:  # cancelled, too
            self.held_bytes -= held
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def release(self, body: bytes) -> None:
        """Make room for others."""
        self.held_bytes -= len(body)

    def _check(self, held: int, limit: int) -> None:
        if held > limit:
            raise _too_large(limit)
        if self.held_bytes > max(self._all, limit):
            raise Problem("overloaded", "too many large requests at once: ask again in 1 s", retry_after=1)


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """Another part, and whether there is more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(limit: int) -> Problem:
    told = f"the body is larger than {limit} bytes" if limit else "this route takes no body"
    return Problem("too_large", told)
