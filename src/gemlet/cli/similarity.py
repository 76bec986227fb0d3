"""`gemlet similarity`: how close in meaning texts are."""

import json
from typing import Any

import click

from gemlet.cli.options import encode_options, load, model_options

EPILOG = """\b
Examples:
  gemlet similarity "a fast car" "a quick automobile" "a slow cooker"
  gemlet similarity --search "Which planet is red?" "Mars looks red." "Venus is hot."
  gemlet similarity --json --dim 256 "guten Morgen" "good morning"
"""


@click.command(epilog=EPILOG)
@click.argument("text")
@click.argument("others", nargs=-1, required=True)
@click.option("--search", is_flag=True, help="TEXT is a query, OTHERS are documents: two different prompts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@encode_options
@model_options
def command(
    text: str,
    others: tuple[str, ...],
    search: bool,
    as_json: bool,
    task: str | None,
    dim: str | None,
    truncation: str,
    **model: Any,
) -> None:
    """Compare TEXT with each of OTHERS: the cosine of their vectors, 1 for the same meaning.

    The prompt is "sentence similarity" unless --task or --search says otherwise.
    """
    if search and task:
        raise click.UsageError("--search chooses the prompts itself: leave --task out")
    embedder = load(**model)
    options: dict[str, Any] = {"truncate_dim": int(dim) if dim else None, "truncation": truncation}
    if search:
        left = embedder.encode_query(text, **options)
        right = embedder.encode_document(list(others), **options)
    else:
        left, *right = embedder.encode([text, *others], prompt_name=task or "sentence similarity", **options)
    scores = embedder.similarity(left, right)[0]
    if as_json:
        rows = [{"text": other, "score": round(float(score), 6)} for other, score in zip(others, scores, strict=True)]
        click.echo(json.dumps({"text": text, "similarities": rows}, ensure_ascii=False))
        return
    for score, other in sorted(zip(scores, others, strict=True), key=lambda pair: -pair[0]):
        click.echo(f"{score:7.4f}  {other}")
