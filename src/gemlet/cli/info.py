"""`gemlet info`: what a checkpoint is, what it lacks, how it runs, in what memory."""

import json
import platform
import sys
from collections import Counter
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gemlet import __version__, _core
from gemlet.cli.options import MODEL, Quantization, locate, quantization_option

if TYPE_CHECKING:
    from gemlet.checkpoint import Checkpoint

QUERY = 18  # tokens of a usual one, with its prompt
NOTHING = "nothing"

EPILOG = """\b
Examples:
  gemlet info
  gemlet info --json path/to/fine-tune
  gemlet info --quantization f32
  gemlet info --tensors model.gguf
"""


@click.command(epilog=EPILOG)
@click.argument("model", default=MODEL)
@quantization_option
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--tensors", is_flag=True, help="List every tensor with its type and shape.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, quantization: Quantization | None, offline: bool, tensors: bool, as_json: bool) -> None:
    """Tell what a checkpoint is (by name, folder or .gguf file), and how this machine would run it.

    The exit code is 1 when something is missing without which it cannot run.
    """
    facts = _facts(model, quantization, offline, tensors)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        _print(facts)
    sys.exit(0 if facts["missing"] == NOTHING else 1)


def _print(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        if isinstance(value, dict):
            click.echo(f"{name}:")
            for key, text in value.items():
                click.echo(f"  {key:26} {text!r}")
        else:
            click.echo(f"{name + ':':18} {value}")


def _facts(model: str, quantization: Quantization | None, offline: bool, tensors: bool) -> dict[str, Any]:
    from gemlet.checkpoint import is_gguf, read_checkpoint
    from gemlet.errors import ModelError
    from gemlet.pretrained import cache_folder

    path = locate(model, offline)
    facts = {
        "gemlet": __version__,
        "python": platform.python_version(),
        "kernels": f"{_core.default_isa()} (this CPU runs {', '.join(_core.isas())})",
        "cache": str(cache_folder()),
        "model": model,
    }
    try:
        checkpoint = read_checkpoint(path)
    except ModelError as error:
        if not is_gguf(path):
            raise
        gguf = _core.Gguf.open(str(path))  # of a file that is damaged nothing can be told
        return facts | _gguf_facts(gguf) | _tensor_facts(gguf.tensors, tensors) | {"missing": str(error)}
    return facts | _checkpoint_facts(path, checkpoint, quantization, tensors)


def _checkpoint_facts(
    path: Path, checkpoint: "Checkpoint", quantization: Quantization | None, tensors: bool
) -> dict[str, Any]:
    from gemlet.prompts import CARD_PROMPTS

    config = checkpoint.config
    return {
        "folder": str(checkpoint.folder),
        "weights": f"{sum(Path(file).stat().st_size for file, _ in checkpoint.weights):,} bytes",
        "stored as": checkpoint.stored,
        **({"8-bit file": _quantized_file(path)} if path.is_dir() else {}),
        **(_gguf_facts(checkpoint.gguf) if checkpoint.gguf is not None else {}),
        **_tensor_facts(checkpoint.tensors, tensors),
        "layers": f"{len(config['sliding'])}, of which {sum(config['sliding'])} see {config['window']} tokens each way",
        "vector": f"{config['dense'][-1]} numbers",
        "longest text": f"{checkpoint.max_seq_length} tokens",
        **_run_facts(checkpoint, quantization),
        "missing": _missing(checkpoint),
        "prompts": checkpoint.prompts | {k: v for k, v in CARD_PROMPTS.items() if k not in checkpoint.prompts},
    }


def _gguf_facts(gguf: _core.Gguf) -> dict[str, Any]:
    return {"architecture": gguf.metadata["general.architecture"]}


def _tensor_facts(tensors: dict[str, tuple[str, list[int]]], listed: bool) -> dict[str, Any]:
    """How many tensors and bytes there are of each type; with `listed`, each by its name."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for dtype, shape in tensors.values():
        counts[dtype] += 1
        numbers, size = _core.FORMATS[dtype]
        sizes[dtype] += prod(shape) // numbers * size
    types = {dtype: f"{counts[dtype]} tensors, {size:,} bytes" for dtype, size in sizes.most_common()}
    names = {name: f"{dtype} {shape}" for name, (dtype, shape) in tensors.items()}
    return {"types": types, **({"tensors": names} if listed else {})}


def _run_facts(checkpoint: "Checkpoint", quantization: Quantization | None) -> dict[str, Any]:
    """What the engine makes of the matrices, and the memory of a process that embeds; nothing is loaded."""
    from gemlet.checkpoint import packed_sizes, peak_memory, storage_of

    _, storage = storage_of(checkpoint, quantization)
    longest = checkpoint.max_seq_length
    query, text = (round(peak_memory(checkpoint, storage, tokens) / 1e6) for tokens in (QUERY, longest))
    sizes = [f"{kind} ({size / 1e6:.1f} MB)" for kind, size in packed_sizes(checkpoint, storage).items()]
    return {
        "runs as": f"matrices in {', '.join(sizes)}",
        "memory": f"about {query} MB for one query, {text} MB for a text of {longest:,} tokens",
    }


def _missing(checkpoint: "Checkpoint") -> str:
    """What the engine needs and does not find, and what to do."""
    from gemlet.errors import ModelError
    from gemlet.gguf import LAYER_NAMES

    config, tensors = checkpoint.config, checkpoint.tensors
    names = [f"layers.{i}.{part}" for i in range(len(config["sliding"])) for part in LAYER_NAMES.values()]
    names += ["embed_tokens", "norm", *(f"dense.{i}.linear" for i in range(len(config["dense"])))]
    missing = [f"tensor `{name}.weight`" for name in names if f"{name}.weight" not in tensors]
    if len(missing) > 1:
        missing = [f"{len(missing)} tensors, the first {missing[0].removeprefix('tensor ')}"]
    try:
        _ = checkpoint.tokenizer
    except ModelError as error:
        missing.append(f"a tokenizer ({error})")
    cure = "take a complete checkpoint, or write the file again with `gemlet quantize`"
    return f"{'; '.join(missing)}: {cure}" if missing else NOTHING


def _quantized_file(folder: Path) -> str:
    """Where the file lies that runs by default, and how long it is; it may be deleted, the next start writes it."""
    from gemlet.quantized import QuantizedFile

    file = QuantizedFile(folder)
    return f"{file.path}, {file.path.stat().st_size:,} bytes" if file.is_current() else f"{file.path}, not written yet"
