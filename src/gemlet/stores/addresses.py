"""URLs of stores.   (URL → Address)"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from gemlet.errors import InputError

Kind = Literal["sqlite", "postgresql", "qdrant", "qdrant+local"]

FIRST = ("halfvec", "bit")
"""What an index of pgvector is of: vectors in 16 bits, or their signs, after which the vectors are compared."""

MEMORY = ":memory:"
"""Instead of a folder: in this process alone, and gone with it."""

FORMS = "FILE.db, postgresql://USER@HOST/DATABASE?schema=NAME, qdrant://HOST:6333/COLLECTION or qdrant+local:FOLDER"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,48}")
_COLLECTION = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_OWN = ("schema", "index")


@dataclass(frozen=True)
class Address:
    """Where a store is.

    where   the file or folder; the URL that the database's own package takes
    shown   what may be told of it
    name    schema or collection
    first   of pgvector: one of FIRST
    secret  password or key in the URL, which no message may hold
    """

    kind: Kind
    where: str
    shown: str
    name: str = "gemlet"
    first: str = "halfvec"
    secret: str = field(default="", repr=False)

    def clean(self, text: str) -> str:
        """A message of the database without the secret in it, on one line."""
        line = " ".join(str(text).split())
        for secret in {self.secret, unquote(self.secret), quote(self.secret, safe="")} - {""}:
            line = line.replace(secret, "***")
        return line


def address_of(url: str | os.PathLike[str]) -> Address:
    """Read a URL. Raises InputError for what is none of a store; the message holds no password."""
    text = os.fspath(url)
    scheme = _SCHEME.match(text)
    kind = scheme[0][:-1].lower() if scheme else "sqlite"
    if kind in ("postgresql", "postgres"):
        return _postgresql(text)
    if kind in ("qdrant", "qdrant+https"):
        return _qdrant(text, secure=kind.endswith("https"))
    if kind == "qdrant+local":
        return _folder(text.partition(":")[2])
    if kind != "sqlite" and not Path(text).exists():
        raise InputError(f"{kind}: is no kind of store: write {FORMS}")
    path = str(Path(text.removeprefix("sqlite:")).expanduser().absolute())
    return Address("sqlite", path, path)


def _postgresql(text: str) -> Address:
    try:
        parts = urlsplit(text)
        _ = parts.port
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise InputError(f"the URL cannot be read: write {FORMS}, with %40 for an @ in a password") from None
    schema, first = query.get("schema", "gemlet"), query.get("index", "halfvec")
    if not _NAME.fullmatch(schema) or schema.lower().startswith("pg_"):
        raise InputError(f"schema {schema[:60]!r} is no name: take letters, digits and _, at most 49, no digit first")
    if first not in FIRST:
        raise InputError(f"index is {first[:20]!r}: take {' or '.join(FIRST)}")
    rest = {key: value for key, value in query.items() if key not in _OWN}
    secret = _password(parts.netloc) or rest.get("password", "")
    told = urlencode({key: value for key, value in query.items() if key != "password"}, safe="/")
    netloc = parts.netloc.rpartition("@")[2]
    if "@" in parts.netloc:
        netloc = f"{parts.netloc.rpartition('@')[0].partition(':')[0]}@{netloc}"
    where = f"postgresql://{parts.netloc}{parts.path}{'?' + urlencode(rest) if rest else ''}"
    shown = f"postgresql://{netloc}{parts.path}{'?' + told if told else ''}"
    return Address("postgresql", where, shown, schema, first, unquote(secret))


def _qdrant(text: str, *, secure: bool) -> Address:
    try:
        parts = urlsplit(text)
        port = parts.port or 6333
    except ValueError:
        raise InputError(f"the URL cannot be read: write {FORMS}") from None
    if not parts.hostname or parts.query or parts.fragment:
        raise InputError(f"the URL of a Qdrant server has a host and a collection, no more: write {FORMS}")
    name = unquote(parts.path.strip("/")) or "gemlet"
    _check_collection(name)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    scheme = "qdrant+https" if secure else "qdrant"
    secret = unquote(_password(parts.netloc) or (parts.netloc.rpartition("@")[0].partition(":")[0]))
    where = f"{'https' if secure else 'http'}://{host}:{port}"
    return Address("qdrant", where, f"{scheme}://{host}:{port}/{name}", name, secret=secret)


def _folder(text: str) -> Address:
    path, _, query = text.removeprefix("//").partition("?")
    options = dict(parse_qsl(query))
    name = options.pop("collection", "gemlet")
    _check_collection(name)
    if not path or options:
        raise InputError("name a folder: qdrant+local:FOLDER, or qdrant+local:FOLDER?collection=NAME")
    where = path if path == MEMORY else str(Path(unquote(path)).expanduser().absolute())
    rest = "" if name == "gemlet" else f"?collection={name}"
    return Address("qdrant+local", where, f"qdrant+local:{where}{rest}", name)


def _check_collection(name: str) -> None:
    if not _COLLECTION.fullmatch(name):
        raise InputError(f"collection {name[:60]!r} is no name: take letters, digits, _, - and .")


def _password(netloc: str) -> str:
    return netloc.rpartition("@")[0].partition(":")[2]
