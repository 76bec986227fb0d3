"""`gemlet eval`: how good the vectors are, on one's own data and on published tasks."""

from typing import Any

import click

from gemlet.cli.options import dataset_options, device_option, model_options
from gemlet.cli.published import published_options, run_published
from gemlet.vectors import MATRYOSHKA_DIMS

EPILOG = """\b
Examples:
  gemlet eval --queries q.jsonl --docs d.jsonl --qrels r.tsv
  gemlet eval --queries q.jsonl --docs d.jsonl --qrels r.tsv --compare dim=256 --report report.html
  gemlet eval --pairs pairs.csv --compare dim=256,quantization=f32
  gemlet eval --labels sorted.csv --compare model=small.gguf --json
  gemlet eval --data-dir data --tasks STS17 --dim 768 --dim 256 --results results
  gemlet eval --data-dir data --results results --device cuda --quantization f32
  gemlet eval --results results --table quality.md
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
@published_options
@click.option(
    "--dim", "dims", multiple=True, type=click.Choice([str(dim) for dim in MATRYOSHKA_DIMS]),
    help="Numbers in a vector; may be repeated with --data-dir.  [default: all 768]",
)  # fmt: skip
@model_options
@device_option
def command(dims: tuple[str, ...], **options: Any) -> None:
    """Measure how good the vectors are: for your own searches, pairs or labels, or on published tasks."""
    published = {name: options.pop(name) for name in PUBLISHED}
    if any(published.values()):
        _refuse_own(options)
        shared = {name: options[name] for name in SHARED}
        run_published(dims=[int(dim) for dim in dims], **published, **shared)
        return
    if len(dims) > 1:
        raise click.UsageError("your own data are measured at one --dim: name others with --compare dim=256")
    from gemlet.cli.measuring import run_own

    _check(**options)
    run_own(dim=dims[0] if dims else None, **options)


PUBLISHED = ("data_dir", "tasks", "results", "table", "as_list", "mteb_names")
SHARED = ("as_json", "model", "quantization", "threads", "offline", "device")


def _refuse_own(options: dict[str, Any]) -> None:
    """Raise UsageError where options of both kinds are named."""
    for name in ("queries", "docs", "qrels", "pairs", "labels", "compare", "report"):
        if options[name]:
            raise click.UsageError(f"--{name} is of your own data, which is measured apart from published tasks")


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
