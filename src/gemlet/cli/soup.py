"""`gemlet soup`: fine-tuned checkpoints → one, the mean of their weights."""

import json
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.finding import echo, printable, styled
from gemlet.cli.pairing import bar

if TYPE_CHECKING:
    from gemlet.train.soup import Soup

EPILOG = """\b
Examples:
  gemlet soup run-a run-b run-c -o soup                       the mean of all
  gemlet soup run-a run-b run-c -o soup --dev dev.jsonl       greedy: only what helps
  gemlet soup run-a run-b run-c -o soup --dev dev.jsonl --method uniform
\b
The folders must have been trained from one checkpoint. Rows of --dev are anchor
and positive (the figure is nDCG@10), sentence1, sentence2 and score (Spearman), or
text and label (accuracy). The greedy soup begins with the best folder; each other
one, best first, stays in when the soup is no worse with it.
"""


@click.command(epilog=EPILOG)
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER FOLDER...")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="The soup; must not be there yet.")
@click.option("--dev", metavar="FILE", help="Rows to taste with.")
@click.option("--method", type=click.Choice(["uniform", "greedy"]), help="[default: greedy with --dev, else uniform]")
@click.option(
    "--quantization", type=click.Choice(["f32", "bf16"]), default="f32", show_default=True,
    help="What the folders run in when they are tasted.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Default: as many as the process may use.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(
    folders: tuple[str, ...],
    output: str,
    dev: str | None,
    method: Any,
    quantization: Any,
    threads: int | None,
    as_json: bool,
) -> None:
    """Average the weights of FOLDERs, checkpoints in Hugging Face's layout."""
    if method == "greedy" and not dev:
        raise click.UsageError("--method greedy tastes on a dev set: name one with --dev")
    from gemlet.train.soup import soup

    figure, score = None, None
    with bar("tasting", "text") as tasting, bar("averaging", "B") as averaging:
        if dev:
            from gemlet.train.tasting import dev_score

            figure, score = dev_score(dev, quantization=quantization, threads=threads, progress=tasting)
        how: Any = method or ("greedy" if dev else "uniform")
        made = soup(folders, output, method=how, score=score, progress=averaging)
    if as_json:
        rows = [vars(one) for one in made.ingredients]
        result = {"method": made.method, "figure": figure, "score": made.score, "ingredients": rows, "output": output}
        echo(json.dumps(result, ensure_ascii=False), errors="backslashreplace")
    else:
        _print(made, figure)
    taken = sum(one.taken for one in made.ingredients)
    click.echo(f"gemlet: the mean of {taken} of {len(folders)} checkpoints; wrote {output}", err=True)


def _print(made: "Soup", figure: str | None) -> None:
    """A line for each folder: its figure, that of the soup with it, whether it is in."""
    if figure:
        echo(styled(f"{figure:>10}  {'together':>8}", bold=True))
    for one in made.ingredients:
        own = "" if not figure else f"{_points(one.score):>10}  {_points(one.together):>8}  "
        echo(f"{own}{printable(one.folder)}{'' if one.taken else '  (left out)'}")
    if figure:
        echo(f"{_points(made.score):>10}  {'':>8}  the soup")


def _points(score: float | None) -> str:
    return "" if score is None else f"{100 * score:.2f}"
