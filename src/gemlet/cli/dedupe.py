"""`gemlet dedupe`: rows that say the same → one of each kept, every other one told with the row that stands for it."""

import json
from typing import TYPE_CHECKING, Any, get_args

import click

from gemlet.cli.finding import echo
from gemlet.cli.options import dataset_options, dim_option, load, model_options
from gemlet.cli.pairing import PROMPT, bar, line_of, rows_with_texts
from gemlet.pairs import LEVELS, Groups, Keep, Level, duplicate_texts, threshold_for

if TYPE_CHECKING:
    from gemlet.dataset import Dataset

EPILOG = """\b
Examples:
  gemlet dedupe reviews.csv                                  show what would go
  gemlet dedupe reviews.csv -o kept.csv --removed gone.csv   write both
  gemlet dedupe notes.txt --level near-duplicate --keep longest
  gemlet dedupe a.jsonl b.jsonl --text body --threshold 0.9 --json
\b
A row goes when its vector is as close to that of a row that stays as --threshold
says, or as --level does, which is a threshold fitted on judged pairs. Rows that
differ in spaces or in how their characters are encoded are not embedded twice.
Nothing is ever written to the files that are read.
"""


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True)
@click.option("--level", type=click.Choice(LEVELS), default="duplicate", show_default=True, help="What counts as such.")
@click.option("--threshold", type=click.FloatRange(-1, 1), help="The least cosine, in place of --level.")
@click.option(
    "--keep", type=click.Choice(get_args(Keep)), default="first", show_default=True, help="Which row of a group stays."
)
@click.option("-o", "--output", help="Write the rows that stay: .csv, .tsv, .json, .jsonl, .parquet, or - .")
@click.option("--removed", help="Write the rows that go, each with the row that stands for it.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@dataset_options
@dim_option
@model_options
def command(
    files: tuple[str, ...],
    level: Level,
    threshold: float | None,
    keep: Keep,
    output: str | None,
    removed: str | None,
    as_json: bool,
    text_column: str | None,
    skip_empty: bool,
    dim: str | None,
    **model: Any,
) -> None:
    """Find rows of FILES that say the same as another, and keep one of each. Without -o it only shows them."""
    if output == "-" and (as_json or removed == "-"):
        raise click.UsageError("only one result can go to stdout: name a file for the other")
    data, texts = rows_with_texts(files, text_column, skip_empty)
    embedder = load(**model)
    width = int(dim) if dim else None
    least = threshold_for(level, width or embedder.truncate_dim) if threshold is None else threshold
    with bar("embedding", "text") as embedding, bar("comparing", "pair") as comparing:
        groups = duplicate_texts(
            embedder, texts, least, keep=keep, prompt_name=PROMPT, truncate_dim=width,
            threads=model["threads"], embedding=embedding, comparing=comparing,
        )  # fmt: skip
    if output:
        _write_kept(output, data, groups)
    if removed:
        _write_removed(removed, data, texts, groups)
    if as_json:
        echo(_json(data, texts, groups, least), errors="backslashreplace")
    elif output != "-" and removed != "-":
        _print(data, texts, groups)
    wrote = f"; wrote {output}" if output else "; nothing was written (-o FILE writes the rows that stay)"
    kept, gone = len(groups.kept), len(groups.removed)
    click.echo(f"gemlet: {kept} of {len(data)} rows stay, {gone} go, at a cosine of {least:g} or more{wrote}", err=True)


def _write_kept(output: str, data: "Dataset", groups: Groups) -> None:
    from gemlet.dataset import open_rows

    with open_rows(output, data.columns) as rows:
        for row in groups.kept:
            rows.write(data.rows[row])


def _write_removed(output: str, data: "Dataset", texts: list[str], groups: Groups) -> None:
    from gemlet.dataset import open_rows

    own = ["place", "cosine", "kept_place", "kept_text"]
    with open_rows(output, [*own, *(name for name in data.columns if name not in own)]) as rows:
        for row in groups.removed:
            keeper = groups.keeper[row]
            trace = (data.places[row], round(float(groups.score[row]), 4), data.places[keeper], texts[keeper])
            rows.write(data.rows[row] | dict(zip(own, trace, strict=True)))


def _print(data: "Dataset", texts: list[str], groups: Groups) -> None:
    for keeper, members in groups.members().items():
        line_of(None, data.places[keeper], texts[keeper])
        for row in members:
            line_of(float(groups.score[row]), data.places[row], texts[row], indent=2)


def _json(data: "Dataset", texts: list[str], groups: Groups, threshold: float) -> str:
    def told(row: int) -> dict[str, Any]:
        return {"row": row, "place": data.places[row], "text": texts[row]}

    found = [
        {
            "kept": told(keeper),
            "removed": [told(row) | {"cosine": round(float(groups.score[row]), 4)} for row in members],
        }
        for keeper, members in groups.members().items()
    ]
    result = {"rows": len(data), "kept": len(groups.kept), "removed": len(groups.removed), "threshold": threshold}
    return json.dumps(result | {"groups": found}, ensure_ascii=False)
