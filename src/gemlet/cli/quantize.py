"""`gemlet quantize`: a checkpoint as one .gguf file."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import click

from gemlet.gguf import TableType, WeightType

EPILOG = """\b
Examples:
  gemlet quantize google/embeddinggemma-300m gemma.gguf
  gemlet quantize ./my-fine-tune tuned.gguf --type bf16
  gemlet quantize google/embeddinggemma-300m small.gguf --type q4_0
  gemlet quantize google/embeddinggemma-300m smaller.gguf --type q4_0 --table q4_0
  gemlet embed --model gemma.gguf "Which planet is red?"
"""


@click.command(epilog=EPILOG)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--type",
    "dtype",
    type=click.Choice(get_args(WeightType)),
    default="q8_0",
    show_default=True,
    help="Of the matrices; norms are always f32. q4_0 and mixed (attention in 8 bits, the MLPs in 4, one scale a row) "
    "take some minutes.",
)
@click.option(
    "--table",
    type=click.Choice(get_args(TableType)),
    help="Of the token embeddings: most of the file, but a text reads only its own rows.  [default: as --type; of q4_0 "
    "and mixed q5_k]",
)
@click.option(
    "--check/--no-check",
    default=True,
    help="Compare vectors of 96 built-in texts with fp32's, some seconds.  [default: on]",
)
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(
    source: str,
    target: Path,
    dtype: WeightType,
    table: TableType | None,
    check: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """Write the checkpoint IN, a folder or a published name, to the file OUT, which ends in .gguf.

    OUT holds tokenizer, body, dense head, prompts and settings; gemlet maps it, and llama.cpp reads it too. It appears
    only when it is whole.
    """
    from gemlet.cli.options import locate
    from gemlet.gguf import write_gguf
    from gemlet.pretrained.progress import Terminal

    folder = locate(source, offline)
    name = Path(source).name or folder.name
    with Terminal() as bar:
        write_gguf(
            folder,
            target,
            dtype=dtype,
            table=table,
            name=name,
            progress=lambda done, of: bar.update(done, of, target.name),
        )
    report = describe(target)
    if check:
        report["cosine_to_fp32"] = compare(folder, target)
    click.echo(json.dumps(report) if as_json else "\n".join(_lines(report)))


def describe(path: Path) -> dict[str, Any]:
    """What the file holds, read back from it: path, bytes, tensors by type."""
    from gemlet import _core

    types = Counter(dtype for dtype, _ in _core.Gguf.open(str(path)).tensors.values())
    return {"path": str(path), "bytes": path.stat().st_size, "tensors": dict(types)}


def compare(folder: Path, path: Path) -> dict[str, float]:
    """Cosines between the checkpoint's fp32 vectors and the file's, as it runs: how many, mean and smallest.

    The texts are the goldens of at most 64 tokens: most of the languages, and the texts that few bits move most.
    """
    import numpy as np

    from gemlet.embedder import Embedder
    from gemlet.verify import load_goldens

    texts = [golden.prompted for golden in load_goldens() if golden.tokens <= 64]
    exact = Embedder(folder, quantization="f32").encode(texts)
    cosines = np.sum(exact * Embedder(path).encode(texts), axis=1)
    return {"texts": len(texts), "mean": float(cosines.mean()), "smallest": float(cosines.min())}


def _lines(report: dict[str, Any]) -> list[str]:
    types = ", ".join(f"{count} {dtype}" for dtype, count in sorted(report["tensors"].items()))
    lines = [f"{report['path']}: {report['bytes'] / 1e6:.1f} MB, tensors: {types}"]
    if cosine := report.get("cosine_to_fp32"):
        lines.append(
            f"cosine to fp32 on {cosine['texts']} texts: mean {cosine['mean']:.6f}, smallest {cosine['smallest']:.6f}"
        )
    return lines
