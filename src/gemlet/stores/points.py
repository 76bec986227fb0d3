"""What lies in Qdrant: points, and filters over them.   (Items → points; Filter → filter)

One point holds the settings, one each file, one each passage. A passage's has the vector "dense" and the sparse vector
"words", whose numbers are BM25's without the rarity of a word, which Qdrant knows and adds (its modifier `idf`).
"""

from dataclasses import asdict
from hashlib import blake2b
from typing import Any
from uuid import UUID

from gemlet.errors import InputError
from gemlet.store import Filter, StoredFile, StoredPassage
from gemlet.stores.contract import Item, digest_of
from gemlet.stores.terms import terms_of, tokens, weights

SETTINGS, FILE, PASSAGE = "settings", "file", "passage"
DENSE, WORDS = "dense", "words"

KEYWORDS = ("what", "path", "kind", "language")
"""Fields of a payload that filters ask for."""


def id_of(path: str, ord_: int | None) -> int:
    """Of a passage's point, or of the file's own (None): the same whoever writes it, and whenever; 128 bits."""
    return int.from_bytes(blake2b(f"{ord_}\0{path}".encode(), digest_size=16).digest(), "big")


def uuid_of(number: int) -> str:
    """An id as Qdrant takes it."""
    return str(UUID(int=number))


def settings_id() -> str:
    """Of the point that holds what the collection was made with."""
    return uuid_of(id_of("", -1))


def file_point(models: Any, file: StoredFile, *, passages: int | None = None) -> Any:
    """passages: as many may be there of it while it is written; None: it is there whole."""
    writing = {} if passages is None else {"passages": passages, "mtime": -1.0}
    return models.PointStruct(
        id=uuid_of(id_of(file.path, None)), vector={}, payload={"what": FILE, **asdict(file), **writing}
    )


def passage_points(models: Any, item: Item) -> list[Any]:
    """Of each passage, in their order."""
    file, document, points = item.file, digest_of(item), []
    for ord_, (passage, vector) in enumerate(zip(item.passages, item.vectors.tolist(), strict=True)):
        numbers, values = weights(tokens(f"{passage.title or ''}\n{passage.text}"))
        payload = {
            "what": PASSAGE, "path": file.path, "kind": file.kind, "language": file.language, "mtime": file.mtime,
            "document": document, "ord": ord_, **asdict(passage),
        }  # fmt: skip
        vectors = {DENSE: vector, WORDS: models.SparseVector(indices=numbers, values=values)}
        points.append(models.PointStruct(id=uuid_of(id_of(file.path, ord_)), vector=vectors, payload=payload))
    return points


def stored_file(payload: dict[str, Any]) -> StoredFile:
    """The file of a point."""
    return StoredFile(**{name: payload[name] for name in StoredFile.__dataclass_fields__})


def stored_passage(number: int, payload: dict[str, Any], paths: tuple[str, ...]) -> StoredPassage:
    """The passage of a point. paths: of all files that hold the same."""
    names = ("ord", "title", "text", "first_line", "last_line", "page", "kind", "language")
    fields: list[Any] = [number, payload["document"], *(payload[name] for name in names), paths]
    return StoredPassage(*fields)


def words_of(models: Any, query: str) -> Any:
    """The sparse vector of a query; None when there is no word in it. Its phrases count as their words."""
    terms, _ = terms_of(query)
    numbers, _ = weights(list(dict.fromkeys(part for term in terms for part in term.parts)))
    return models.SparseVector(indices=numbers, values=[1.0] * len(numbers)) if numbers else None


def conditions(models: Any, wanted: Filter) -> list[Any]:
    """All of a Filter but its glob."""
    if wanted.names is not None:
        raise InputError("a store in a database has no names for files: leave `names` out")
    found = []
    for key, allowed in (("kind", wanted.kinds), ("language", wanted.languages)):
        if allowed:
            found.append(one_of(models, key, list(allowed)))
    if wanted.after is not None or wanted.before is not None:
        span = models.Range(gte=wanted.after, lt=wanted.before)
        found.append(models.FieldCondition(key="mtime", range=span))
    return found


def one_of(models: Any, key: str, values: list[Any]) -> Any:
    """The condition that a field has one of these values."""
    return models.FieldCondition(key=key, match=models.MatchAny(any=values))
