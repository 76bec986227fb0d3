"""One SQLite file is the index: files, documents, passages, vectors, words.   (documents ↔ rows)

schema.py    the tables; opening, and what SQLite's errors mean
words.py     what FTS5 is given, so that it finds words in scripts that write no spaces
filters.py   Filter: which passages a search may return
rows.py      what goes in and comes out
searched.py  the six methods that a search asks of a store, this one or a database
opened.py    one open file: statements, snapshots, checks
store.py     Store: what a search reads
writer.py    StoreWriter: what indexing changes
"""

from gemlet.store.filters import EVERYTHING, Filter
from gemlet.store.rows import Entry, Root, StoredFile, StoredPassage
from gemlet.store.searched import Searched
from gemlet.store.store import Store
from gemlet.store.writer import StoreWriter, is_below

__all__ = [
    "EVERYTHING",
    "Entry",
    "Filter",
    "Root",
    "Searched",
    "Store",
    "StoreWriter",
    "StoredFile",
    "StoredPassage",
    "is_below",
]
