"""`gemlet eval`: how good the vectors are, on one's own data."""

from typing import Any

import click

from gemlet.cli.options import dataset_options, dim_option, model_options

EPILOG = """\b
Examples:
  gemlet eval --queries q.jsonl --docs d.jsonl --qrels r.tsv
  gemlet eval --queries q.jsonl --docs d.jsonl --qrels r.tsv --compare dim=256 --report report.html
  gemlet eval --pairs pairs.csv --compare dim=256,quantization=f32
  gemlet eval --labels sorted.csv --compare model=small.gguf --json
\b
Queries and documents are JSON lines with `_id`, `text` and, of documents, `title`
(BEIR's layout), or any table with such columns; FILE of --qrels has query-id,
corpus-id and score, tabs between them, or TREC's four columns. Pairs are two
columns of texts and one of scores. Figures are in points, 0 to 100, with the
interval that holds the true one in 95 of 100 cases.
"""


@click.command(epilog=EPILOG)
@click.option("--queries", metavar="FILE", help="What is asked; with --docs and --qrels.")
@click.option("--docs", metavar="FILE", help="What is searched.")
@click.option("--qrels", metavar="FILE", help="Which document is right for which query.")
@click.option("--task", default=None, help='The queries\' prompt: "question answering", "code retrieval", ...')
@click.option("-k", "k", type=click.IntRange(1, 100), help="How many places of a ranking count.  [default: 10]")
@click.option("--pairs", metavar="FILE", help="Pairs of texts with a score; 0 and 1 are no and yes.")
@click.option("--columns", metavar="A,B,SCORE", help="Of --pairs.  [default: by their names]")
@click.option("--labels", metavar="FILE", help="Texts with a label each.")
@click.option("--label", "label_column", metavar="COLUMN", help="Of --labels.  [default: by its name]")
@click.option(
    "--compare", multiple=True, metavar="SETTING", help="Also measure with dim=256, quantization=f32, model=FILE, or "
    "several joined by commas, and say if it is as good. May be repeated.",
)  # fmt: skip
@click.option("--report", metavar="FILE", help="Write one page: .html or .md.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of resamples, folds and clusters.")
@dataset_options
@dim_option
@model_options
def command(**options: Any) -> None:
    """Measure how good the vectors are for your own searches, pairs or labels, and whether others would do."""
    from gemlet.cli.measuring import run_own

    _check(**options)
    run_own(**options)


def _check(
    *,
    queries: str | None,
    docs: str | None,
    qrels: str | None,
    pairs: str | None,
    labels: str | None,
    task: str | None,
    k: int | None,
    columns: str | None,
    label_column: str | None,
    text_column: str | None,
    **_: Any,
) -> None:
    """Raise UsageError for options that do not go together, before anything is read."""
    ranks = any((queries, docs, qrels))
    kinds = [ranks, bool(pairs), bool(labels)]
    wrong = {
        "say what to measure: --queries, --docs and --qrels; --pairs; or --labels": not any(kinds),
        "--queries with --docs and --qrels, --pairs, and --labels are measured one at a time: name one": sum(kinds) > 1,
        "--queries, --docs and --qrels go together: name all three": ranks and not all((queries, docs, qrels)),
        "--task and -k are of --queries: leave them out": (task is not None or k is not None) and not ranks,
        "--columns is of --pairs: leave it out": columns is not None and not pairs,
        "--label is of --labels: leave it out": label_column is not None and not labels,
        "--text is of --labels: leave it out": text_column is not None and not labels,
    }
    for message, is_so in wrong.items():
        if is_so:
            raise click.UsageError(message)
