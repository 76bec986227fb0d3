"""`gemlet mine`: pairs → the same with hard negatives, in the columns that `gemlet train` reads."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.finding import echo, on_one_line
from gemlet.cli.options import dim_option, load, model_options, read_rows
from gemlet.cli.pairing import bar, line_of, nothing
from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.curate import Mined

EPILOG = """\b
Examples:
  gemlet mine pairs.csv                                   show what would be taken
  gemlet mine pairs.csv -o triplets.jsonl                 anchor, positive, negative
  gemlet mine pairs.csv --corpus articles.jsonl -n 4 -o rows.jsonl
  gemlet mine pairs.jsonl --skip 5 --depth 50 --sample random --each -o triplets.jsonl
\b
The columns are told by their names (anchor, query, question; positive, document,
passage, answer), or by --anchor and --positive. Negatives come from --corpus, or
from the other pairs' positives; never is one a positive of the same anchor. What
is nearly as near as the positive is often right as well, so a negative's cosine
must be below --share of the positive's.
Exit codes: 0 there are negatives, 4 there are none, 1 and 2 for errors.
"""

_SHOWN = 5  # pairs, without -o


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="PAIRS...")
@click.option("-o", "--output", metavar="FILE", help="Write the rows: .csv, .tsv, .json, .jsonl, .parquet, or - .")
@click.option("--corpus", multiple=True, metavar="FILE", help="Texts to take negatives from.  [default: the positives]")
@click.option("--text", "text_column", metavar="COLUMN", help="Which column of --corpus is the text.")
@click.option("--anchor", metavar="COLUMN", help="Which column of PAIRS is the anchor.  [default: by its name]")
@click.option("--positive", metavar="COLUMN", help="Which is the positive.  [default: by its name]")
@click.option("-n", "--negatives", default=1, show_default=True, type=click.IntRange(1), help="Of each pair.")
@click.option("--skip", default=0, show_default=True, type=click.IntRange(0), help="Pass over so many of the nearest.")
@click.option("--depth", default=100, show_default=True, type=click.IntRange(1), help="Look at so many behind those.")
@click.option(
    "--share", default=0.95, show_default=True, type=click.FloatRange(0, 1), help="Of the positive's cosine: the limit."
)
@click.option("--margin", type=click.FloatRange(0, 2), help="So far below the positive's cosine, besides.")
@click.option("--any", "anything", is_flag=True, help="No limit by the positive: even what is nearer than it.")
@click.option(
    "--sample", type=click.Choice(["hardest", "random"]), default="hardest", show_default=True,
    help="Which of those that are left.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of --sample random.")
@click.option("--each", is_flag=True, help="A row for each negative, in place of columns negative_1, negative_2, ...")
@click.option("--scores", is_flag=True, help="Write the cosines beside the texts.")
@click.option("--task", default="query", show_default=True, help="The anchors' prompt.")
@click.option("--skip-empty", is_flag=True, help="Leave pairs without both texts out; else they are an error.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@dim_option
@model_options
def command(
    files: tuple[str, ...],
    output: str | None,
    corpus: tuple[str, ...],
    text_column: str | None,
    anchor: str | None,
    positive: str | None,
    each: bool,
    scores: bool,
    task: str,
    skip_empty: bool,
    as_json: bool,
    dim: str | None,
    model: str,
    quantization: Any,
    threads: int | None,
    offline: bool,
    **how: Any,
) -> None:
    """Find hard negatives for PAIRS: texts that are near to the anchor and are no answer to it."""
    if output == "-" and as_json:
        raise click.UsageError("only one result can go to stdout: name a file for the other")
    if text_column and not corpus:
        raise click.UsageError("--text is of --corpus: --anchor and --positive name the columns of PAIRS")
    from gemlet.curate import mine
    from gemlet.dataset import open_rows

    rule = _rule(**how)
    anchors, positives = _pairs(files, anchor, positive, skip_empty)
    others = read_rows(corpus, text_column, True).texts(text_column) if corpus else None
    with contextlib.ExitStack() as stack:  # what cannot be written is said before there is anything to lose
        names = _names(rule.count, each)
        writer = stack.enter_context(open_rows(output, _columns(names, scores))) if output else None
        embedder = load(model, quantization, threads, offline)
        with bar("embedding", "text") as embedding, bar("comparing", "anchor") as comparing:
            found = mine(
                embedder, anchors, positives, others, rule, task=task, truncate_dim=int(dim) if dim else None,
                threads=threads, embedding=embedding, comparing=comparing,
            )  # fmt: skip
        rows = list(_rows(found, anchors, positives, names, each, scores))
        if not rows:
            nothing(f"none of {len(anchors)} pairs has {_wanted(rule.count)}{_too_near(found)}")
        if writer:
            for row in rows:
                writer.write(row)
    full = sum(len(taken) >= rule.count for taken in found.negatives)
    if as_json:
        _print_json(found, rule.count, len(rows))
    elif output is None:
        _show(found, anchors, positives)
    wrote = f"; wrote {len(rows)} rows to {output}" if output else "; nothing was written (-o FILE writes the rows)"
    left = "" if each or full == len(anchors) else ", the others are left out"
    click.echo(
        f"gemlet: {full} of {len(anchors)} pairs have {_wanted(rule.count)}{left}{_too_near(found)}{wrote}", err=True
    )


def _wanted(count: int) -> str:
    return "a negative" if count == 1 else f"{count} negatives"


def _too_near(found: "Mined") -> str:
    return f"; {int(found.too_near.sum())} texts were too near to be surely wrong"


def _rule(*, negatives: int, share: float, anything: bool, margin: float | None, **rest: Any) -> Any:
    from gemlet.curate import Rule

    if anything and margin is not None:
        raise click.UsageError("--any takes what --margin would leave out: leave one of them out")
    return Rule(count=negatives, share=None if anything else share, margin=margin, **rest)


def _pairs(
    files: Sequence[str], anchor: str | None, positive: str | None, skip_empty: bool
) -> tuple[list[str], list[str]]:
    from gemlet.curate import pair_columns

    data = read_rows(files, None, False)
    left, right = pair_columns(data, anchor, positive)
    data = data.with_text(left).with_text(right) if skip_empty else data
    if not len(data):
        raise InputError(f"{', '.join(files)}: no row has both {left!r} and {right!r}: there is no pair")
    return data.texts(left), data.texts(right)


def _names(count: int, each: bool) -> list[str]:
    """The columns of a row's negatives."""
    return ["negative"] if each or count == 1 else [f"negative_{at}" for at in range(1, count + 1)]


