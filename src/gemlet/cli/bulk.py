"""`gemlet bulk`: large files of texts → Parquet files of vectors, or rows of a store; on one machine or many."""

import glob
import json
import os
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

import click

from gemlet.cli.bulktold import duration, estimated, tell
from gemlet.cli.options import device_option, dim_option, model_options
from gemlet.packing import Truncation

if TYPE_CHECKING:
    from tqdm import tqdm

    from gemlet.bulk import Pace, Settings, Target

FAILED, INTERRUPTED = 1, 130
_EVERY_S = 30.0  # a line, where stderr is no terminal

EPILOG = """\b
Examples:
  gemlet bulk docs.parquet vectors/ --dry-run        what it would take
  gemlet bulk docs.parquet vectors/                  and do it; again: go on
  gemlet bulk "logs/**/*.jsonl" vectors/ --text message --dim 256 --precision int8
  gemlet bulk books.csv vectors/ --title name --chunk 512
  gemlet bulk s3://bucket/docs/ s3://bucket/vectors --ray --workers 32
  gemlet bulk docs.parquet --to postgresql:///notes --id doc_id
\b
INPUTS are Parquet, JSON lines, CSV, TSV or lines of text (all but Parquet may be
.gz, .bz2, .zst, .lz4): files, folders, globs, on disks or at s3://, gs://, hdfs://.
OUTPUT is a folder of Parquet files, each there whole or not at all: the columns
of the input, `place` (where a row stands) and `vector`. What a killed run has
finished is never made again. Rows without a vector, each with the reason, are in
OUTPUT/_bad. --ray takes the cluster of $RAY_ADDRESS, or starts Ray here.
\b
With --to URL there is no OUTPUT: all paths are INPUTS, the files are kept in
--shards, and then their rows go into that store, each once, for `gemlet search
--store URL`. A row is called by its place, such as docs.csv:17, or by --id.
"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, metavar="INPUTS... [OUTPUT]")
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
@click.option("--to", metavar="URL", help="A store: FILE.db, postgresql://USER@HOST/DATABASE, qdrant://HOST:6333/NAME.")
@click.option("--id", "id_column", metavar="COLUMN", help="With --to: what rows are called by.  [default: their place]")
@click.option("--shards", metavar="FOLDER", help="With --to: the folder for the files.  [default: among your own data]")
@click.option("--replace", is_flag=True, help="With --to: take the place of rows that another run put there.")
@click.option("--dry-run", is_flag=True, help="Tell rows, tokens, time and bytes; write nothing.")
@click.option("--ray", "on_ray", is_flag=True, help="Work on Ray's workers (pip install 'gemlet[ray]').")
@click.option("--workers", type=click.IntRange(1), help="With --ray.  [default: as many as there is room for]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@device_option
@model_options
def command(
    paths: tuple[str, ...],
    to: str | None,
    id_column: str | None,
    shards: str | None,
    replace: bool,
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
    """Embed every row of INPUTS into Parquet files in OUTPUT or the rows of a store, or go on with it.

    With --ray, --threads are those of a worker, one by default, and with --device cuda each has a GPU.
    """
    if workers and not on_ray:
        raise click.UsageError("--workers needs --ray")
    if to is None and (id_column or shards or replace):
        raise click.UsageError("--id, --shards and --replace need --to")
    from gemlet.bulk import Model, Target, run
    from gemlet.bulk.estimate import estimate
    from gemlet.bulk.on_ray import ray_workers

    target = Target(to, id_column, replace) if to is not None else None
    inputs, output = _places(paths, target, shards)
    settings = _settings(**options)
    asked = Model(model, quantization, threads, offline, device)
    with Bar() as bar:
        if dry_run:
            found = estimate(inputs, output, settings, asked, bar, to=target)
            click.echo(json.dumps({**asdict(found), "seconds": found.seconds}) if as_json else estimated(found))
            return
        makers = ray_workers(asked, workers) if on_ray else None
        try:
            report = run(inputs, output, settings, asked, to=target, workers=makers, listener=bar)
        except KeyboardInterrupt:
            bar.close()
            click.echo("gemlet: interrupted: finished files stay, and the same command goes on", err=True)
            sys.exit(INTERRUPTED)
    tell(report, as_json)
    if report.failed or not report.counts.vectors:
        sys.exit(FAILED)


def _places(paths: tuple[str, ...], target: "Target | None", shards: str | None) -> tuple[tuple[str, ...], str]:
    """(inputs, the folder for the files): the last path, unless a store is where all goes."""
    if target is None:
        if len(paths) < 2:
            raise click.UsageError("name INPUTS and a folder for the OUTPUT, or a store with --to")
        return paths[:-1], paths[-1]
    from gemlet.bulk.folder import MANIFEST
    from gemlet.bulk.sources import is_address
    from gemlet.bulk.storing import shards_beside
    from gemlet.stores import address_of

    last = os.path.expanduser(paths[-1])
    is_none = not (os.path.exists(last) or glob.has_magic(last) or is_address(last))
    if len(paths) > 1 and (is_none or os.path.exists(os.path.join(last, MANIFEST))):
        raise click.UsageError(f"with --to all paths are INPUTS: name the folder with --shards {paths[-1]}")
    return paths, shards if shards is not None else shards_beside(address_of(target.url), paths)


def _settings(columns: str | None, dim: str | None, task: str, **options: Any) -> "Settings":
    from gemlet.bulk import Settings

    kept = tuple(name.strip() for name in columns.split(",") if name.strip()) if columns is not None else None
    return Settings(columns=kept, dim=int(dim) if dim else None, task=None if task == "none" else task, **options)


class Bar:
    """A Listener: a bar on stderr where that is a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._loading = False
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
        self._show(pace.rows, pace.all_rows, f"{pace.rows:,} of {pace.all_rows:,} rows", state)

    def stored(self, rows: int, all_rows: int) -> None:
        """Rows that are in the store."""
        if not sys.stderr.isatty():
            if time.monotonic() - self._told >= _EVERY_S:
                self._told = time.monotonic()
                click.echo(f"gemlet: {rows:,} of {all_rows:,} rows in the store", err=True)
            return
        if not self._loading:
            self.close()  # that of embedding
            self._loading = True
        self._show(rows, all_rows, f"{rows:,} of {all_rows:,} rows in the store", "")

    def _show(self, done: int, total: int, said: str, state: str) -> None:
        if self._bar is None:
            from tqdm import tqdm

            form = "{desc} {percentage:3.0f}%|{bar}|{postfix}"
            self._bar = tqdm(total=total, file=sys.stderr, bar_format=form, leave=False)
        self._bar.set_description_str(said, refresh=False)
        self._bar.set_postfix_str(state, refresh=False)
        self._bar.update(done - self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
