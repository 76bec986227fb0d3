"""The publisher's hub and the pinned files in its repositories.

huggingface_hub knows the address, the user's token and the meaning of the hub's errors; it is imported when something
is to be fetched. The bytes of pinned files come by plain ranged requests into a file that the next run goes on with:
its own downloader (2.4) keeps nothing of a killed download. The requests run through whichever HTTP library it uses:
requests below version 1, an httpx above.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from gemlet.pretrained.pins import HubRepository, Pin
from gemlet.pretrained.place import FileError, PlaceError, each, is_disk_full, one_line, size_of
from gemlet.pretrained.progress import Meter, Progress
from gemlet.pretrained.store import Store

ANSWER_S = 5.0
"""A host that has not begun to answer by then is not reachable; name look-up and connecting included."""

_STALL_S = 10.0
"""A body that brings nothing for so long is asked for again, from where it stopped."""

_FAILURES = 3
"""Answers in a row that brought nothing, after which a place is given up."""

_BLOCK = 1 << 16
"""Bytes that are lost at most when a connection breaks."""

_T = TypeVar("_T")


class HubHost:
    """The hub's address. Once it has not answered, its other repositories are not asked."""

    def __init__(self) -> None:
        self.silence: str | None = None

    @property
    def address(self) -> str:
        """Base address: $HF_ENDPOINT, or what huggingface_hub knows."""
        given = os.environ.get("HF_ENDPOINT")
        if given:
            return given.rstrip("/")
        return str(library().constants.ENDPOINT)

    def reach(self, url: str, headers: dict[str, str]) -> None:
        """Ask for the first byte of `url`, wherever it redirects to. Raises what the hub answers, or PlaceError."""
        if self.silence:
            raise PlaceError(f"{self.silence}; not asked again")

        def first_byte() -> None:
            with _get(url, headers | {"Range": "bytes=0-0"}, ANSWER_S):
                pass

        try:
            _within(ANSWER_S, first_byte)
        except TimeoutError:
            self.silence = f"no answer from {self.address} within {ANSWER_S:.0f} s"
            raise PlaceError(self.silence) from None
        except Exception as error:
            if getattr(error, "response", None) is None:
                self.silence = f"cannot reach {self.address}: {one_line(error)}"
                raise PlaceError(self.silence) from None
            raise


class HubPlace:
    """One repository of the hub."""

    def __init__(self, repository: HubRepository, host: HubHost) -> None:
        self._repository = repository
        self._host = host
        self.name = f"the hub repository {repository.name}"

    def fetch(self, missing: Sequence[Pin], store: Store, progress: Progress) -> None:
        """See Place.fetch."""
        largest = max(missing, key=lambda pin: pin.size)
        with self._reasons():
            self._host.reach(self._url(largest), self._headers())
        progress.message(f"fetching from {self.name}")
        parts = {pin: self._part(pin, store) for pin in missing}
        store.require_space(sum(pin.size - size_of(part) for pin, part in parts.items()))
        meter = Meter(progress, "download", sum(pin.size for pin in missing))
        each(missing, lambda pin: self._fetch(pin, parts[pin], store, meter))

    def _fetch(self, pin: Pin, part: Path, store: Store, meter: Meter) -> None:
        resumed = size_of(part)
        meter.add(resumed)
        try:
            self._download(pin, part, meter)
            store.adopt(pin, part)
        except FileError:
            part.unlink(missing_ok=True)
            if not resumed:
                raise
            meter.add(-pin.size)  # what was left from the last time may be to blame: once more from the start
            self._download(pin, part, meter)
            store.adopt(pin, part)

    def _download(self, pin: Pin, part: Path, meter: Meter) -> None:
        """Append what `part` lacks, going on after a broken connection."""
        failures = 0
        while (start := size_of(part)) < pin.size:
            try:
                with self._reasons():
                    self._append(pin, part, start, meter)
                error = PlaceError(f"the connection ended after {size_of(part):,} of {pin.size:,} bytes of {pin.path}")
            except FileError:
                raise
            except PlaceError as failure:
                error = failure
            failures = 0 if size_of(part) > start else failures + 1
            if failures >= _FAILURES:
                raise error
            if failures:
                time.sleep(failures)

    def _append(self, pin: Pin, part: Path, start: int, meter: Meter) -> None:
        headers = self._headers() | ({"Range": f"bytes={start}-"} if start else {})
        with _get(self._url(pin), headers, _STALL_S) as (status, blocks), open(part, "ab") as file:
            if start and status != 206:  # the server does not do ranges: it sends the whole file
                file.truncate(0)
                meter.add(-start)
                start = 0
            for block in blocks:
                start += len(block)
                if start > pin.size:
                    raise FileError(f"{pin.path} has more than {pin.size:,} bytes")
                file.write(block)
                meter.add(len(block))

    def _part(self, pin: Pin, store: Store) -> Path:
        folder = store.partial / self._repository.name.replace("/", "--")
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / pin.path.replace("/", "--")
        if size_of(part) > pin.size:
            part.unlink()
        return part

    def _url(self, pin: Pin) -> str:
        repository = self._repository
        return str(
            library().hf_hub_url(repository.name, pin.path, revision=repository.revision, endpoint=self._host.address)
        )

    def _headers(self) -> dict[str, str]:
        # An open repository refuses a stale token but serves everybody without one.
        token = None if self._repository.gated else False
        headers: dict[str, str] = library().utils.build_hf_headers(token=token, library_name="gemlet")
        return headers | {"Accept-Encoding": "identity"}

    @contextmanager
    def _reasons(self) -> Iterator[None]:
        with reasons(self._repository.name, self._host.address):
            yield


def library() -> ModuleType:
    """Import huggingface_hub; untyped, since the shape of what it returns differs between its versions."""
    try:
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise PlaceError(f"huggingface_hub cannot be imported: {one_line(error)}") from error
    return huggingface_hub


@contextmanager
def _get(url: str, headers: dict[str, str], timeout_s: float) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Send a GET and give the status and the body in blocks. Raises the hub's own errors for 4xx and 5xx."""
    utils = library().utils
    session = utils.get_session()
    if callable(getattr(session, "stream", None)):  # a flag in requests
        with session.stream("GET", url, headers=headers, timeout=timeout_s, follow_redirects=True) as response:
            utils.hf_raise_for_status(response)
            yield response.status_code, response.iter_bytes(_BLOCK)
    else:
        with session.get(url, headers=headers, timeout=timeout_s, stream=True) as response:
            utils.hf_raise_for_status(response)
            yield response.status_code, response.iter_content(_BLOCK)


@contextmanager
def reasons(repository: str, address: str) -> Iterator[None]:
    """Turn what the hub and its HTTP library raise into PlaceError with a reason that says what to do."""
    try:
        yield
    except PlaceError:
        raise
    except Exception as error:  # which HTTP library raises depends on the version
        if is_disk_full(error):
            raise
        errors = library().errors
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, errors.GatedRepoError):
            raise PlaceError(
                f"the model is gated: accept the terms at {address}/{repository}, "
                "then set HF_TOKEN or run `hf auth login`"
            ) from None
        if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403):
            raise PlaceError(
                f"the hub refuses (HTTP {status}): no such repository, or the token is not valid for it"
            ) from None
        if isinstance(error, errors.EntryNotFoundError):
            raise FileError(f"no such file in {repository}") from None
        raise PlaceError(f"HTTP {status}" if status else one_line(error)) from None


def _within(seconds: float, call: Callable[[], _T]) -> _T:
    """The result of `call`, or TimeoutError; a name look-up cannot be cut short in any other way."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="gemlet-reach")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]
