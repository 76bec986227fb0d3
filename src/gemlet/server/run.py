"""The application on a socket, by uvicorn.   (app → until it is told to end)"""

import asyncio
import contextlib
import ipaddress
import logging
import sys
from collections.abc import Callable
from socket import IPPROTO_TCP, TCP_NODELAY

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gemlet.errors import InputError
from gemlet.server.app import App
from gemlet.server.settings import Settings

_HEAD_BYTES = 64 * 1024  # of a request's first line and headers
_BACKLOG = 512
_OTHER_FILES = 128  # that may be open beside connections


def check_address(host: str, settings: Settings, *, without_key: bool) -> None:
    """Raise InputError for an address that others reach when there is no key, unless that was wanted."""
    if settings.keys or without_key or is_loopback(host):
        return
    raise InputError(
        f"{host} can be reached from other machines, and there is no key: name a file with one in --key-file, put one "
        "into GEMLET_KEY, or say --no-key-on-a-public-address"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run(app: App, host: str, port: int, *, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve until SIGINT or SIGTERM; then answer what was begun, within Settings.shutdown_s.

    port   0 takes any that is free
    ready  is called with the server's address once it listens

    Raises InputError when the port is taken or the host is none of this machine's.
    """
    config = configure(app, host, port)
    try:
        socket = config.bind_socket()
    except SystemExit:
        raise InputError(f"cannot listen on {host} port {port}: name another with --host and --port") from None
    try:
        socket.listen(_BACKLOG)
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{socket.getsockname()[1]}")
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it anew when all is done
            uvicorn.Server(config).run(sockets=[socket])
    finally:
        socket.close()


def configure(app: App, host: str, port: int) -> uvicorn.Config:
    """Return uvicorn's configuration; what it logs goes nowhere unless somebody listens to "uvicorn"."""
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    settings = app.service.settings
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=type("Patient", (Patient,), {"head_s": settings.head_s, "most": _sockets(settings), "quiet": {}}),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=int(settings.idle_s),
        timeout_graceful_shutdown=int(settings.shutdown_s),
    )


def _sockets(settings: Settings) -> int:
    """How many connections may be open: as many as are wanted, or as the system lets this process have files."""
    if sys.platform == "win32":
        return settings.connections
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS may name a number here that it does not take
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(settings.connections, sys.maxsize if allowed == resource.RLIM_INFINITY else allowed - _OTHER_FILES)


class Patient(HttpToolsProtocol):
    """What uvicorn has, with limits that it lacks: of the time and of the bytes that a request's head takes, and of
    the connections that are open. For one more, that is closed which has been without a request for longest: who keeps
    many open keeps nobody out.
    """

    head_s: float
    most: int
    quiet: "dict[Patient, None]"  # the server's connections without a request, the longest first
    _head_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request's head its time."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # asyncio forgets it
        self._wait()
        self.quiet[self] = None
        if len(self.connections) > self.most:
            longest = next(iter(self.quiet))
            del self.quiet[longest]
            longest.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep nothing of it."""
        super().connection_lost(exc)
        self.quiet.pop(self, None)
        for timer in (self._timer, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()  # else it keeps all that the connection had until its time is over

    def data_received(self, data: bytes) -> None:
        """Count what comes between two requests, and give it its time."""
        super().data_received(data)
        if self._between():
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.transport.close()
            self._wait()
        else:
            self._head_bytes = 0
            self.quiet.pop(self, None)

    def on_response_complete(self) -> None:
        """Have it wait for the next request."""
        super().on_response_complete()
        if self._between() and not self.transport.is_closing():
            self.quiet[self] = None

    def _between(self) -> bool:
        """Whether the next request's head is still to come."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_s, self._give_up, self.cycle)

    def _give_up(self, before: object) -> None:
        self._timer = None
        if self.cycle is before and self._between() and not self.transport.is_closing():
            self.transport.close()
