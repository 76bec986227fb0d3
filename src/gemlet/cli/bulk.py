"""`gemlet bulk`: large files of texts → Parquet files of vectors, on one machine or many."""

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

import click

from gemlet.cli.options import device_option, dim_option, model_options
from gemlet.folders import shown
from gemlet.packing import Truncation

if TYPE_CHECKING:
    from tqdm import tqdm

    from gemlet.bulk import Pace, Report
    from gemlet.bulk.estimate import Estimate

FAILED, INTERRUPTED = 1, 130
LISTED = 20  # problems that are told one by one
_EVERY_S = 30.0  # a line, where stderr is no terminal

EPILOG = """\b
Examples:
  gemlet bulk docs.parquet vectors/ --dry-run        what it would take
  gemlet bulk docs.parquet vectors/                  and do it; again: go on
  gemlet bulk "logs/**/*.jsonl" vectors/ --text message --dim 256 --precision int8
  gemlet bulk books.csv vectors/ --title name --chunk 512
  gemlet bulk s3://bucket/docs/ s3://bucket/vectors --ray --workers 32
\b
INPUTS are Parquet, JSON lines, CSV, TSV or lines of text (all but Parquet may be
.gz, .bz2, .zst, .lz4): files, folders, globs, on disks or at s3://, gs://, hdfs://.
OUTPUT is a folder of Parquet files, each there whole or not at all: the columns
of the input, `place` (where a row stands) and `vector`. What a killed run has
finished is never made again. Rows without a vector, each with the reason, are in
OUTPUT/_bad. --ray takes the cluster of $RAY_ADDRESS, or starts Ray here.
"""


