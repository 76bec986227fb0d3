"""What `cluster` and `map` share: rows that can be told apart, and their vectors."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gemlet.cli.options import load, read_rows
from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.dataset import Dataset


def read_texts(
    files: Sequence[str], text_column: str | None, skip_empty: bool, what: str
) -> tuple["Dataset", list[str]]:
    """The rows and their texts. Raises InputError for less than two; `what` needs them."""
    data = read_rows(files, text_column, skip_empty)
    if len(data) < 2:
        rows = "is 1 row" if len(data) else "are no rows"
        raise InputError(f"{', '.join(files)}: there {rows}, {what} needs 2 or more")
    texts = data.texts(text_column)
    if len(set(texts)) == 1:
        raise InputError(f"all {len(data)} rows have the same text: there is nothing to tell apart")
    return data, texts


def embed(texts: list[str], dim: str | None, model: dict[str, Any]) -> Any:
    """Unit vectors [n, dim] float32, with the prompt for clustering, of --model and its options."""
    return load(**model).encode(
        texts,
        prompt_name="Clustering",
        truncate_dim=int(dim) if dim else None,
        show_progress_bar=len(texts) > 1 and sys.stderr.isatty(),
    )
