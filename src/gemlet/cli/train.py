"""`gemlet train`: rows and a checkpoint → a fine-tuned checkpoint."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.options import MODEL
from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.train import Result, Settings, TrainingSet

EPILOG = """\b
Examples:
  gemlet train pairs.jsonl --output tuned
  gemlet train triplets.jsonl --held-out dev.jsonl --output tuned --epochs 3
  gemlet train tickets.csv --output tuned --full
  gemlet train qa.jsonl sts.csv --weights 2,1 --output tuned
  gemlet train pairs.jsonl --output tuned --batch 256 --mini-batch 16
  torchrun --nproc-per-node 2 -m gemlet train pairs.jsonl --output tuned
  gemlet quantize tuned tuned.gguf
  gemlet train texts.txt --qat q4_0 --output small
  gemlet quantize small small.gguf --type q4_0
\b
A FILE is CSV, TSV, JSON, JSON lines or Parquet. Its columns say what it is:
anchor, positive and, if there are, negative, negative_1, ... or a list in
negatives (query, question, document, passage, answer will do); sentence1,
sentence2, score; text, label; text alone, with --qat or --teacher. Each FILE is a set of its own, one for a batch.
\b
A run that was killed or stopped by Ctrl-C goes on when the same command is
given again.
"""

_FEW = 10  # steps: warm-up and fall leave hardly any


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="The result; it must not be there yet.")
@click.option("--model", default=MODEL, show_default=True, help="A published name, or a checkpoint's folder.")
@click.option("--held-out", metavar="FILE", help="Rows to measure by: the weights that are best on them are kept.")
@click.option(
    "--kind", type=click.Choice(["pairs", "scores", "labels", "texts"]), help="Of the rows.  [default: by the columns]"
)
@click.option("--columns", metavar="A,B,...", help="Which they are: anchor, positive, negatives; two texts and the "
              "score; text and label.  [default: by their names]")  # fmt: skip
@click.option("--skip-empty", is_flag=True, help="Leave rows with an empty text out; else they are an error.")
@click.option(
    "--weights", metavar="W,W,...", help="Shares of the batches, one for each FILE.  [default: by their rows]"
)
@click.option("--prompts", metavar="A,B", help="Names of the prompts of anchors and of the others.  [default: query,"
              "document; STS; Classification]")  # fmt: skip
@click.option(
    "--full/--lora", default=False, help="Train all parameters, or thin matrices beside them.  [default: lora]"
)
@click.option("--train-table", is_flag=True, help="With --full: the token embeddings too, two thirds of the model.")
@click.option(
    "--qat",
    type=click.Choice(["q4_0", "mixed", "q8_0"]),
    help="Learn the numbers that a file of this type can hold; texts alone will do.",
)
@click.option("--rank", type=int, default=16, show_default=True, help="Of LoRA.")
@click.option("--epochs", type=int, default=1, show_default=True, help="Times that every row is seen.")
@click.option("--steps", type=int, help="Batches in all, instead of --epochs.")
@click.option("--batch", type=int, default=32, show_default=True, help="Rows that are compared with one another.")
@click.option("--mini-batch", type=int, help="Texts in memory at once; 0: all.  [default: by their length]")
@click.option("--lr", "learning_rate", type=float, help="The highest learning rate.  [default: 2e-4; with --full 2e-5]")
@click.option("--warmup", type=float, default=0.1, show_default=True, help="Share of the steps in which it rises.")
@click.option("--schedule", type=click.Choice(["linear", "cosine", "constant"]), default="linear", show_default=True,
              help="How it falls.")  # fmt: skip
@click.option("--max-length", type=int, default=512, show_default=True, help="Tokens at which a text is cut.")
@click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True,
              help="Of the arithmetic; auto: bfloat16 on a GPU.")  # fmt: skip
@click.option("--scale", type=float, default=20.0, show_default=True, help="1 / temperature of the contrastive loss.")
@click.option("--hardness", type=float, default=5.0, show_default=True, help="How much harder negatives count more.")
@click.option("--spread", type=float, default=1.0, show_default=True, help="Weight of the spread-out term; 0: none.")
@click.option("--dims", default="768,512,256,128", show_default=True, help="Lengths of vector that are trained for.")
@click.option("--teacher", "teachers", multiple=True, metavar="PATH", help="A better model's vectors of the "
              "rows' texts (.npy), or its folder; for each FILE one, or one for all.")  # fmt: skip
@click.option("--matching", type=float, default=1.0, show_default=True, help="Weight of being near to the teacher.")
@click.option("--eval-every", type=int, help="Steps between two looks at the held-out rows.  [default: ten in all]")
@click.option("--save-every", type=int, help="Steps between two checkpoints.  [default: ten minutes]")
@click.option("--patience", type=int, default=3, show_default=True, help="Looks without a better figure before "
              "training stops; 0: any number.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order of the rows.")
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(files: tuple[str, ...], output: str, **options: Any) -> None:
    """Fine-tune the model on the rows of each FILE.

    The result is an ordinary checkpoint with a card: --model FOLDER runs it everywhere, `gemlet quantize` packs it.
    """
    from gemlet.train import train

    settings = _settings(options)
    first = os.environ.get("RANK", "0") == "0"
    result = train(
        options["model"],
        [_rows(path, options) for path in files],
        output,
        settings,
        held_out=_rows(options["held_out"], options) if options["held_out"] else None,
        teachers=options["teachers"],
        offline=options["offline"],
        progress=sys.stderr.isatty(),
        say=lambda line: click.echo(f"gemlet: {line}", err=True) if first else None,
    )
    if first:
        click.echo(json.dumps(_as_json(result)) if options["as_json"] else "\n".join(_lines(result, settings.qat)))


def _rows(path: str, options: dict[str, Any]) -> "TrainingSet":
    from gemlet.train import read_training_set

    columns = [name.strip() for name in (options["columns"] or "").split(",") if name.strip()]
    return read_training_set(path, options["kind"], columns, skip_empty=options["skip_empty"])


def _settings(options: dict[str, Any]) -> "Settings":
    from gemlet.train import LossSettings, Settings

    loss = LossSettings(
        scale=options["scale"],
        hardness=options["hardness"],
        spread_weight=options["spread"],
        matching_weight=options["matching"],
        dims=tuple(int(one) for one in _numbers("--dims", options["dims"])),
    )
    prompts = None
    if options["prompts"]:
        names = [name.strip() for name in options["prompts"].split(",")]
        if len(names) > 2:
            raise InputError(f"--prompts names {len(names)}: give one, or the anchors' and the others'")
        prompts = (names[0], names[-1])
    same = (
        "train_table", "qat", "rank", "epochs", "steps", "batch", "mini_batch", "learning_rate", "warmup", "schedule",
        "max_length", "precision", "eval_every", "save_every", "patience", "seed",
    )  # fmt: skip
    return Settings(
        method="full" if options["full"] or options["qat"] else "lora",
        prompts=prompts,
        weights=_numbers("--weights", options["weights"]) if options["weights"] else None,
        loss=loss,
        **{name: options[name] for name in same},
    )


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text!r}: write numbers with commas between them") from None


def _as_json(result: "Result") -> dict[str, Any]:
    return {
        "folder": str(result.folder), "steps": result.steps, "chosen": result.chosen, "before": result.before,
        "after": result.after, "losses": result.losses,
    }  # fmt: skip


def _lines(result: "Result", qat: str | None) -> list[str]:
    first, last = result.losses
    lines = [f"{result.folder}: {result.steps:,} steps, loss {first:.4g} → {last:.4g}"]
    if result.steps < _FEW:
        lines = [f"{result.folder}: {result.steps} steps only; more --epochs or a smaller --batch teach more"]
    if result.chosen != result.steps:
        lines.append(f"the weights are those of step {result.chosen:,}, the best on the held-out rows")
    for name, value in result.before.items():
        lines.append(f"{name} of the held-out rows: {value:.5f} → {result.after[name]:.5f}")
    if qat:
        file = result.folder.with_name(result.folder.name + ".gguf")
        lines.append(f"its file: gemlet quantize {result.folder} {file} --type {qat}")
    return lines
