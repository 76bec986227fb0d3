"""`gemlet embed`: texts from arguments, files or stdin → vectors on stdout or in a file."""

import sys
from typing import Any

import click

from gemlet.cli.options import device_option, encode_options, load, model_options, precision_option
from gemlet.cli.records import Record, read_records
from gemlet.cli.writers import open_writer

CHUNK = 512  # texts that are read, embedded and written together

EPILOG = """\b
Examples:
  gemlet embed --task query "Which planet is known as the Red Planet?"
  gemlet embed --task document -f notes.txt -o notes.npy      one text a line
  gemlet embed --task document --whole a.md b.md -o docs.jsonl
  gemlet embed --task document -f rows.jsonl --field body > out.jsonl
  git log --format=%s | gemlet embed --task clustering --dim 256 -o log.npy
\b
A .jsonl line is a string or an object; its text is in --field, its title (for
--task document) in "title". The output keeps the object and adds "embedding".
"""


@click.command(epilog=EPILOG)
@click.argument("texts", nargs=-1)
@click.option(
    "-f", "--file", "files", multiple=True, help="A file of texts, one a line; .jsonl is JSON lines; - is stdin."
)
@click.option("--whole", is_flag=True, help="The arguments and --file name files; each is one text.")
@click.option("--field", default="text", show_default=True, help="Where a JSON object has its text.")
@click.option("-o", "--output", default="-", help="A .npy or .jsonl file; default: JSON lines on stdout.")
@encode_options
@precision_option
@device_option
@model_options
def command(
    texts: tuple[str, ...],
    files: tuple[str, ...],
    whole: bool,
    field: str,
    output: str,
    task: str | None,
    dim: str | None,
    truncation: str,
    precision: str,
    **model: Any,
) -> None:
    """Turn texts into vectors, one for each TEXT, line or JSON object.

    Without TEXTS and files it reads lines from stdin.
    """
    records = read_records(texts, files, whole=whole, field=field)
    embedder = load(**model)
    options = {"truncate_dim": int(dim) if dim else None, "precision": precision, "truncation": truncation}
    with open_writer(output) as writer:
        for chunk in _chunks(records):
            writer.write(chunk, _encode(embedder, chunk, task, options))


def _encode(embedder: Any, chunk: list[Record], task: str | None, options: dict[str, Any]) -> Any:
    texts = [record.text for record in chunk]
    options["show_progress_bar"] = len(chunk) > 1 and sys.stderr.isatty()
    if task == "document":
        return embedder.encode_document(texts, titles=[record.title for record in chunk], **options)
    return embedder.encode(texts, prompt_name=task, **options)


def _chunks(records: Any) -> Any:
    chunk: list[Record] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