@click.command(epilog=EPILOG)
@click.argument("inputs", nargs=-1, required=True)
@click.argument("output")
@click.option("--text", metavar="COLUMN", help="Which column is the text.  [default: by its name]")
@click.option("--title", metavar="COLUMN", help="Goes into the document prompt: a better vector.")
@click.option("--columns", metavar="A,B,...", help="Keep these alone.  [default: all]")
@click.option("--drop", metavar="COLUMN", multiple=True, help="Leave a column out.")
@click.option("--task", default="document", show_default=True, help='The prompt, or "none"; `gemlet info` lists them.')
@dim_option
@click.option(
    "--precision", type=click.Choice(["float32", "float16", "int8", "uint8", "binary", "ubinary"]), default="float32",
    show_default=True, help="Of the vectors.",
)  # fmt: skip
@click.option(
    "--truncation", type=click.Choice(get_args(Truncation)), default="right", show_default=True,
    help="Of texts over 2,048 tokens; error: they are bad rows.",
)  # fmt: skip
@click.option("--chunk", type=click.IntRange(32), metavar="TOKENS", help="Cut texts into passages, a row for each.")
@click.option("--overlap", type=click.IntRange(0), default=0, show_default=True, help="Tokens that passages share.")
@click.option("--vector", default="vector", show_default=True, help="The name of the column with the vectors.")
@click.option(
    "--shard-rows", type=click.IntRange(1), default=4096, show_default=True, help="Rows of an input that make one file."
)
@click.option("--skip-broken", is_flag=True, help="List what cannot be read among the bad rows, and go on.")
@click.option("--dry-run", is_flag=True, help="Tell rows, tokens, time and bytes; write nothing.")
@click.option("--ray", "on_ray", is_flag=True, help="Work on Ray's workers (pip install 'gemlet[ray]').")
@click.option("--workers", type=click.IntRange(1), help="With --ray.  [default: as many as there is room for]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@device_option
@model_options
def command(
    inputs: tuple[str, ...],
    output: str,
    dry_run: bool,
    on_ray: bool,
    workers: int | None,
    as_json: bool,
    model: str,
    quantization: Any,
    threads: int | None,
    offline: bool,
    device: str,
    **options: Any,
) -> None:
    """Embed every row of INPUTS into Parquet files in OUTPUT, or go on with it.

    With --ray, --threads are those of a worker, one by default, and with --device cuda each has a GPU.
    """
    if workers and not on_ray:
        raise click.UsageError("--workers needs --ray")
    from gemlet.bulk import Model, run
    from gemlet.bulk.estimate import estimate
    from gemlet.bulk.on_ray import ray_workers

    settings = _settings(**options)
    asked = Model(model, quantization, threads, offline, device)
    with Bar() as bar:
        if dry_run:
            found = estimate(inputs, output, settings, asked, bar)
            click.echo(json.dumps({**asdict(found), "seconds": found.seconds}) if as_json else _estimated(found))
            return
        makers = ray_workers(asked, workers) if on_ray else None
        try:
            report = run(inputs, output, settings, asked, workers=makers, listener=bar)
        except KeyboardInterrupt:
            bar.close()
            click.echo("gemlet: interrupted: finished files stay, and the same command goes on", err=True)
            sys.exit(INTERRUPTED)
    _tell(report, as_json)
    if report.failed or not report.counts.vectors:
        sys.exit(FAILED)


def _settings(columns: str | None, dim: str | None, task: str, **options: Any) -> Any:
    from gemlet.bulk import Settings

    kept = tuple(name.strip() for name in columns.split(",") if name.strip()) if columns is not None else None
    return Settings(columns=kept, dim=int(dim) if dim else None, task=None if task == "none" else task, **options)


def _tell(report: "Report", as_json: bool) -> None:
    for name, reason in (*report.broken, *report.failed)[:LISTED]:
        click.echo(f"gemlet: {shown(name)}: {reason}", err=True)
    for name, rows in sorted(report.counts.fields.items())[:LISTED]:
        click.echo(f"gemlet: {name!r} was no field of the first rows: it is left out, in {_rows(rows)}", err=True)
    counts = report.counts
    if counts.cut:
        click.echo(
            f"gemlet: cut at the end, longer than the model takes: the texts of {_rows(counts.cut)} (--truncation)",
            err=True,
        )
    if counts.bad:
        click.echo(f"gemlet: no vector for {_rows(counts.bad)}: {report.output}/_bad tells why, for each", err=True)
    if report.failed:
        click.echo(
            f"gemlet: files that could not be made: {len(report.failed):,}; the same command tries again", err=True
        )
    if as_json:
        facts = asdict(report)
        facts["broken"] = [{"name": name, "reason": reason} for name, reason in report.broken]
        facts["failed"] = [{"part": part, "reason": reason} for part, reason in report.failed]
        click.echo(json.dumps(facts))
        return
    rate = f", {report.new.tokens / report.seconds:,.0f} tokens/s" if report.new.tokens and report.seconds else ""
    before = f", {report.before:,} of them made before" if report.before else ""
    files = f"{_number(report.shards - len(report.failed), 'file')}{before}"
    vectors = f"{_number(counts.vectors, 'vector')} of {_rows(counts.rows)}"
    click.echo(f"{report.output}: {vectors} in {files}; {_size(counts.bytes)} ({duration(report.seconds)}{rate})")


def _estimated(found: "Estimate") -> str:
    inputs, files = _number(found.sources, "input"), _number(found.shards, "file")
    done = f", {found.done:,} of them done" if found.done else ""
    bad = (
        f"; of {found.sampled_rows:,} rows looked at, {found.share_of_bad:.1%} have no text"
        if found.share_of_bad
        else ""
    )
    return "\n".join(
        (
            f"rows:    {found.rows:,} in {inputs} → {files}{done}",
            f"vectors: {found.vectors:,} of {found.vector_bytes:,} bytes{bad}",
            f"tokens:  {found.tokens:,} ± {found.tokens_deviation:,} (by {found.sampled_rows:,} rows)",
            f"output:  {_size(found.bytes)}",
            f"time:    {duration(found.seconds)} in one process {found.by}, at {found.rate:,.0f} "
            f"tokens/s (measured over {found.measured_tokens:,} tokens)",
        )
    )


def _rows(count: int) -> str:
    return _number(count, "row")


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _size(size: float) -> str:
    units = ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while size >= 1000 and len(units) > 1:
        size, _ = size / 1000, units.pop(0)
    return f"{size:,.0f} {units[0]}" if size >= 100 else f"{size:.3g} {units[0]}"


def duration(seconds: float) -> str:
    """Seconds as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours // 24:,} d {hours % 24} h" if hours >= 48 else f"{hours} h {minutes % 60:02} min"


class Bar:
    """A Listener: a bar on stderr where that is a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._told = time.monotonic()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def message(self, text: str) -> None:
        """One line."""
        self.close()
        click.echo(f"gemlet: {text}", err=True)

    def pace(self, pace: "Pace") -> None:
        """Rows, files, rate, time left."""
        left = f", {duration(pace.left)} left" if pace.left else ""
        state = f"{pace.rate:,.0f} tokens/s{left}"
        if not sys.stderr.isatty():
            if time.monotonic() - self._told >= _EVERY_S:
                self._told = time.monotonic()
                files = f"{pace.shards:,} of {pace.all_shards:,} files"
                click.echo(f"gemlet: {pace.rows:,} of {pace.all_rows:,} rows, {files}, {state}", err=True)
            return
        if self._bar is None:
            from tqdm import tqdm

            form = "{desc} {percentage:3.0f}%|{bar}|{postfix}"
            self._bar = tqdm(total=pace.all_rows, file=sys.stderr, bar_format=form, leave=False)
        self._bar.set_description_str(f"{pace.rows:,} of {pace.all_rows:,} rows", refresh=False)
        self._bar.set_postfix_str(state, refresh=False)
        self._bar.update(pace.rows - self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
