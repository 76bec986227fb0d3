"""Passages in a database, to be searched like the embedded index.   (index, rows ↔ database)

contract.py   Item: what goes in; Writable: the seam that each database is behind
addresses.py  URLs, and what may be shown of them
terms.py      texts and queries → words, for databases that have no FTS5
sqlite.py     the embedded index behind the same seam
pgvector.py   PostgreSQL with pgvector; pgserver.py: the connection; pgtables.py: SQL; pgwords.py: its search by words
qdrant.py     Qdrant; qdrantserver.py: a server or a folder; points.py: what is sent there
opened.py     StoreIndex: what a search takes
publish.py    an index → a database, what differs alone

A database's package is imported when a URL names it.
"""

import os

from gemlet.stores.addresses import Address, address_of
from gemlet.stores.contract import Item, Writable

__all__ = ["Address", "Item", "Writable", "address_of", "open"]


def open(url: str | os.PathLike[str]) -> Writable:
    """Open the store that a URL names, to read and to write; nothing is made before its prepare().

    url  the path of an SQLite file; postgresql://USER@HOST/DATABASE?schema=NAME; qdrant://HOST:6333/COLLECTION;
         qdrant+local:FOLDER

    Raises InputError for another URL, MissingExtra, StoreError when the database does not answer.
    """
    address = address_of(url)
    if address.kind == "postgresql":
        from gemlet.stores.pgvector import PgStore

        return PgStore(address)
    if address.kind == "sqlite":
        from gemlet.stores.sqlite import SqliteStore

        return SqliteStore(address)
    from gemlet.stores.qdrant import QdrantStore

    return QdrantStore(address)
