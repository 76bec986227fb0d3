"""`gemlet`: one command for each use; a file is imported when its command runs.   (the command line)"""

import gc
import importlib
import os
import sys
import warnings
from typing import Any

import click

from gemlet.errors import GemletError, InputError, MissingExtra

COMMANDS = {
    "pull": "Fetch the model once; everything else then works offline.",
    "embed": "Turn texts into vectors.",
    "similarity": "Compare texts by meaning.",
    "tokenize": "Show texts as the model sees them.",
    "index": "Index folders, for `gemlet search`.",
    "quantize": "Write a checkpoint as one .gguf file.",
    "search": "Find passages of your files by meaning and by words.",
    "ask": "Answer a question from your files, with sources.",
    "dedupe": "Find rows that say the same, and keep one of each.",
    "pairs": "Find the most similar rows, matches in another file, translations.",
    "recommend": "Find rows like these and not like those.",
    "serve": "Serve vectors to every embedding client over HTTP.",
    "mcp": "Serve the index to other programs' models.",
    "classify": "Label rows: from names of labels, or from examples.",
    "cluster": "Put rows into groups of like meaning.",
    "map": "Draw rows as a map, near for what is alike.",
    "bulk": "Turn large files into vectors, on one machine or many.",
    "eval": "Measure how good the vectors are, on published tasks or your own data.",
    "mine": "Find hard negatives for pairs to train on.",
    "clean": "Take out of a training set what should not be trained on.",
    "queries": "Have a language model write queries for passages.",
    "train": "Fine-tune the model on your own rows.",
    "soup": "Average fine-tuned checkpoints.",
    "info": "Tell what a checkpoint is, how it runs, and what it lacks.",
    "verify": "Check this installation against golden vectors.",
}

INTERRUPTED = 130  # by Ctrl-C, as everywhere

# NumPy's own threads have nothing to multiply but in `quantize`, and starting them takes as long as importing the rest.
if sys.argv[1:2] != ["quantize"]:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What a shell sees. The first row that fits wins.
EXIT_CODES: list[tuple[type[BaseException], int]] = [(InputError, 2), (MissingExtra, 3), (GemletError, 1), (OSError, 1)]


class LazyGroup(click.Group):
    """Names the commands at once and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in reading order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"gemlet.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


EPILOG = """\b
Examples:
  gemlet pull
  gemlet embed --task query "Which planet is red?"
  gemlet embed --task document --dim 256 -f notes.txt -o notes.npy
  gemlet similarity "a fast car" "a quick automobile" "a slow cooker"
  gemlet verify
"""


@click.command(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gemlet", message="%(prog)s %(version)s")
def cli() -> None:
    """EmbeddingGemma-300M on your own machine: text in, vectors out."""


def main() -> None:
    """Run the command line: results on stdout, everything else on stderr, a one-line message for a user's mistake."""
    warnings.showwarning = _show_warning
    try:
        sys.exit(cli.main(prog_name="gemlet", standalone_mode=False))
    except click.Abort:
        click.echo("gemlet: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our stdout has left: `gemlet embed ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except tuple(kind for kind, _ in EXIT_CODES) as error:
        click.echo(f"gemlet: {error}", err=True)
        sys.exit(next(code for kind, code in EXIT_CODES if isinstance(error, kind)))
    finally:
        gc.freeze()  # else Python looks through every module for garbage on its way out, which takes 18 ms


def _show_warning(message: Any, *_: Any, **__: Any) -> None:
    click.echo(f"gemlet: {message}", err=True)
