"""What dedupe, pairs and recommend share: rows and their texts, bars, and how a row is shown."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from gemlet.cli.finding import NOTHING, echo, on_one_line, styled
from gemlet.cli.options import read_rows
from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.dataset import Dataset

PROMPT = "sentence similarity"
_SHOWN = 100  # characters of a text on a terminal


def rows_with_texts(paths: Sequence[str], text_column: str | None, skip_empty: bool) -> tuple["Dataset", list[str]]:
    """The rows and the text of each. Raises InputError when there are none."""
    data = read_rows(paths, text_column, skip_empty)
    if not len(data):
        raise InputError(f"{', '.join(paths)}: there are no rows to compare")
    return data, data.texts(text_column)


@contextlib.contextmanager
def bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what takes (done, total) and, on a terminal, draws a bar on stderr."""
    from tqdm import tqdm

    with tqdm(desc=what, unit=unit, disable=None, leave=False, unit_scale=True) as drawn:

        def show(done: int, total: int) -> None:
            drawn.total = total
            drawn.update(done - drawn.n)

        yield show


def line_of(score: float | None, place: str, text: str, indent: int = 0) -> None:
    """Print a row: its score, where it stands, and its text on one line, cut on a terminal."""
    shown = on_one_line(text)
    if sys.stdout.isatty() and len(shown) > _SHOWN:
        shown = shown[: _SHOWN - 1] + "…"
    number = " " * 6 if score is None else f"{score:6.4f}"
    echo(f"{' ' * indent}{number}  {styled(place, fg='magenta')}  {shown}")


def nothing(reason: str) -> None:
    """Say on stderr why there is no result, and leave with the code for that."""
    click.echo(f"gemlet: {reason}", err=True)
    sys.exit(NOTHING)
