"""A Qdrant server, or a folder that its client uses by itself; what its errors mean.   (Address → client)"""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gemlet.errors import MissingExtra, StoreError, StoreNotFound
from gemlet.stores.addresses import MEMORY, Address

_TIMEOUT_S = 60
_KEPT = "what was complete is in it, and the same command goes on from there"


class QdrantServer:
    """One client; threads take turns.

    models  the client's own classes
    local   whether it is a folder
    """

    def __init__(self, address: Address) -> None:
        """Raises MissingExtra; StoreError when another process uses the folder."""
        try:
            from qdrant_client import QdrantClient, models
        except ImportError:
            raise MissingExtra("qdrant", "Qdrant") from None
        self.models, self.local = models, address.kind == "qdrant+local"
        self._address, self._lock = address, threading.RLock()
        where: dict[str, Any] = {"path": address.where}
        if address.where == MEMORY:
            where = {"location": MEMORY}
        elif not self.local:
            key = address.secret or os.environ.get("QDRANT_API_KEY")
            where = {"url": address.where, "api_key": key, "timeout": _TIMEOUT_S, "check_compatibility": False}
        with self._guarded():
            self._client = QdrantClient(**where)

    def close(self) -> None:
        """Close connection or folder."""
        with self._lock:
            self._client.close()

    @contextmanager
    def asked(self) -> Iterator[Any]:
        """The client, its errors as gemlet's."""
        with self._guarded():
            yield self._client

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Errors of the client become gemlet's, and its advice to the programmer nobody's."""
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        shown = self._address.shown
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                yield
            except UnexpectedResponse as error:
                raise self._refused(error) from None
            except ResponseHandlingException as error:
                reason = self._address.clean(str(error))
                told = f"cannot reach {shown} ({reason}): is the server running, and the port right? {_KEPT}"
                raise StoreError(told) from None
            except (RuntimeError, ValueError) as error:  # of a folder
                raise self._told(error) from None

    def _refused(self, error: Any) -> StoreError:
        """What a server's answer means."""
        if error.status_code == 404:
            return self._missing()
        if error.status_code in (401, 403):
            return StoreError(f"{self._address.shown} refuses the key: set QDRANT_API_KEY to the right one")
        content = self._address.clean(error.content.decode("utf-8", "replace"))[:300]
        return StoreError(f"{self._address.shown} refused ({error.status_code}): {content}")

    def _told(self, error: Exception) -> StoreError:
        """What an error of the folder means."""
        shown, reason = self._address.shown, self._address.clean(str(error))
        if "already accessed" in reason:
            return StoreError(f"another process uses {shown}: wait for it, or run a Qdrant server for several")
        return self._missing() if "not found" in reason else StoreError(f"{shown}: {reason}")

    def _missing(self) -> StoreNotFound:
        shown = self._address.shown
        return StoreNotFound(shown, f"make it with `gemlet index FOLDER --store '{shown}'`")
