"""`gemlet eval`: how good the vectors are, on published tasks."""

from typing import Any

import click

from gemlet.cli.options import model_options
from gemlet.cli.published import published_options, run_published
from gemlet.vectors import MATRYOSHKA_DIMS

EPILOG = """\b
Examples:
  gemlet eval --data-dir data --list --results results
  gemlet eval --data-dir data --tasks STS17 --dim 768 --dim 256 --results results
  gemlet eval --results results --table quality.md
"""


@click.command(epilog=EPILOG)
@published_options
@click.option(
    "--dim", "dims", multiple=True, type=click.Choice([str(dim) for dim in MATRYOSHKA_DIMS]),
    help="Numbers in a vector; may be repeated.  [default: all 768]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@model_options
def command(dims: tuple[str, ...], **options: Any) -> None:
    """Measure how good the vectors are."""
    run_published(dims=[int(dim) for dim in dims], **options)
