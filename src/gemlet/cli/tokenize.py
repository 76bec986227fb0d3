"""`gemlet tokenize`: texts as the model sees them."""

import json

import click

from gemlet.checkpoint import read_checkpoint
from gemlet.cli.options import MODEL, locate
from gemlet.cli.records import read_records

EPILOG = """\b
Examples:
  gemlet tokenize "Hello, world!"
  gemlet tokenize --count -f notes.txt
  gemlet tokenize --json "Grüße aus Köln"
"""


@click.command(epilog=EPILOG)
@click.argument("texts", nargs=-1)
@click.option(
    "-f", "--file", "files", multiple=True, help="A file of texts, one a line; .jsonl is JSON lines; - is stdin."
)
@click.option("--field", default="text", show_default=True, help="Where a JSON object has its text.")
@click.option("--count", is_flag=True, help="Only the number of tokens.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.option("--model", default=MODEL, show_default=True, help="A name, or a checkpoint's folder.")
@click.option("--parse-control", is_flag=True, help='Take "<eos>" and the like as control tokens.')
@click.option("--offline", is_flag=True, help="Never touch the network.")
def command(
    texts: tuple[str, ...],
    files: tuple[str, ...],
    field: str,
    count: bool,
    as_json: bool,
    model: str,
    parse_control: bool,
    offline: bool,
) -> None:
    """Print the tokens of each TEXT or line, <bos> and <eos> included."""
    tokenizer = read_checkpoint(locate(model, offline)).tokenizer
    for record in read_records(texts, files, whole=False, field=field):
        inner, _ = tokenizer.encode([record.text], parse_control)
        ids = [tokenizer.bos, *inner.tolist(), tokenizer.eos]
        if as_json:
            shown = {"count": len(ids)} if count else {"ids": ids, "pieces": [tokenizer.id_to_piece(i) for i in ids]}
            click.echo(json.dumps(shown, ensure_ascii=False))
        elif count:
            click.echo(len(ids))
        else:
            click.echo(" ".join(f"{tokenizer.id_to_piece(i)!r}:{i}" for i in ids))
