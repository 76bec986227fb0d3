"""A store as a search takes it, with the model that its vectors are from.   (URL, model → Searchable)"""

import json
import os
import threading
from types import TracebackType
from typing import Any, Self

from gemlet.embedder import DEFAULT_MODEL, Embedder, Quantization
from gemlet.index.fingerprint import check, fingerprint, model_digest
from gemlet.stores.addresses import address_of
from gemlet.stores.contract import Writable


class StoreIndex:
    """What gemlet.search() and ask() take for a store. Store and model are opened when they are first asked for."""

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        model: str | os.PathLike[str] | Embedder | None = None,
        quantization: Quantization | None = None,
        threads: int | None = None,
        offline: bool = False,
    ) -> None:
        """Name a store, as open() does, and a model, as Embedder takes it; None: the one that its vectors are from.

        Raises InputError for a URL that is none.
        """
        self.address = address_of(url)
        self._url, self._model = url, model
        self._options: dict[str, Any] = {"quantization": quantization, "threads": threads, "offline": offline}
        self._store: Writable | None = None
        self._embedder: Embedder | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            if self._store is not None:
                self._store.close()
            self._store = None

    @property
    def store(self) -> Writable:
        """The store. Raises MissingExtra, StoreError."""
        from gemlet import stores

        with self._lock:
            if self._store is None:
                self._store = stores.open(self._url)
            return self._store

    @property
    def embedder(self) -> Embedder:
        """The model that the vectors are from, loaded once. Raises StoreMismatch for another, ModelError."""
        with self._lock:
            if self._embedder is None:
                found = self._model if self._model is not None else self.store.meta("model") or DEFAULT_MODEL
                embedder = found if isinstance(found, Embedder) else Embedder(found, **self._options)
                asked = fingerprint(model_digest(embedder.checkpoint, None)[0], embedder.quantization, self.dim)
                del asked["chunker"]  # a query is not cut
                check(self.address.shown, self.store.meta("fingerprint") or json.dumps(asked), asked)
                self._embedder = embedder
            return self._embedder

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return int(self.store.meta("dim") or 0)

    def release(self) -> None:
        """Let go of the model, unless it is the caller's."""
        if not isinstance(self._model, Embedder):
            self._embedder = None

    def status(self) -> dict[str, Any]:
        """What the store holds, and what its vectors were made with: in JSON's types. Raises StoreNotFound."""
        made = json.loads(self.store.meta("fingerprint") or "{}")
        return {
            "path": self.address.shown,
            **self.store.counts(),
            "roots": [],
            "model": self.store.meta("model"),
            **{key: made.get(key) for key in ("quantization", "dim", "chunker")},
            "digest": made.get("model"),
        }

    def problems(self) -> list[tuple[str, str]]:
        """A store holds no files that could not be read."""
        return []
