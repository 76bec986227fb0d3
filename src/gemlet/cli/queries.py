"""`gemlet queries`: passages → queries that a language model of one's own writes, checked by the engine."""

import contextlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.finding import NOTHING, echo, writer_for, writer_options
from gemlet.cli.options import dataset_options, load, model_options, read_rows
from gemlet.cli.pairing import bar, line_of
from gemlet.errors import GenerationError, InputError

if TYPE_CHECKING:
    from gemlet.curate import Query
    from gemlet.dataset import Dataset

EPILOG = """\b
Examples:
  gemlet queries articles.jsonl -o pairs.jsonl
  gemlet queries articles.jsonl -n 5 --llm gemma3:4b -o pairs.jsonl
  gemlet queries notes/ --llm ~/models/gemma-3-4b-it-Q4_K_M.gguf -o pairs.csv
  gemlet queries articles.jsonl --within 3 --rejected rejected.csv -o pairs.jsonl
\b
The model that writes is, in this order: --llm FILE.gguf, run here (needs the
extra rag); the server at --llm-url; Ollama, llama-server or LM Studio, if one
runs on this machine. GEMLET_LLM, GEMLET_LLM_URL and GEMLET_LLM_KEY stand for the
options. Answers are kept in FILE.part as they come: a run that was stopped goes
on where it was.
Exit codes: 0 there are queries, 4 none is of use, 1 and 2 for errors.
"""


REJECTED = ("place", "reason", "query", "passage")
"""Columns of --rejected."""


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="TEXTS...")
@click.option(
    "-o", "--output", required=True, metavar="FILE",
    help="Where the pairs go, anchor and positive: .csv, .tsv, .json, .jsonl, .parquet.",
)  # fmt: skip
@click.option("-n", "--each", default=3, show_default=True, type=click.IntRange(1, 20), help="Queries of a passage.")
@click.option(
    "--within", default=1, show_default=True, type=click.IntRange(1),
    help="A query must find its passage among the first so many.",
)  # fmt: skip
@click.option("--unchecked", is_flag=True, help="Do not ask the engine which passage a query finds.")
@click.option("--rejected", metavar="FILE", help="Write the queries that are of no use, with the reason.")
@click.option("--task", default="query", show_default=True, help="The queries' prompt.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@writer_options
@dataset_options
@model_options
def command(
    files: tuple[str, ...],
    output: str,
    each: int,
    within: int,
    unchecked: bool,
    rejected: str | None,
    task: str,
    as_json: bool,
    llm: str | None,
    llm_url: str | None,
    llm_remote: bool,
    text_column: str | None,
    skip_empty: bool,
    model: str,
    quantization: Any,
    threads: int | None,
    offline: bool,
) -> None:
    """Have queries written for the passages of TEXTS, and keep those that find their passage."""
    if output == "-":
        raise click.UsageError("answers are kept beside the output as they come: name a file")
    from gemlet.curate.queries import round_trip, write_queries
    from gemlet.dataset import open_rows

    data = read_rows(files, text_column, skip_empty)
    passages = data.texts(text_column)
    embedder = None if unchecked else load(model, quantization, threads, offline)
    writer = writer_for(llm, llm_url, llm_remote)
    if writer is None:
        raise InputError(
            "no model that writes was named or found: start Ollama, llama-server or LM Studio, or name one with --llm"
        )
    journal = Path(output + ".part")
    with contextlib.ExitStack() as stack:  # what cannot be written is said before there is anything to lose
        kept = stack.enter_context(open_rows(output, ["anchor", "positive"]))
        useless = stack.enter_context(open_rows(rejected, REJECTED)) if rejected else None
        try:
            with bar("writing", "passage") as progress:
                found = write_queries(writer, passages, each, journal=journal, progress=progress)
        except GenerationError as error:
            raise GenerationError(f"{error}; what was written is kept, the same command goes on from there") from None
        if embedder is not None:
            with bar("checking", "text") as progress:
                found = round_trip(
                    embedder, passages, found, within=within, task=task, threads=threads, progress=progress
                )
        useful = [query for query in found if not query.reason]
        for query in useful:
            kept.write({"anchor": query.text, "positive": passages[query.passage]})
        if useless:
            for query in (one for one in found if one.reason):
                values = (data.places[query.passage], query.reason, query.text, passages[query.passage])
                useless.write(dict(zip(REJECTED, values, strict=True)))
    journal.unlink(missing_ok=True)
    _tell(data, found, useful, writer.name, output, as_json)
    if not useful:
        sys.exit(NOTHING)


def _tell(data: "Dataset", found: "list[Query]", useful: "list[Query]", name: str, output: str, as_json: bool) -> None:
    reasons = dict(Counter(query.reason for query in found if query.reason).most_common())
    if as_json:
        result = {"passages": len(data), "written": len(found), "kept": len(useful), "reasons": reasons, "model": name}
        echo(json.dumps(result, ensure_ascii=False), errors="backslashreplace")
    else:
        for query in useful[:10]:
            line_of(None, data.places[query.passage], query.text)
        if len(useful) > 10:
            echo(f"... and {len(useful) - 10} more")
        for reason, count in reasons.items():
            echo(f"{count:7}  {reason}")
    click.echo(f"gemlet: {len(useful)} of {len(found)} queries by {name} are kept; wrote {output}", err=True)