def _columns(names: list[str], scores: bool) -> list[str]:
    own = [f"{name}_score" for name in ("positive", *names)] if scores else []
    return ["anchor", "positive", *names, *own]


def _rows(
    found: "Mined", anchors: list[str], positives: list[str], names: list[str], each: bool, scores: bool
) -> Iterator[dict[str, Any]]:
    """A row for each pair that has as many negatives as there are names; `each`: for each negative."""
    for pair, (taken, cosines) in enumerate(zip(found.negatives, found.scores, strict=True)):
        texts = [found.corpus[row] for row in taken]
        pieces = [slice(at, at + 1) for at in range(len(texts))] if each else [slice(0, len(texts))]
        for piece in pieces:
            if len(texts[piece]) == len(names):
                near = [float(found.positive[pair]), *cosines[piece]] if scores else []
                values = [anchors[pair], positives[pair], *texts[piece], *(round(one, 4) for one in near)]
                yield dict(zip(_columns(names, scores), values, strict=True))


def _show(found: "Mined", anchors: list[str], positives: list[str]) -> None:
    """The first pairs: the positive and what was taken, with their cosines."""
    for pair in range(min(_SHOWN, len(anchors))):
        echo(on_one_line(anchors[pair]))
        line_of(float(found.positive[pair]), "positive", positives[pair], indent=2)
        for row, cosine in zip(found.negatives[pair], found.scores[pair], strict=True):
            line_of(cosine, "negative", found.corpus[row], indent=2)
    if len(anchors) > _SHOWN:
        echo(f"... and {len(anchors) - _SHOWN} more pairs")


def _print_json(found: "Mined", count: int, rows: int) -> None:
    result = {
        "pairs": len(found.negatives),
        "corpus": len(found.corpus),
        "with_negatives": sum(len(taken) >= count for taken in found.negatives),
        "negatives": sum(map(len, found.negatives)),
        "too_near": int(found.too_near.sum()),
        "rows": rows,
    }
    echo(json.dumps(result))
