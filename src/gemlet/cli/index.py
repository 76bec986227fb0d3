"""`gemlet index`: folders → an index of what is in them, for `gemlet search`."""

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.options import Quantization, quantization_option, store_option
from gemlet.folders import shown
from gemlet.vectors import MATRYOSHKA_DIMS

if TYPE_CHECKING:
    from tqdm import tqdm

    from gemlet.cli.storing import Destination
    from gemlet.index import Index, Pace, Report

LISTED = 20  # problems; `--status` lists them all
INTERRUPTED = 130

EPILOG = """\b
Examples:
  gemlet index ~/notes ~/papers            into your own index; then: gemlet search "..."
  gemlet index                             bring it up to date
  gemlet index --watch                     ... and keep it so
  gemlet index . --index project.db        a project's own
  gemlet index --status
  gemlet index --remove ~/papers
  gemlet index ~/notes --store postgresql://ann@db.example/team
\b
What has not changed is not read again. Left out are hidden files, and what
.gitignore and .gemletignore say. Ctrl-C is safe: the same command goes on.
"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--index", "index_path", help="The index's file; default: $GEMLET_INDEX, else one for each user.")
@click.option("--dim", type=click.Choice([str(d) for d in MATRYOSHKA_DIMS]), help="Numbers in a vector; default: 768.")
@click.option("--hidden/--no-hidden", default=None, help="Take hidden files too; remembered.")
@click.option("--follow/--no-follow", default=None, help="Follow symbolic links; remembered.")
@click.option("--watch", is_flag=True, help="Stay, and follow changes.")
@click.option("--status", is_flag=True, help="Tell what the index holds, and which files could not be read.")
@click.option("--remove", is_flag=True, help="Take PATHS out of the index; the files are untouched.")
@click.option("--rebuild", is_flag=True, help="Make it anew, with --model, --quantization or --dim changed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@store_option
@quantization_option
@click.option("--model", help="A published name, a folder or a .gguf file; default: what the index was made with.")
@click.option("--threads", type=click.IntRange(1), help="Default: as many as the process may use.")
@click.option("--offline", is_flag=True, help="Never touch the network.")
def command(
    paths: tuple[str, ...],
    index_path: str | None,
    dim: str | None,
    hidden: bool | None,
    follow: bool | None,
    watch: bool,
    status: bool,
    remove: bool,
    rebuild: bool,
    as_json: bool,
    store: str | None,
    model: str | None,
    quantization: Quantization | None,
    threads: int | None,
    offline: bool,
) -> None:
    """Bring files and folders into an index, and what it holds of them up to date.

    Without PATHS it takes those of before.
    """
    if sum((watch, status, remove, rebuild)) > 1:
        raise click.UsageError("take one of --watch, --status, --remove and --rebuild")
    if (status or rebuild) and paths:
        raise click.UsageError(f"--{'status' if status else 'rebuild'} is of the whole index: leave PATHS out")
    if remove and not paths:
        raise click.UsageError("--remove needs PATHS")
    from gemlet.index import Index

    options: dict[str, Any] = {"model": model, "quantization": quantization, "threads": threads, "offline": offline}
    with ExitStack() as stack:
        there, index_path = _destination(store, index_path, stack)
        if there is not None:
            options |= {"model": model or there.made.get("model"), "truncate_dim": there.made.get("truncate_dim")}
        if dim:
            options["truncate_dim"] = int(dim)
        index = stack.enter_context(Index(index_path, **options))
        if status:
            _tell_status(index, there, as_json)
        elif remove:
            removed = there.remove(index, paths) if there else index.remove(paths, listener=Bar())
            told = f"{_files(removed)} taken out of {there.address.shown if there else index.path}"
            click.echo(json.dumps({"removed": removed}) if as_json else told)
        else:
            walk = {"hidden": hidden, "follow": follow}
            _run(index, there, paths, walk, rebuild=rebuild, watch=watch, as_json=as_json)


def _destination(
    store: str | None, index_path: str | None, stack: ExitStack
) -> "tuple[Destination | None, str | None]":
    """(the database, None without one; the index that is kept beside it). An SQLite file is an index itself."""
    if store is None:
        return None, index_path
    from gemlet.stores import address_of

    if (address := address_of(store)).kind == "sqlite":
        if index_path is not None:
            raise click.UsageError(f"{store} is an index itself: leave --index out, or name a database with --store")
        return None, address.where
    from gemlet.cli.storing import Destination

    there = Destination(store)
    stack.callback(there.close)
    return there, str(there.index_path) if index_path is None else index_path


def _run(
    index: "Index",
    there: "Destination | None",
    paths: tuple[str, ...],
    walk: dict[str, Any],
    *,
    rebuild: bool,
    watch: bool,
    as_json: bool,
) -> None:
    try:
        with Bar() as bar:
            if watch:
                for number, report in enumerate(index.watch(paths, **walk, listener=bar)):
                    if not number or _is_news(report):
                        _tell(index, there, report, bar, as_json)
                return
            report = index.rebuild(listener=bar) if rebuild else index.update(paths, **walk, listener=bar)
            _tell(index, there, report, bar, as_json, anew=rebuild)
    except KeyboardInterrupt:
        click.echo("gemlet: interrupted: what was complete is in the index, and the same command goes on", err=True)
        sys.exit(INTERRUPTED)


def _is_news(report: "Report") -> bool:
    return bool(report.added or report.changed or report.moved or report.removed)


def _tell(
    index: "Index", there: "Destination | None", report: "Report", bar: "Bar", as_json: bool, *, anew: bool = False
) -> None:
    """Say what a run did; with a database, bring that up to date first."""
    bar.close()
    done = there.publish(index, anew=anew) if there else None
    if as_json:
        facts = {"index": str(index.path), **asdict(report)}
        facts["problems"] = [{"path": path, "reason": reason} for path, reason in report.problems]
        if done:
            facts["store"] = done
        click.echo(json.dumps(facts))
        return
    for path, reason in report.problems[:LISTED]:
        click.echo(f"gemlet: {shown(path)}: {reason}", err=True)
    if (more := len(report.problems) - LISTED) > 0:
        click.echo(f"gemlet: ... and {more:,} more: `gemlet index --status` lists them all", err=True)
    click.echo(_summary(index, report))
    if there and done:
        click.echo(there.told(done))


def _summary(index: "Index", report: "Report") -> str:
    """One line: what happened to the files, how much text that was, how long it took."""
    counts = [
        f"{number:,} {name}"
        for name in ("added", "changed", "moved", "removed", "unchanged")
        if (number := getattr(report, name))
    ]
    parts = [", ".join(counts) or "no files"]
    if report.problems:
        parts.append(f"{len(report.problems):,} could not be read")
    if report.passages:
        rate = f", {report.tokens / report.seconds:,.0f} tokens/s" if report.seconds else ""
        parts.append(f"{report.passages:,} passages of {report.tokens:,} tokens{rate}")
    return f"{index.path}: {'; '.join(parts)} ({_duration(report.seconds)})"


def _tell_status(index: "Index", there: "Destination | None", as_json: bool) -> None:
    facts = there.status(index) if there else index.status()
    problems = index.problems() if index.path.exists() else []
    if as_json:
        facts["unread"] = [{"path": path, "reason": reason} for path, reason in problems]
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        if name == "roots":
            click.echo("roots:")
            for root in value:
                click.echo(f"  {shown(root)}")
        else:
            click.echo(f"{name + ':':14} {value:,}" if isinstance(value, int) else f"{name + ':':14} {value}")
    for path, reason in problems:
        click.echo(f"gemlet: {shown(path)}: {reason}", err=True)


def _files(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


class Bar:
    """A Listener: one bar on stderr where that is a terminal, over the bytes of what is new."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def message(self, text: str) -> None:
        """One line."""
        click.echo(f"gemlet: {text}", err=True)

    def pace(self, pace: "Pace") -> None:
        """Files, rate, time left."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=100, file=sys.stderr, bar_format="{desc} {percentage:3.0f}%|{bar}|{postfix}", leave=False
            )
        share = 100 * pace.bytes / pace.all_bytes if pace.all_bytes else 100
        left = f", {_duration(pace.left)} left" if pace.left is not None else ""
        self._bar.set_description_str(f"{pace.files:,} of {_files(pace.all_files)}", refresh=False)
        self._bar.set_postfix_str(f"{pace.rate:,.0f} tokens/s{left}", refresh=False)
        self._bar.update(min(share, 100) - self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
