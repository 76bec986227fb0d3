"""What `gemlet bulk` says of a run, and of one that was only estimated.   (Report, Estimate → lines)"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gemlet.folders import shown

if TYPE_CHECKING:
    from gemlet.bulk import Report, Stored
    from gemlet.bulk.estimate import Estimate

LISTED = 20  # problems that are told one by one


def tell(report: "Report", as_json: bool) -> None:
    """Problems to stderr, what is there to stdout."""
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
    if report.stored is not None:
        click.echo(_stored(report.stored))


def estimated(found: "Estimate") -> str:
    """What a run would take, a line for each thing."""
    inputs, files = _number(found.sources, "input"), _number(found.shards, "file")
    done = f", {found.done:,} of them done" if found.done else ""
    bad = (
        f"; of {found.sampled_rows:,} rows looked at, {found.share_of_bad:.1%} have no text"
        if found.share_of_bad
        else ""
    )
    lines = [
        f"rows:    {found.rows:,} in {inputs} → {files}{done}",
        f"vectors: {found.vectors:,} of {found.vector_bytes:,} bytes{bad}",
        f"tokens:  {found.tokens:,} ± {found.tokens_deviation:,} (by {found.sampled_rows:,} rows)",
        f"output:  {_size(found.bytes)}",
        f"time:    {duration(found.seconds)} in one process {found.by}, at {found.rate:,.0f} "
        f"tokens/s (measured over {found.measured_tokens:,} tokens)",
    ]
    if found.store is not None:
        there = found.store_passages
        held = "not there yet" if there is None else f"holds {_number(there, 'passage')}, made with the same settings"
        lines.append(f"store:   {found.store}, {held}")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours // 24:,} d {hours % 24} h" if hours >= 48 else f"{hours} h {minutes % 60:02} min"


def _stored(done: "Stored") -> str:
    passages = f" with {_number(done.passages, 'passage')}" if done.passages != done.rows else ""
    before = f", {done.before:,} put before" if done.before else ""
    put = f"{_rows(done.rows)} put{passages}" if done.rows else "nothing to put"
    return f"{done.store}: {put}{before} ({duration(done.seconds)})"


def _rows(count: int) -> str:
    return _number(count, "row")


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _size(size: float) -> str:
    units = ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while size >= 1000 and len(units) > 1:
        size, _ = size / 1000, units.pop(0)
    return f"{size:,.0f} {units[0]}" if size >= 100 else f"{size:.3g} {units[0]}"
