"""Qdrant: a server, or a folder that qdrant-client uses by itself.   (Items ↔ points)

There are no transactions: while a file is replaced a search may find it half new. What was interrupted is found by the
file's own point, which is written last, and is written again.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from gemlet.errors import InputError
from gemlet.index.fingerprint import check
from gemlet.scan import quantise
from gemlet.store import EVERYTHING, Filter, StoredFile, StoredPassage
from gemlet.store.filters import path_matcher
from gemlet.store.rows import Codes, Scales
from gemlet.stores.addresses import Address
from gemlet.stores.contract import Item, Writable, check_items, together
from gemlet.stores.points import (
    DENSE,
    FILE,
    KEYWORDS,
    PASSAGE,
    SETTINGS,
    WORDS,
    conditions,
    file_point,
    id_of,
    one_of,
    passage_points,
    settings_id,
    stored_file,
    stored_passage,
    uuid_of,
    words_of,
)
from gemlet.stores.qdrantserver import QdrantServer
from gemlet.vectors import FloatArray

_PAGE = 1000  # points read at a time
_SEEN = 400  # candidates of a search, at the least: Qdrant's hnsw_ef


class QdrantStore(Writable):
    """See contract.Writable. A folder is used by one process at a time; a server by any number."""

    def __init__(self, address: Address) -> None:
        """Raises MissingExtra; StoreError when another process uses the folder."""
        self._server = QdrantServer(address)
        self._models = self._server.models
        self.shown, self._name = address.shown, address.name

    def close(self) -> None:
        """See Writable."""
        self._server.close()

    # What is here

    def meta(self, key: str) -> Any:
        """See Writable."""
        with self._server.asked() as client:
            if not client.collection_exists(self._name):
                return None
            found = client.retrieve(self._name, [settings_id()], with_payload=True)
        return found[0].payload.get(key) if found else None

    def files(self, below: str | None = None) -> list[StoredFile]:
        """See Writable. All names are read."""
        inside = None if below is None else below.rstrip(os.sep) + os.sep
        found = map(stored_file, self._payloads([one_of(self._models, "what", [FILE])]))
        wanted = [f for f in found if inside is None or f.path == below or f.path.startswith(inside)]
        return sorted(wanted, key=lambda file: file.path)

    def counts(self) -> dict[str, int]:
        """See Writable."""
        return {"files": self._count(FILE), "passages": self._count(PASSAGE)}

    def size(self) -> int:
        """See Searched."""
        return self._count(PASSAGE)

    def nearest(
        self, vector: FloatArray, k: int, wanted: Filter = EVERYTHING, *, exact: bool = False
    ) -> list[tuple[int, float]]:
        """See Searched."""
        dim = self.meta("dim")
        if dim is not None and vector.shape != (dim,):
            raise InputError(f"the query has the shape {vector.shape}; {self.shown} holds vectors of {dim} numbers")
        how = self._models.SearchParams(exact=exact, hnsw_ef=max(_SEEN, 2 * k))
        return self._best(np.asarray(vector, np.float32).tolist(), DENSE, k, wanted, how)

    def keyword(self, query: str, k: int, wanted: Filter = EVERYTHING) -> list[tuple[int, float]]:
        """See Searched. Other forms of a word are not found, and a phrase counts as its words."""
        sought = words_of(self._models, query)
        return [] if sought is None or k < 1 else self._best(sought, WORDS, k, wanted, None)

    def passages(self, ids: Iterable[int]) -> list[StoredPassage]:
        """See Searched."""
        wanted = [int(i) for i in ids]
        payloads = {UUID(point.id).int: point.payload for point in self._points(wanted, True)}
        paths = self._paths(sorted({payload["document"] for payload in payloads.values()}))
        return [stored_passage(i, payloads[i], paths[payloads[i]["document"]]) for i in wanted if i in payloads]

    def passages_of(self, path: str | os.PathLike[str]) -> list[StoredPassage]:
        """See Searched. A row is found by its name, a file from any folder."""
        for name in dict.fromkeys((os.fspath(path), os.path.abspath(path))):
            if found := self._there([name]):
                return self.passages(id_of(name, ord_) for ord_ in range(found[name]))
        return []

    def vectors(self, ids: Sequence[int]) -> tuple[Scales, Codes]:
        """See Searched."""
        wanted = [int(i) for i in ids]
        found = self._points(wanted, False, [DENSE])
        vectors = {UUID(point.id).int: point.vector[DENSE] for point in found}
        codes, scales = quantise(np.array([vectors[i] for i in wanted], np.float32).reshape(len(wanted), -1))
        return scales, codes

    # Changes

    def prepare(self, made: dict[str, Any], model: str) -> None:
        """See Writable."""
        models = self._models
        if stored := self.meta("fingerprint"):
            check(self.shown, stored, made)
            return
        dense = models.VectorParams(size=made["dim"], distance=models.Distance.COSINE, datatype=models.Datatype.FLOAT16)
        words = models.SparseVectorParams(modifier=models.Modifier.IDF)
        settings = {"what": SETTINGS, "fingerprint": json.dumps(made), "dim": made["dim"], "model": model}
        with self._server.asked() as client:
            if not client.collection_exists(self._name):
                client.create_collection(
                    self._name, vectors_config={DENSE: dense}, sparse_vectors_config={WORDS: words}
                )
            if not self._server.local:  # a folder has no such indexes
                for key in KEYWORDS:
                    client.create_payload_index(self._name, key, models.PayloadSchemaType.KEYWORD)
                client.create_payload_index(self._name, "mtime", models.PayloadSchemaType.FLOAT)
                client.create_payload_index(self._name, "document", models.PayloadSchemaType.INTEGER)
            self._write(client, [models.PointStruct(id=settings_id(), vector={}, payload=settings)])

    def put(self, items: Iterable[Item]) -> None:
        """See Writable; but a file is not there whole at one moment, see above."""
        for batch in together(check_items(items, self.meta("dim") or 0, self.shown)):
            with self._server.asked() as client:
                self._put(client, batch)

    def remove(self, paths: Iterable[str]) -> int:
        """See Writable."""
        found = self._there(list(dict.fromkeys(paths)))
        gone = [id_of(path, ord_) for path, passages in found.items() for ord_ in range(passages)]
        with self._server.asked() as client:
            self._delete(client, gone)
            self._delete(client, [id_of(path, None) for path in found])
        return len(found)

    def finish(self) -> None:
        """See Writable. Qdrant builds its index by itself, in the background."""

    def drop(self) -> None:
        """See Writable."""
        with self._server.asked() as client:
            client.delete_collection(self._name)

    # Inside

    def _count(self, what: str) -> int:
        wanted = self._models.Filter(must=[one_of(self._models, "what", [what])])
        with self._server.asked() as client:
            return int(client.count(self._name, count_filter=wanted, exact=True).count)

    def _best(self, query: Any, using: str, k: int, wanted: Filter, how: Any) -> list[tuple[int, float]]:
        chosen = self._filter(wanted)
        with self._server.asked() as client:
            found = client.query_points(
                self._name, query=query, using=using, limit=k, query_filter=chosen, search_params=how,
                with_payload=False,
            ).points  # fmt: skip
        rows = [(UUID(point.id).int, float(point.score)) for point in found]
        return sorted(rows, key=lambda row: (-row[1], row[0]))

    def _filter(self, wanted: Filter) -> Any:
        """What passes. Qdrant knows no globs: for one all names are read, and those that match are asked for."""
        if wanted.is_open():
            return None
        found = conditions(self._models, wanted)
        if wanted.path_glob is not None:
            matches = path_matcher(wanted.path_glob)
            files = self._payloads([one_of(self._models, "what", [FILE]), *found], ["path"])
            names = [payload["path"] for payload in files]
            found.append(one_of(self._models, "path", [name for name in names if matches(os.fsencode(name))]))
        return self._models.Filter(must=found)

    def _payloads(self, must: list[Any], fields: list[str] | bool = True) -> Iterator[dict[str, Any]]:
        """Of all points that meet the conditions."""
        offset: Any = None
        while True:
            with self._server.asked() as client:
                points, offset = client.scroll(
                    self._name, scroll_filter=self._models.Filter(must=must), limit=_PAGE, offset=offset,
                    with_payload=fields,
                )  # fmt: skip
            yield from (point.payload for point in points)
            if offset is None:
                return

    def _paths(self, documents: list[int]) -> dict[int, tuple[str, ...]]:
        """The files that hold each document."""
        found: dict[int, tuple[str, ...]] = {}
        if documents:
            asked = [one_of(self._models, "document", documents), one_of(self._models, "ord", [0])]
            for payload in self._payloads(asked, ["document", "path"]):
                found[payload["document"]] = tuple(sorted((*found.get(payload["document"], ()), payload["path"])))
        return found

    def _there(self, paths: list[str]) -> dict[str, int]:
        """How many passages there may be of each of these files that is here."""
        found = self._points([id_of(path, None) for path in paths], ["path", "passages"])
        return {point.payload["path"]: point.payload["passages"] for point in found}

    def _points(self, ids: list[int], payload: bool | list[str], vectors: bool | list[str] = False) -> list[Any]:
        with self._server.asked() as client:
            names = [uuid_of(i) for i in ids]
            found: list[Any] = client.retrieve(self._name, names, with_payload=payload, with_vectors=vectors)
            return found

    def _put(self, client: Any, batch: list[Item]) -> None:
        models = self._models
        there = self._there([item.file.path for item in batch])
        most = {item.file.path: max(there.get(item.file.path, 0), len(item.passages)) for item in batch}
        self._write(client, [file_point(models, item.file, passages=most[item.file.path]) for item in batch])
        self._write(client, [point for item in batch for point in passage_points(models, item)])
        old = [id_of(item.file.path, o) for item in batch for o in range(len(item.passages), most[item.file.path])]
        self._delete(client, old)
        self._write(client, [file_point(models, item.file) for item in batch])

    def _write(self, client: Any, points: list[Any]) -> None:
        if points:
            client.upsert(self._name, points, wait=True)

    def _delete(self, client: Any, ids: list[int]) -> None:
        for begin in range(0, len(ids), _PAGE):
            some = [uuid_of(i) for i in ids[begin : begin + _PAGE]]
            client.delete(self._name, self._models.PointIdsList(points=some), wait=True)
