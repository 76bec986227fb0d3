"""`gemlet clean`: rows → those that are worth training on, and why each other one goes."""

import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.finding import NOTHING, echo
from gemlet.cli.options import load, model_options, read_rows
from gemlet.cli.pairing import bar
from gemlet.errors import InputError
from gemlet.pairs import LEVELS, threshold_for

if TYPE_CHECKING:
    from gemlet.curate import Cleaned, Gone, Plan
    from gemlet.dataset import Dataset, Rows

EPILOG = """\b
Examples:
  gemlet clean rows.jsonl                                 show what would go, and why
  gemlet clean rows.jsonl -o clean.jsonl --dropped gone.jsonl
  gemlet clean rows.csv -o clean.csv --against test.csv --near duplicate
  gemlet clean rows.csv -o clean.csv --personal mask --country DE --country FR
  gemlet clean pages.jsonl --language en --min-words 5 --max-words 400
\b
A row goes when one of its texts is empty, mostly symbols, too short or long, or
says the same lines over; when it is in another --language or has --personal data;
when it is in an evaluation set (--against: the same words, or 13 words in a row);
when another row says the same. --near compares vectors, too.
Nothing is ever written to the files that are read.
Exit codes: 0 rows stay, 4 none does, 1 and 2 for errors, 3 for a missing extra.
"""


