"""`gemlet info`: what model, kernels and cache are in use.   (chapter 13)"""

import json
import platform
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

import click

from gemlet import __version__, _core
from gemlet.cli.options import MODEL, locate

EPILOG = """\b
Examples:
  gemlet info
  gemlet info --json path/to/fine-tune
  gemlet info --tensors model.gguf
"""


@click.command(epilog=EPILOG)
@click.argument("model", default=MODEL)
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--tensors", is_flag=True, help="List every tensor of a .gguf file with its type and shape.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, offline: bool, tensors: bool, as_json: bool) -> None:
    """Tell what a checkpoint is (by name, folder or .gguf file), and how this machine would run it."""
    facts = _facts(model, offline, tensors)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"{name}:")
            for key, text in value.items():
                click.echo(f"  {key:26} {text!r}")
        else:
            click.echo(f"{name + ':':18} {value}")


def _facts(model: str, offline: bool, tensors: bool) -> dict[str, Any]:
    from gemlet.checkpoint import read_checkpoint
    from gemlet.pretrained import cache_folder
    from gemlet.prompts import CARD_PROMPTS

    path = locate(model, offline)
    checkpoint = read_checkpoint(path)
    config = checkpoint.config
    return {
        "gemlet": __version__,
        "python": platform.python_version(),
        "kernels": f"{_core.default_isa()} (this CPU runs {', '.join(_core.isas())})",
        "model": model,
        "folder": str(checkpoint.folder),
        "cache": str(cache_folder()),
        "weights": f"{sum(Path(file).stat().st_size for file, _ in checkpoint.weights):,} bytes",
        "stored as": checkpoint.stored,
        **({"8-bit file": _quantized_file(path)} if path.is_dir() else {}),
        **(_gguf_facts(checkpoint.gguf, tensors) if checkpoint.gguf is not None else {}),
        "layers": f"{len(config['sliding'])}, of which {sum(config['sliding'])} see {config['window']} tokens each way",
        "vector": f"{config['dense'][-1]} numbers",
        "longest text": f"{checkpoint.max_seq_length} tokens",
        "prompts": checkpoint.prompts | {k: v for k, v in CARD_PROMPTS.items() if k not in checkpoint.prompts},
    }


def _gguf_facts(gguf: _core.Gguf, tensors: bool) -> dict[str, Any]:
    """How many tensors and bytes there are of each type; with `tensors`, each by its name."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for dtype, shape in gguf.tensors.values():
        counts[dtype] += 1
        numbers, size = _core.FORMATS[dtype]
        sizes[dtype] += prod(shape) // numbers * size
    types = {dtype: f"{counts[dtype]} tensors, {size:,} bytes" for dtype, size in sizes.most_common()}
    listed = {name: f"{dtype} {shape}" for name, (dtype, shape) in gguf.tensors.items()}
    return {"types": types, **({"tensors": listed} if tensors else {})}


def _quantized_file(folder: Path) -> str:
    """Where the file lies that runs by default, and how long it is; it may be deleted, the next start writes it."""
    from gemlet.quantized import QuantizedFile

    file = QuantizedFile(folder)
    return f"{file.path}, {file.path.stat().st_size:,} bytes" if file.is_current() else f"{file.path}, not written yet"
