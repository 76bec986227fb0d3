"""`gemlet verify`: this installation against golden vectors."""

import json
import sys
from typing import Any

import click

from gemlet.cli.options import device_option, load, model_options

EPILOG = """\b
Examples:
  gemlet verify                         in 8 bits, as the other commands run
  gemlet verify --quantization f32      exactly
  gemlet verify --quick --json
  gemlet verify --device cuda           on a GPU
"""


@click.command(epilog=EPILOG)
@click.option("--quick", is_flag=True, help="Only the short texts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@device_option
@model_options
def command(quick: bool, as_json: bool, **model: Any) -> None:
    """Check tokens and vectors against those of the publisher's own stack, shipped with gemlet.

    Prints PASS, or what is wrong; the exit code is 0 or 1.
    """
    from tqdm import tqdm

    from gemlet.verify import verify

    embedder = load(**model)
    with tqdm(disable=None, unit="text", leave=False) as bar:
        report = verify(embedder, quick=quick, progress=lambda done, total: _move(bar, done, total))
    click.echo(json.dumps(report.to_dict()) if as_json else "\n".join(report.lines))
    sys.exit(0 if report.passed else 1)


def _move(bar: Any, done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)
