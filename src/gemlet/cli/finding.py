"""What `search`, `ask` and `mcp` share: which index, which files of it; and how every verb shows places and text."""

import os
import re
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gemlet.cli.options import Quantization, quantization_option, store_option
from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.generate import Writer
    from gemlet.index import Index
    from gemlet.search import Filter
    from gemlet.stores.opened import StoreIndex

F = TypeVar("F", bound=Callable[..., Any])

NOTHING = 4  # the exit code when nothing matches

TASKS = {"code": "code retrieval", "qa": "question answering", "fact": "fact checking"}

_AGO = re.compile(r"(\d+)\s*([hdwmy])")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "m": 30 * 24, "y": 365 * 24}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def index_options(command: F) -> F:
    """Add --index, --store, --model, --quantization, --threads and --offline."""
    for option in (
        click.option("--offline", is_flag=True, help="Never touch the network."),
        click.option("--threads", type=click.IntRange(1), help="Default: as many as the process may use."),
        quantization_option,
        click.option("--model", metavar="NAME", help="A name, folder or .gguf file.  [default: what made the index]"),
        store_option,
        click.option("--index", "index_path", metavar="FILE", help="Default: $GEMLET_INDEX, or the user's own index."),
    ):
        command = option(command)
    return command


def open_index(
    index_path: str | None,
    store: str | None,
    model: str | None,
    quantization: Quantization | None,
    threads: int | None,
    offline: bool,
) -> "Index | StoreIndex":
    """The index of index_options, or the store."""
    if store is not None:
        if index_path is not None:
            raise click.UsageError("take one of --index and --store")
        from gemlet.stores import address_of
        from gemlet.stores.opened import StoreIndex

        if (address := address_of(store)).kind != "sqlite":
            return StoreIndex(store, model=model, quantization=quantization, threads=threads, offline=offline)
        index_path = address.where
    from gemlet.index import Index

    return Index(index_path, model=model, quantization=quantization, threads=threads, offline=offline)


def filter_options(command: F) -> F:
    """Add --path, --kind, --language, --after and --before."""
    for option in (
        click.option("--before", metavar="DATE", help="Only files changed before: 2026-11-01, or 2w, 3d, 12h ago."),
        click.option("--after", metavar="DATE", help="Only files changed since: 2026-11-01, or 2w, 3d, 12h ago."),
        click.option("--language", "languages", multiple=True, help="Only code in this language: python, c, ..."),
        click.option("--kind", "kinds", multiple=True, help="Only text, markdown, code, pdf, office, mail, ..."),
        click.option(
            "--path", "path_glob", metavar="GLOB", help='Only such files, as in .gitignore: "*.md", "notes/".'
        ),
    ):
        command = option(command)
    return command


def task_options(command: F) -> F:
    """Add --code, --qa, --fact and --task."""
    for option in (
        click.option("--task", help="Another prompt for the query, by its name; `gemlet info` lists them."),
        click.option(
            "--fact", "named", flag_value="fact", help="The query is a claim; finds what tells if it is true."
        ),
        click.option("--qa", "named", flag_value="qa", help="The query is a question."),
        click.option("--code", "named", flag_value="code", help="The query describes code."),
    ):
        command = option(command)
    return command


def writer_options(command: F) -> F:
    """Add --llm, --llm-url and --llm-remote."""
    for option in (
        click.option("--llm-remote", is_flag=True, help="Allow a server elsewhere: it gets to read the passages."),
        click.option("--llm-url", envvar="GEMLET_LLM_URL", metavar="URL", help="An OpenAI-compatible server."),
        click.option(
            "--llm",
            envvar="GEMLET_LLM",
            metavar="NAME|FILE",
            help="A model of the server, or a .gguf file to run here.",
        ),
    ):
        command = option(command)
    return command


def writer_for(llm: str | None, llm_url: str | None, llm_remote: bool) -> "Writer | None":
    """The model that writes: the file or server that is named, else the first usual server that answers, else None.

    The key of a server that asks for one is in GEMLET_LLM_KEY.
    """
    from gemlet.generate import GgufWriter, ServerWriter, find_writer

    key = os.environ.get("GEMLET_LLM_KEY")
    if llm and not llm_url and (llm.endswith(".gguf") or (os.sep in llm and Path(llm).is_file())):
        return GgufWriter(llm)
    if llm_url:
        return ServerWriter(llm_url, llm, key=key, remote=llm_remote)
    found = find_writer(key=key)
    if found is None and llm:
        raise InputError(
            f"no server is there to run {llm}: start Ollama, llama-server or LM Studio, or name a .gguf file"
        )
    return found if found is None or not llm else ServerWriter(found.url, llm, key=key)


def filter_of(
    path_glob: str | None, kinds: tuple[str, ...], languages: tuple[str, ...], after: str | None, before: str | None
) -> "Filter":
    """The Filter of filter_options."""
    from gemlet.search import Filter

    return Filter(path_glob, kinds, languages, _seconds("--after", after), _seconds("--before", before))


def task_of(named: str | None, task: str | None, default: str) -> str:
    """The prompt's name of task_options."""
    if named and task:
        raise click.UsageError(f"--{named} chooses the prompt: leave --task out")
    return TASKS[named] if named else task or default


def shown_path(path: str) -> str:
    """A path for a reader: relative where it lies below the working folder; line breaks and the like escaped."""
    relative = os.path.relpath(path) if os.path.isabs(path) else path
    path = path if relative.startswith(os.pardir) else relative
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", path.replace("\n", "\\n"))


def printable(text: str) -> str:
    """Text of a file without what would steer a terminal."""
    return _CONTROL.sub("\ufffd", text)


def on_one_line(text: str) -> str:
    """The same, every run of white space one space."""
    return " ".join(printable(text.replace("\r", " ")).split())


def styled(text: str, **style: Any) -> str:
    """The text in a colour or in bold, where a terminal shows it and its user wants it."""
    return click.style(text, **style) if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


def echo(text: str = "", *, end: str = "\n", errors: str = "surrogateescape") -> None:
    """Write to stdout as bytes: a file's name may hold what is no text."""
    sys.stdout.buffer.write((text + end).encode("utf-8", errors))


def _seconds(option: str, value: str | None) -> float | None:
    if value is None:
        return None
    if ago := _AGO.fullmatch(value.strip().lower()):
        return (datetime.now() - timedelta(hours=int(ago[1]) * _HOURS[ago[2]])).timestamp()
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        raise InputError(
            f"{option} {value!r} is no date: write 2026-11-01, 2026-11-01T18:30, or 2w for two weeks ago"
        ) from None
