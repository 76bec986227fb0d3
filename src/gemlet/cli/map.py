"""`gemlet map`: rows → a picture of what is near what, or a page to walk around in."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.grouping import embed, read_texts
from gemlet.cli.options import dataset_options, dim_option, model_options
from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.layout import Grouping

EPILOG = """\b
Examples:
  gemlet map reviews.csv -o reviews.html
  gemlet map reviews.csv -o reviews.html --label product --cluster 12
  gemlet map notes/ -o notes.html --method umap --title "My notes"
  gemlet map banking.csv -o banking.png --label category
\b
The .html file is whole in itself: zoom, search, hover, colours by label or
cluster, and nothing is fetched; it works with 50,000 texts. .png and .svg need
the extra: pip install 'gemlet[map]'. FILES are as in `gemlet cluster`.
"""


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output", required=True, help="A .html, .png or .svg file.")
@click.option("--label", metavar="COLUMN", help="Colour by this column.")
@click.option("--cluster", "k", metavar="K", help='Colour by cluster: their number, or "auto".')
@click.option(
    "--method", type=click.Choice(["pca", "umap"]), default="pca", show_default=True,
    help="umap keeps neighbours together; needs the extra map.",
)  # fmt: skip
@click.option("--title", help="Default: the file's name.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same map.")
@dataset_options
@dim_option
@model_options
def command(
    files: tuple[str, ...],
    output: str,
    label: str | None,
    k: str | None,
    method: Any,
    title: str | None,
    seed: int,
    text_column: str | None,
    skip_empty: bool,
    dim: str | None,
    **model: Any,
) -> None:
    """Draw the rows of FILES as points: near each other where they mean alike."""
    _check_output(output)
    count = _count(k)
    data, texts = read_texts(files, text_column, skip_empty, "a map")
    from gemlet.layout import Chart, grouping_of, positions_of

    groupings = [grouping_of(label, data.labels(label))] if label is not None else []
    vectors = embed(texts, dim, model)
    if k is not None:
        groupings.append(_clusters(vectors, texts, count, seed))
    chart = Chart(title or _title(files), positions_of(vectors, method, seed), texts, data.places, groupings)
    _write(output, chart)
    click.echo(f"gemlet: {output}: a map of {len(texts):,} texts", err=True)


def _check_output(output: str) -> None:
    """Raise InputError before the work is done, not after it."""
    from gemlet.layout import KINDS

    if Path(output).suffix.lower() not in (".html", *KINDS):
        raise InputError(f"cannot tell what to draw from {output!r}: name a .html, .png or .svg file")


def _count(k: str | None) -> int | None:
    """The number of clusters, None for as many as fit best."""
    if k is None or k == "auto":
        return None
    if not k.isdecimal() or int(k) < 1:
        raise InputError(f'--cluster {k!r} is no number of clusters: write 8, or "auto"')
    return int(k)


def _clusters(vectors: Any, texts: list[str], count: int | None, seed: int) -> "Grouping":
    from gemlet.clustering import cluster
    from gemlet.layout import grouping_of

    found = cluster(vectors, count, seed=seed, texts=texts)
    return grouping_of("cluster", [f"{label}. {found.names[label]}" for label in found.labels.tolist()])


def _title(files: tuple[str, ...]) -> str:
    names = [Path(name).name or name for name in files]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _write(output: str, chart: Any) -> None:
    from gemlet.dataset import whole_file
    from gemlet.layout import html_of, write_picture

    kind = Path(output).suffix.lower()
    with whole_file(output) as file:
        if kind == ".html":
            file.write(html_of(chart).encode())
        else:
            write_picture(chart, file, kind)
