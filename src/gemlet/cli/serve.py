"""`gemlet serve`: vectors over HTTP, for OpenAI's, Ollama's, Cohere's and Hugging Face's clients."""

import contextlib
import gc
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from gemlet.cli.finding import writer_for, writer_options
from gemlet.cli.options import device_option, model_options
from gemlet.errors import InputError

if TYPE_CHECKING:
    from gemlet.server import Settings

KEY = "GEMLET_KEY"

EPILOG = """\b
Examples:
  gemlet serve
  gemlet serve --index notes.db --index papers.db
  gemlet serve --store postgresql:///notes
  gemlet serve --task document --dim 256
  gemlet serve --port 11434 --alias nomic-embed-text
  GEMLET_KEY=$(openssl rand -hex 24) gemlet serve --host 0.0.0.0
\b
Then, from another terminal:
  a browser at http://127.0.0.1:8080
  curl http://127.0.0.1:8080/v1/embeddings -d '{"input": "Hello"}'
  OPENAI_BASE_URL=http://127.0.0.1:8080/v1     for OpenAI's clients
  OLLAMA_HOST=http://127.0.0.1:8080            for Ollama's
\b
A text gets the prompt that its request names (input_type, task, prompt_name),
else the one that the model's name ends in ("embeddinggemma-300m:query"), else
that of --task. docs/serve.md lists the routes.
"""


@click.command(epilog=EPILOG)
@click.option("--index", "indexes", multiple=True, metavar="FILE", help="To search over HTTP; repeat it for several.")
@click.option(
    "--store", "stores", multiple=True, metavar="URL", help="A database to search, too: postgresql://..., qdrant://..."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option("--name", help="What clients call the model.  [default: from --model]")
@click.option("--alias", "aliases", multiple=True, metavar="NAME", help="Another name; repeat it for several.")
@click.option("--task", metavar="NAME", help="The prompt of texts that are sent without one.  [default: none]")
@click.option("--dim", type=click.Choice(["768", "512", "256", "128"]), help="Numbers in a vector, unless asked else.")
@click.option("--key-file", metavar="FILE", help=f"Keys to let in, one a line. {KEY} in the environment is one too.")
@click.option("--no-key-on-a-public-address", "without_key", is_flag=True, help="Let everybody in who reaches --host.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A name of this machine that clients use.")
@click.option("--allow-origin", "origins", multiple=True, metavar="URL", help="A web page that may ask.")
@click.option("--max-items", "items", default=2048, show_default=True, type=click.IntRange(1), help="Texts a request.")
@click.option("--cache-mb", default=32, show_default=True, type=click.IntRange(0), help="For vectors of earlier texts.")
@click.option("--timeout", "seconds", default=600, show_default=True, type=click.IntRange(1), help="Seconds a request.")
@click.option("--quiet", is_flag=True, help="Log no requests.")
@writer_options
@device_option
@model_options
def command(
    indexes: tuple[str, ...],
    stores: tuple[str, ...],
    host: str,
    port: int,
    dim: str | None,
    key_file: str | None,
    without_key: bool,
    cache_mb: int,
    seconds: int,
    quiet: bool,
    llm: str | None,
    llm_url: str | None,
    llm_remote: bool,
    model: str,
    quantization: Any,
    threads: int | None,
    offline: bool,
    device: str,
    **named: Any,
) -> None:
    """Serve vectors over HTTP.

    It speaks the APIs of OpenAI, Ollama, Cohere and text-embeddings-inference. The log has a JSON line for each request
    on stderr, without its texts.
    """
    from gemlet.server import Settings, check_address

    settings = Settings(keys=_keys(key_file), cache_bytes=cache_mb << 20, request_s=seconds, **named)
    check_address(host, settings, without_key=without_key)
    loaded = {"quantization": quantization, "threads": threads, "offline": offline, "device": device}
    writer = (lambda: writer_for(llm, llm_url, llm_remote)) if llm or llm_url else None
    own = {"indexes": indexes, "writer": writer, "stores": stores}
    with contextlib.nullcontext() if quiet else _log_on_stderr():
        _serve(model, settings, host, port, own, truncate_dim=int(dim) if dim else None, **loaded)
    gc.collect()  # what is left of the engine goes now, and not when Python has half ended


def _serve(model: str, settings: "Settings", host: str, port: int, own: dict[str, Any], **how: Any) -> None:
    from gemlet.embedder import Embedder
    from gemlet.server import DIALECTS, OwnRoutes, app, look, pages, run

    for url in own["stores"]:
        look(url)  # what cannot be reached is told before the model is loaded
    embedder = Embedder(model, **how)
    if how["device"].startswith("cuda"):
        embedder.compile()  # now, and not while somebody waits
    routes = OwnRoutes(embedder, **own)
    served = app(embedder, settings, dialects=[*DIALECTS, routes.dialect()], pages=pages(), ending=[routes.close])

    def ready(address: str) -> None:
        guarded = "with a key" if settings.keys else "without a key"
        click.echo(f"gemlet: {served.service.name} on {address}, {guarded}; Ctrl-C ends it", err=True)

    run(served, host, port, ready=ready)


def _keys(path: str | None) -> tuple[str, ...]:
    """The keys of the file and of the environment. Raises InputError for a file without any."""
    keys = [os.environ[KEY]] if os.environ.get(KEY) else []
    if path:
        try:
            with open(path, encoding="utf-8") as file:
                lines = [line.strip() for line in file]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the keys in {path}: {error}") from None
        found = [line for line in lines if line and not line.startswith("#")]
        if not found:
            raise InputError(f"{path} has no key: write one on a line of its own, `openssl rand -hex 24` makes one")
        keys += found
    return tuple(keys)


@contextlib.contextmanager
def _log_on_stderr() -> Iterator[None]:
    logger = logging.getLogger("gemlet.server")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
