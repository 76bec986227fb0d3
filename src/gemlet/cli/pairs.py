"""`gemlet pairs`: the most similar rows of a file, or for each row of one its match in another."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gemlet.cli.finding import echo
from gemlet.cli.options import dataset_options, dim_option, load, model_options
from gemlet.cli.pairing import PROMPT, bar, line_of, nothing, rows_with_texts

if TYPE_CHECKING:
    from gemlet.dataset import Dataset
    from gemlet.pairs import Coded

EPILOG = """\b
Examples:
  gemlet pairs questions.csv -k 50                  the 50 most similar pairs
  gemlet pairs questions.csv --threshold 0.8 -o pairs.csv
  gemlet pairs orders.csv catalogue.csv --text name  each row's match in the other
  gemlet pairs english.txt german.txt --bitext      translations, surest first
\b
Exit codes: 0 there are pairs, 4 there are none, 1 and 2 for errors.
"""

FIRST = 20  # pairs of one file, unless -k says otherwise


class Pair(NamedTuple):
    """Two rows, by their numbers, and how sure they are one."""

    left: int
    right: int
    cosine: float
    margin: float | None = None


@click.command(epilog=EPILOG)
@click.argument("file")
@click.argument("other", required=False)
@click.option(
    "-k", "--limit", type=click.IntRange(1),
    help="Pairs at most of one file [default: 20]; of two, matches of each row [default: 1].",
)  # fmt: skip
@click.option("--threshold", type=click.FloatRange(-1, 1), help="Only pairs with at least this cosine.")
@click.option("--bitext", is_flag=True, help="The files are two languages: pair what is translated, by margin.")
@click.option("--margin", type=float, help="Of --bitext: how much nearer than others a pair is.  [default: 1.06]")
@click.option("-o", "--output", help="Write the pairs: .csv, .tsv, .json, .jsonl, .parquet, or - for JSON lines.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@dataset_options
@dim_option
@model_options
def command(
    file: str,
    other: str | None,
    limit: int | None,
    threshold: float | None,
    bitext: bool,
    margin: float | None,
    output: str | None,
    as_json: bool,
    text_column: str | None,
    skip_empty: bool,
    dim: str | None,
    **model: Any,
) -> None:
    """Find the most similar pairs of rows of FILE, or the rows of OTHER that match FILE's."""
    if bitext and other is None:
        raise click.UsageError("--bitext pairs the rows of two files: name the second")
    if margin is not None and not bitext:
        raise click.UsageError("--margin goes with --bitext; --threshold is a cosine")
    if bitext and limit is not None:
        raise click.UsageError("--bitext pairs each row once: leave -k out")
    left = rows_with_texts((file,), text_column, skip_empty)
    right = left if other is None else rows_with_texts((other,), text_column, skip_empty)
    embedder = load(**model)
    prompt, width = "BitextMining" if bitext else PROMPT, int(dim) if dim else None
    coded = [_coded(embedder, texts, prompt, width) for _, texts in ((left,) if other is None else (left, right))]
    found = [
        pair
        for pair in _pairs(coded, limit, margin if bitext else None, bitext, threshold, model["threads"])
        if threshold is None or pair.cosine >= threshold
    ]
    if not found:
        alone = other is None and len(left[1]) == 1
        nothing(f"{file} has one row: nothing to compare it with" if alone else "no two rows are so similar")
    rows = [_row(pair, left, right) for pair in found]
    if output:
        _write(output, rows)
    if as_json:
        echo(json.dumps(rows, ensure_ascii=False), errors="backslashreplace")
    elif not output:
        for pair in found:
            line_of(pair.cosine if pair.margin is None else pair.margin, left[0].places[pair.left], left[1][pair.left])
            line_of(None, right[0].places[pair.right], right[1][pair.right])


def _coded(embedder: Any, texts: list[str], prompt: str, dim: int | None) -> "Coded":
    from gemlet.pairs import code_texts

    with bar("embedding", "text") as embedding:
        return code_texts(embedder, texts, prompt_name=prompt, truncate_dim=dim, progress=embedding)


def _pairs(
    coded: "list[Coded]",
    limit: int | None,
    margin: float | None,
    bitext: bool,
    threshold: float | None,
    threads: int | None,
) -> Iterator[Pair]:
    from gemlet.pairs import mine_bitext, nearest, similar_pairs
    from gemlet.pairs.bitext import MARGIN

    with bar("comparing", "row") as comparing:
        if bitext:
            least = MARGIN if margin is None else margin
            mined = mine_bitext(coded[0], coded[1], margin=least, threads=threads, progress=comparing)
            yield from map(Pair, *(part.tolist() for part in (mined.left, mined.right, mined.score, mined.margin)))
        elif len(coded) == 1:
            floor = -1 if threshold is None else threshold
            best = similar_pairs(coded[0], limit or FIRST, threshold=floor, threads=threads, progress=comparing)
            yield from map(Pair, *(part.tolist() for part in (best.left, best.right, best.score)))
        else:
            found = nearest(coded[0], coded[1], limit or 1, threads=threads, progress=comparing)
            for row, (others, scores) in enumerate(zip(found.rows.tolist(), found.score.tolist(), strict=True)):
                yield from (Pair(row, to, score) for to, score in zip(others, scores, strict=True) if to >= 0)


def _row(pair: Pair, left: "tuple[Dataset, list[str]]", right: "tuple[Dataset, list[str]]") -> dict[str, Any]:
    margin = {} if pair.margin is None else {"margin": round(pair.margin, 4)}
    return {
        "cosine": round(pair.cosine, 4),
        **margin,
        "left_place": left[0].places[pair.left],
        "left_text": left[1][pair.left],
        "right_place": right[0].places[pair.right],
        "right_text": right[1][pair.right],
    }


def _write(output: str, rows: list[dict[str, Any]]) -> None:
    from gemlet.dataset import open_rows

    with open_rows(output, list(rows[0])) as writer:
        for row in rows:
            writer.write(row)
