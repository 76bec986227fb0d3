"""What several commands share: which model, and how a call of it is meant."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import click

from gemlet.packing import Truncation
from gemlet.vectors import MATRYOSHKA_DIMS, Precision

if TYPE_CHECKING:
    from gemlet.dataset import Dataset
    from gemlet.embedder import Embedder

Quantization = Literal["f32", "bf16", "q8_0"]
F = TypeVar("F", bound=Callable[..., Any])

MODEL = "google/embeddinggemma-300m"

quantization_option = click.option(
    "--quantization",
    type=click.Choice(get_args(Quantization)),
    help="Of the weights; default: what a .gguf file holds, q8_0 for a checkpoint; f32 is exact.",
)

store_option = click.option(
    "--store", metavar="URL", help="A database: postgresql://USER@HOST/DATABASE, qdrant://HOST:6333/COLLECTION."
)


def model_options(command: F) -> F:
    """Add --model, --quantization, --threads and --offline."""
    for option in (
        click.option("--offline", is_flag=True, help="Never touch the network."),
        click.option("--threads", type=click.IntRange(1), help="Default: as many as the process may use."),
        quantization_option,
        click.option("--model", default=MODEL, show_default=True, help="A published name, a folder or a .gguf file."),
    ):
        command = option(command)
    return command


def device_option(command: F) -> F:
    """Add --device."""
    note = "cpu, or cuda: a GPU, through PyTorch (pip install 'gemlet[gpu]')."
    return click.option("--device", default="cpu", show_default=True, help=note)(command)


def dim_option(command: F) -> F:
    """Add --dim."""
    dims = click.Choice([str(dim) for dim in MATRYOSHKA_DIMS])
    return click.option("--dim", type=dims, help="Numbers in a vector; default: all 768.")(command)


def encode_options(command: F) -> F:
    """Add --task, --dim and --truncation."""
    for option in (
        click.option(
            "--truncation", type=click.Choice(get_args(Truncation)), default="right", show_default=True,
            help="Of texts over 2,048 tokens.",
        ),
        dim_option,
        click.option("--task", help='The prompt: "query", "document", "clustering", ...; `gemlet info` lists them.'),
    ):  # fmt: skip
        command = option(command)
    return command


def dataset_options(command: F) -> F:
    """Add --text and --skip-empty, for the rows that dataset.read_dataset() reads."""
    for option in (
        click.option("--skip-empty", is_flag=True, help="Leave rows without text out; else they are an error."),
        click.option(
            "--text", "text_column", metavar="COLUMN", help="Which column is the text.  [default: by its name]"
        ),
    ):
        command = option(command)
    return command


def read_rows(paths: Sequence[str], text_column: str | None, skip_empty: bool) -> "Dataset":
    """The rows of the files and folders, those without text left out if that is wanted; what was not read is told."""
    from gemlet.dataset import read_dataset

    data = read_dataset(paths)
    for name, reason in data.skipped:
        click.echo(f"gemlet: {name} {reason}", err=True)
    return data.with_text(text_column) if skip_empty else data


def precision_option(command: F) -> F:
    """Add --precision."""
    choice = click.Choice(get_args(Precision))
    return click.option("--precision", type=choice, default="float32", show_default=True, help="Of the vectors.")(
        command
    )


def locate(model: str, offline: bool) -> Path:
    """Return the checkpoint's folder, or its .gguf file; what has to be fetched is fetched with a progress bar."""
    from gemlet.pretrained import find
    from gemlet.pretrained.progress import Terminal

    with Terminal() as progress:
        return find(model, offline=offline, progress=progress)


def load(
    model: str, quantization: Quantization | None, threads: int | None, offline: bool, device: str = "cpu"
) -> "Embedder":
    """Return the embedder for --model and its options."""
    from gemlet.embedder import Embedder
    from gemlet.gpu import check_device

    check_device(device)  # before anything is fetched
    return Embedder(locate(model, offline), quantization=quantization, threads=threads, device=device)
