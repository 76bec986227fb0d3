"""What can go wrong with a request; each dialect says it in its own shape.   (→ Problem)"""

from typing import Literal

Kind = Literal[
    "malformed", "invalid", "empty", "too_long", "too_many", "too_large", "unknown_model", "not_found", "method",
    "unauthorized", "forbidden", "overloaded", "timeout", "slow_body", "unavailable", "internal",
]  # fmt: skip

STATUS: dict[Kind, int] = {
    "malformed": 400,  # no JSON, or not the shape that the route takes
    "invalid": 400,
    "empty": 400,
    "too_long": 400,  # a text that may not be cut
    "too_many": 413,  # texts or tokens of one request
    "too_large": 413,  # its bytes
    "unknown_model": 404,
    "not_found": 404,
    "method": 405,
    "unauthorized": 401,
    "forbidden": 403,
    "overloaded": 429,
    "timeout": 503,
    "slow_body": 408,
    "unavailable": 503,
    "internal": 500,
}


class Problem(Exception):
    """A request that gets no vectors.

    message      one line: what, which, what to do; nothing of this machine's disk, nothing of the texts
    param        the field that it is about
    retry_after  seconds after which it is worth while to ask again
    """

    def __init__(self, kind: Kind, message: str, *, param: str | None = None, retry_after: int | None = None) -> None:
        self.kind: Kind = kind
        self.message = message
        self.param = param
        self.retry_after = retry_after
        super().__init__(message)
