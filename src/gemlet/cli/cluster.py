"""`gemlet cluster`: rows → groups of like meaning, named by their words and shown by examples."""

import json
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.finding import echo, on_one_line, styled
from gemlet.cli.grouping import embed, read_texts
from gemlet.cli.options import dataset_options, dim_option, model_options

if TYPE_CHECKING:
    from gemlet.clustering import Clustering
    from gemlet.dataset import Dataset

SHOWN = 2  # examples of a cluster
STRANGE = 3  # rows that fit nowhere
WIDTH = 70  # characters of an example

EPILOG = """\b
Examples:
  gemlet cluster reviews.csv
  gemlet cluster mails.jsonl --text subject -k 12 -o mails-clustered.jsonl
  gemlet cluster notes/ --method hdbscan
  gemlet cluster banking.csv --label category --json
\b
FILES are CSV, TSV, JSON, JSON lines, Parquet, lines of text, or folders whose
files are a row each; - is stdin. Without -k the number of clusters is found.
The output has the rows as they were, with cluster, cluster_name and anomaly.
"""


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-k", "--k", type=int, help="The number of clusters; default: as many as fit best, 2 to 50.")
@click.option(
    "--method", type=click.Choice(["kmeans", "hdbscan"]), default="kmeans", show_default=True,
    help="hdbscan leaves out what lies alone (noise).",
)  # fmt: skip
@click.option("--label", metavar="COLUMN", help="Compare the clusters with these known labels.")
@click.option("-o", "--output", help="Write the rows with their clusters: .csv, .tsv, .json, .jsonl, .parquet.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same clusters.")
@dataset_options
@dim_option
@model_options
def command(
    files: tuple[str, ...],
    k: int | None,
    method: Any,
    label: str | None,
    output: str | None,
    as_json: bool,
    seed: int,
    text_column: str | None,
    skip_empty: bool,
    dim: str | None,
    **model: Any,
) -> None:
    """Put the rows of FILES into groups of like meaning, name each, and find what fits nowhere."""
    data, texts = read_texts(files, text_column, skip_empty, "a clustering")
    known = data.labels(label) if label is not None else None
    from gemlet.clustering import check_count, cluster

    check_count(len(texts), k, method)
    found = cluster(embed(texts, dim, model), k, method=method, seed=seed, texts=texts, known=known)
    if output is not None:
        _write(output, data, found)
    if as_json:
        echo(json.dumps(_summary(data, texts, found), ensure_ascii=False), errors="backslashreplace")
    elif output != "-":
        _print(data, texts, found)


def _print(data: "Dataset", texts: list[str], found: "Clustering") -> None:
    clusters = "1 cluster" if len(found) == 1 else f"{len(found)} clusters"
    echo(styled(f"{len(texts):,} rows, {clusters}", bold=True) + _figures(found))
    digits = max((len(f"{size:,}") for size in found.sizes), default=1)
    for number, (name, size) in enumerate(zip(found.names, found.sizes, strict=True)):
        echo()
        echo(f"{number:>3}  {styled(f'{size:>{digits},}', fg='green')}  {styled(name, bold=True)}")
        for row in found.examples[number][:SHOWN]:
            echo(f"     {' ' * digits}  {_short(texts[row])}")
    if not len(found):
        echo("Every row lies alone. `--method kmeans` puts each into a cluster.")
    echo()
    echo(styled("What fits nowhere", bold=True))
    for row in _strangest(found)[:STRANGE]:
        echo(f"{found.anomaly[row]:>8.3f}  {data.places[row]}  {_short(texts[row])}")


def _figures(found: "Clustering") -> str:
    """The figures that there are, behind the count."""
    quality = found.quality
    figures = [f"noise {quality.noise:.0%}"] if quality.noise else []
    for name, value in (
        ("silhouette", quality.silhouette),
        ("V-measure", quality.v_measure),
        ("adjusted Rand", quality.adjusted_rand),
    ):
        if value is not None:
            figures.append(f"{name} {value:.3f}")
    return "".join(f"  {figure}" for figure in figures)


def _short(text: str) -> str:
    line = on_one_line(text)
    return line if len(line) <= WIDTH else line[: WIDTH - 1].rstrip() + "…"


def _strangest(found: "Clustering") -> list[int]:
    """Rows by their anomaly, the highest first."""
    return sorted(range(len(found.labels)), key=lambda row: -found.anomaly[row])


def _summary(data: "Dataset", texts: list[str], found: "Clustering") -> dict[str, Any]:
    """What --json prints."""
    quality = found.quality

    def shown(row: int) -> dict[str, Any]:
        return {
            "row": row,
            "place": data.places[row],
            "text": texts[row],
            "anomaly": round(float(found.anomaly[row]), 4),
        }

    return {
        "rows": len(texts),
        "clusters": [
            {
                "cluster": number,
                "name": name,
                "size": found.sizes[number],
                "words": found.words[number],
                "examples": [shown(row) for row in found.examples[number]],
            }
            for number, name in enumerate(found.names)
        ],
        "quality": vars(quality),
        "strangest": [shown(row) for row in _strangest(found)[:10]],
        "labels": found.labels.tolist(),
    }


def _write(output: str, data: "Dataset", found: "Clustering") -> None:
    from gemlet.dataset import open_rows

    own = ["cluster", "cluster_name", "anomaly"]
    with open_rows(output, [*(column for column in data.columns if column not in own), *own]) as rows:
        for number, row in enumerate(data.rows):
            label = int(found.labels[number])
            added = {"cluster": label, "cluster_name": found.name_of(number)}
            rows.write(row | added | {"anomaly": round(float(found.anomaly[number]), 4)})
