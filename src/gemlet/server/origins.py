"""Which web pages may ask, and what browsers want to be told of it: CORS.   (Origin → headers, or a problem)

A page of a named origin reads the answers, errors too; a page of any other is refused. No origin ever stands for all,
and no cookies are taken: a page sends its key in Authorization, as every client does.
"""

import re
from collections.abc import Iterable

from gemlet.errors import InputError
from gemlet.server.problems import Problem

Pairs = list[tuple[bytes, bytes]]

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+( *, *[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

_METHODS = b"GET, HEAD, POST"
_SHOWN = b"retry-after, x-request-id, x-score"  # beside those that browsers show anyway
_SECONDS = b"600"  # for which a browser may remember what a preflight said


class Origins:
    """The origins whose pages may ask, beside the server's own."""

    def __init__(self, origins: Iterable[str]) -> None:
        """Raise InputError for what no browser sends as Origin of one site."""
        self._named = frozenset(map(_normal, origins))

    def told(self, headers: dict[bytes, bytes], own: str) -> Pairs:
        """What every answer to a request says to its browser; `own` is the server's origin, as the request names it.

        Raises Problem for a page of another origin.
        """
        varies = [(b"vary", b"origin")] if self._named else []
        sent = headers.get(b"origin", b"")
        origin = sent.decode("latin-1").lower()
        if origin in self._named:
            return [*varies, (b"access-control-allow-origin", sent), (b"access-control-expose-headers", _SHOWN)]
        if origin and origin != own:
            raise Problem("forbidden", f"pages of {origin[:80]!r} may not ask this server: see --allow-origin")
        return varies


def preflight(method: str, headers: dict[bytes, bytes]) -> Pairs | None:
    """What a browser is told that asks before it sends a page's request; None when it is no such question.

    The page's origin has been checked by then. No key is needed: a browser never sends one here.
    """
    if method != "OPTIONS" or not {b"origin", b"access-control-request-method"} <= headers.keys():
        return None
    answer = [(b"access-control-allow-methods", _METHODS), (b"access-control-max-age", _SECONDS)]
    wanted = headers.get(b"access-control-request-headers", b"").strip()
    if _NAMES.fullmatch(wanted):
        answer.append((b"access-control-allow-headers", wanted))
    if headers.get(b"access-control-request-private-network") == b"true":
        answer.append((b"access-control-allow-private-network", b"true"))
    return answer


def _normal(origin: str) -> str:
    """As browsers write it: small letters, no slash, no port that goes without saying."""
    found = origin.strip().lower().rstrip("/")
    if not _ORIGIN.fullmatch(found):
        raise InputError(
            f"{origin!r} is no origin of a web page: write it as https://app.example or http://localhost:3000"
        )
    scheme = found.partition(":")[0]
    return found.removesuffix(_DEFAULT_PORTS.get(scheme, "/"))
