"""A language model that writes, if this machine has one.   (a place or nothing → Writer)

Any server that speaks OpenAI's chat completions will do: Ollama, llama-server, LM Studio. A GGUF file runs in this
process, through xllamacpp's server on a loopback port with a secret of its own: there is one way to talk to a model,
and closing the connection stops it.
"""

from collections.abc import Sequence

from gemlet.errors import GenerationError
from gemlet.generate.local import GgufWriter
from gemlet.generate.server import ServerWriter
from gemlet.generate.writer import Message, Timeouts, Writer

__all__ = ["KNOWN_SERVERS", "GgufWriter", "Message", "ServerWriter", "Timeouts", "Writer", "find_writer"]

KNOWN_SERVERS = {11434: "Ollama", 8080: "llama-server", 1234: "LM Studio"}
"""Where the usual servers listen, in the order they are tried."""


def find_writer(ports: Sequence[int] = tuple(KNOWN_SERVERS), *, key: str | None = None) -> ServerWriter | None:
    """Return the first usual server of this machine that has a model that writes; None when there is none."""
    for port in ports:
        writer = ServerWriter(f"http://127.0.0.1:{port}", key=key)
        try:
            writer.models(timeout=1.0)
            _ = writer.name
        except GenerationError:
            continue
        return writer
    return None