TOLD = ("place", "reason", "column", "detail", "other")
"""Columns of --dropped, before the row's own."""


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="ROWS...")
@click.option("-o", "--output", metavar="FILE", help="Write the rows that stay: .csv, .tsv, .json, .jsonl, .parquet.")
@click.option("--dropped", metavar="FILE", help="Write the rows that go, each with the reason.")
@click.option(
    "--text", "columns", multiple=True, metavar="COLUMN", help="A column that is a text; may be repeated.  [default: "
    "by their names: anchor, positive, negative, text, ...]",
)  # fmt: skip
@click.option(
    "--against",
    multiple=True,
    metavar="EVALSET",
    help="Not what is in here, in the columns of --text or by their names.",
)
@click.option(
    "--run", default=13, show_default=True, type=click.IntRange(2), help="Words in a row that are no accident."
)
@click.option("--near", metavar="LEVEL|COSINE", help=f"Compare vectors: {', '.join(LEVELS)}, or a cosine such as 0.9.")
@click.option("--min-words", default=1, show_default=True, type=click.IntRange(0), help="Of each text.")
@click.option("--max-words", type=click.IntRange(1), help="Of each text.")
@click.option("--repeated", type=click.FloatRange(0, 1), help="Most of its lines that repeat another.  [default: 0.3]")
@click.option("--symbols", type=click.FloatRange(0, 1), help="Most of it that is no letter or digit.  [default: 0.6]")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="en, de, ...; may be repeated.")
@click.option(
    "--personal", type=click.Choice(["keep", "drop", "mask"]), default="keep", show_default=True,
    help="What happens to mail addresses, telephone, card, account and identity numbers.",
)  # fmt: skip
@click.option(
    "--country", "countries", multiple=True, metavar="CODE", help="Of --personal: DE, US, ...; whose numbers."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@model_options
def command(
    files: tuple[str, ...],
    output: str | None,
    dropped: str | None,
    columns: tuple[str, ...],
    against: tuple[str, ...],
    near: str | None,
    as_json: bool,
    model: str,
    quantization: Any,
    threads: int | None,
    offline: bool,
    **how: Any,
) -> None:
    """Take out of ROWS what should not be trained on. Without -o it only shows what that is."""
    if [output, dropped].count("-") + as_json > 1:
        raise click.UsageError("only one result can go to stdout: name a file for the other")
    plan = _plan(near, **how)
    from gemlet.curate import clean, row_texts, text_columns
    from gemlet.dataset import open_rows

    data = read_rows(files, None, False)
    names = text_columns(data, columns)
    known = _evaluation_texts(against, columns)
    with contextlib.ExitStack() as stack:  # what cannot be written is said before there is anything to lose
        kept = stack.enter_context(open_rows(output, data.columns)) if output else None
        others = [name for name in data.columns if name not in TOLD]
        gone = stack.enter_context(open_rows(dropped, [*TOLD, *others])) if dropped else None
        embedder = load(model, quantization, threads, offline) if plan.near is not None else None
        with bar("reading", "row") as reading, bar("embedding", "text") as embedding:
            found = clean(
                row_texts(data, names), plan, [text for text, _ in known], embedder=embedder, threads=threads,
                reading=reading, embedding=embedding,
            )  # fmt: skip
        told = [_told(one, data, names, known) for one in found.gone]
        if kept:
            _write_kept(kept, data, names, found)
        if gone:
            for one, reasons in zip(found.gone, told, strict=True):
                gone.write(data.rows[one.row] | {name: reasons.get(name) for name in TOLD})
    if as_json:
        _print_json(data, names, found, told)
    elif "-" not in (output, dropped):
        _print(found)
    wrote = f"; wrote {output}" if output else "; nothing was written (-o FILE writes the rows that stay)"
    click.echo(f"gemlet: {len(found.kept)} of {len(data)} rows stay, {len(found.gone)} go{wrote}", err=True)
    if not found.kept:
        sys.exit(NOTHING)


def _plan(
    near: str | None,
    *,
    min_words: int,
    max_words: int | None,
    repeated: float | None,
    symbols: float | None,
    personal: Any,
    countries: Sequence[str],
    **rest: Any,
) -> "Plan":
    from gemlet.curate import Plan, Quality

    if countries and personal == "keep":
        raise click.UsageError("--country says whose numbers are personal data: add --personal drop or mask")
    quality = Quality(min_words, max_words)
    given: dict[str, Any] = {
        name: value for name, value in (("repeated", repeated), ("symbols", symbols)) if value is not None
    }
    return Plan(quality=replace(quality, **given), personal=personal, countries=countries, near=_cosine(near), **rest)


def _cosine(near: str | None) -> float | None:
    if near is None:
        return None
    level = next((one for one in LEVELS if one == near), None)
    if level:
        return threshold_for(level)
    try:
        return float(near)
    except ValueError:
        raise InputError(f"--near {near!r} is neither a cosine nor one of: {', '.join(LEVELS)}") from None


def _evaluation_texts(paths: Sequence[str], columns: Sequence[str]) -> list[tuple[str, str]]:
    """(text, place) of every text of the evaluation sets: in the named columns that one has, or those it is told by."""
    from gemlet.curate import row_texts, text_columns

    found = []
    for path in paths:
        data = read_rows((path,), None, False)
        try:
            names = text_columns(data, [name for name in columns if name in data.columns])
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        for texts, place in zip(row_texts(data, names), data.places, strict=True):
            found += [(text, place) for text in texts if text and text.strip()]
    return found


def _told(one: "Gone", data: "Dataset", names: list[str], known: list[tuple[str, str]]) -> dict[str, Any]:
    """What is said of a row that goes; "column" and "other" only where there is one."""
    other = data.places[one.row_of] if one.row_of is not None else None
    other = known[one.text_of][1] if one.text_of is not None else other
    column = {} if one.column is None else {"column": names[one.column]}
    where = {"place": data.places[one.row], "reason": one.reason} | column
    return where | ({"detail": one.detail} if one.detail else {}) | ({"other": other} if other else {})


def _write_kept(rows: "Rows", data: "Dataset", names: list[str], found: "Cleaned") -> None:
    """The rows that stay; only what was masked differs, the rest keeps the type that it has in the file."""
    for at in found.kept:
        own, texts = data.rows[at], zip(names, found.texts[at], strict=True)
        rows.write(own | {name: text for name, text in texts if text is not None and text != str(own.get(name))})


def _print(found: "Cleaned") -> None:
    """How many rows went for each reason, and what was masked."""
    for reason, count in found.reasons.items():
        echo(f"{count:7}  {reason}")
    for kind, count in found.masked.items():
        echo(f"{count:7}  masked: {kind}")


def _print_json(data: "Dataset", names: list[str], found: "Cleaned", told: list[dict[str, Any]]) -> None:
    result = {
        "rows": len(data),
        "kept": len(found.kept),
        "columns": names,
        "reasons": found.reasons,
        "masked": found.masked,
        "dropped": told,
    }
    echo(json.dumps(result, ensure_ascii=False), errors="backslashreplace")
