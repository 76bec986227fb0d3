"""`gemlet recommend`: rows that are like some examples, and not like others."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.finding import echo
from gemlet.cli.options import dataset_options, dim_option, load, model_options
from gemlet.cli.pairing import PROMPT, bar, line_of, nothing, rows_with_texts
from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.dataset import Dataset

EPILOG = """\b
Examples:
  gemlet recommend films.csv --like films.csv:12 --like films.csv:40
  gemlet recommend films.csv --like "a quiet story by the sea" --unlike "war"
  gemlet recommend papers.jsonl --text abstract --like 7 -k 5 --json
\b
An example is a row, as FILE:LINE or by its number (the first is 1), or a text.
A row's score is its cosine with the middle of what is liked, less --weight times
its cosine with the middle of what is not.
"""


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True)
@click.option("--like", "likes", multiple=True, required=True, metavar="ROW|TEXT", help="An example; may be repeated.")
@click.option("--unlike", "dislikes", multiple=True, metavar="ROW|TEXT", help="What it must not be like.")
@click.option("-k", "--limit", default=10, show_default=True, type=click.IntRange(1), help="Rows at most.")
@click.option("--weight", default=0.5, show_default=True, type=click.FloatRange(0), help="Of --unlike.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@dataset_options
@dim_option
@model_options
def command(
    files: tuple[str, ...],
    likes: tuple[str, ...],
    dislikes: tuple[str, ...],
    limit: int,
    weight: float,
    as_json: bool,
    text_column: str | None,
    skip_empty: bool,
    dim: str | None,
    **model: Any,
) -> None:
    """Rank the rows of FILES by what they are like; the examples themselves are left out."""
    data, texts = rows_with_texts(files, text_column, skip_empty)
    liked, disliked = _examples(data, texts, likes), _examples(data, texts, dislikes)
    from gemlet.pairs import code_texts, recommend

    embedder = load(**model)
    with bar("embedding", "text") as embedding:
        coded = code_texts(
            embedder, [*texts, *(text for _, text in liked + disliked)], prompt_name=PROMPT,
            truncate_dim=int(dim) if dim else None, progress=embedding,
        )  # fmt: skip
    rows, first = slice(0, len(texts)), len(texts) + len(liked)
    found = recommend(
        coded.take(rows),
        coded.take(slice(len(texts), first)),
        coded.take(slice(first, len(coded))),
        k=limit,
        weight=weight,
        without=[row for row, _ in liked + disliked if row is not None],
    )
    if not len(found.rows):
        nothing("no row is left beside the examples")
    if as_json:
        columns = (part.tolist() for part in (found.rows, found.score, found.like, found.unlike))
        told = [
            {"row": row, "place": data.places[row], "text": texts[row]}
            | {"score": round(score, 4), "like": round(like, 4), "unlike": round(unlike, 4)}
            for row, score, like, unlike in zip(*columns, strict=True)
        ]
        echo(json.dumps(told, ensure_ascii=False), errors="backslashreplace")
        return
    for row, score in zip(found.rows.tolist(), found.score.tolist(), strict=True):
        line_of(score, data.places[row], texts[row])


def _examples(data: "Dataset", texts: list[str], named: Sequence[str]) -> list[tuple[int | None, str]]:
    """(row, or None for a text of the caller's; its text) of each. Raises InputError for a row that is not there."""
    numbers = {place: row for row, place in reversed(list(enumerate(data.places)))}
    files = {place.rpartition(":")[0] for place in data.places}
    found: list[tuple[int | None, str]] = []
    for name in named:
        row = numbers.get(name)
        if name.isascii() and name.isdigit():
            row = int(name) - 1
            if not 0 <= row < len(texts):
                raise InputError(f"there is no row {name}: the rows have the numbers 1 to {len(texts)}")
        file, _, line = name.rpartition(":")
        if row is None and file in files and line.isdecimal():
            raise InputError(f"there is no row {name}: the line is blank, a header, or not there")
        if not name.strip():
            raise InputError("an example is empty: name a row, or say what it is like")
        found.append((row, name if row is None else texts[row]))
    return found
