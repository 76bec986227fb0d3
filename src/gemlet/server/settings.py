"""What a server may be told: what it is called, how much it takes, whom it answers.   (options → settings)"""

from dataclasses import dataclass
from typing import Literal

from gemlet.errors import InputError

MiB = 1 << 20

AutoTruncation = Literal["right", "left", "window", "error"]


@dataclass(frozen=True)
class Settings:
    """The limits are of this process; times are in seconds.

    name             what clients call the model; None: the last part of the model's name
    aliases          other names for it: of clients that cannot be told a name
    task             the prompt of texts that are sent without one; None: they are taken as they are

    keys             bearer keys that are let in; none: everybody is
    hosts            names in Host that are let in besides this machine's own and IP addresses
    origins          web pages that may ask, as "https://host:port"; none but the server's own

    items            texts of one request, at most
    request_tokens   tokens of one request, prompts included
    token_vectors    tokens of one request for a vector of each token: 3 KB of memory and 16 KB of answer each
    body_bytes       of one request
    bodies_bytes     of all requests that are worked on
    requests         that are worked on at once
    connections      that are open at once; for one more, that is closed which has been without a request for longest
    queue_items      sequences that wait, of all requests
    queue_tokens     tokens that wait, of all requests
    cache_bytes      of the vectors that are kept for the next time that a text comes; 0 keeps none

    head_s           until a request's head is there
    body_s           until its body is there
    request_s        until its answer is there
    send_s           until the client has taken the answer
    idle_s           that a connection stays open without a request
    shutdown_s       for requests that are being worked on when the server is told to end
    """

    name: str | None = None
    aliases: tuple[str, ...] = ()
    task: str | None = None

    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    items: int = 2048
    request_tokens: int = 300_000
    token_vectors: int = 2048
    body_bytes: int = 8 * MiB
    bodies_bytes: int = 64 * MiB
    requests: int = 512
    connections: int = 2048
    queue_items: int = 8192
    queue_tokens: int = 600_000
    cache_bytes: int = 32 * MiB

    head_s: float = 10
    body_s: float = 30
    request_s: float = 600
    send_s: float = 60
    idle_s: float = 75
    shutdown_s: float = 30

    def __post_init__(self) -> None:
        """Raise InputError for a limit that lets nothing through."""
        for name, value in vars(self).items():
            if isinstance(value, int | float) and value <= 0 and name != "cache_bytes":
                raise InputError(f"{name} is {value}; it must be more than 0")
        if self.cache_bytes < 0:
            raise InputError(f"cache_bytes is {self.cache_bytes}; 0 keeps no vectors")
