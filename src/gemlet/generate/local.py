"""A GGUF file, run in this process: messages → pieces of text."""

import secrets
from pathlib import Path
from typing import Any

from gemlet import _core
from gemlet.errors import GenerationError, InputError, MissingExtra, ModelError
from gemlet.generate.events import one_line
from gemlet.generate.server import ServerWriter

CONTEXT = 8192  # tokens at most: sources, question and answer


class GgufWriter(ServerWriter):
    """A GGUF file, run in this process by xllamacpp (extra `rag`)."""

    def __init__(self, path: str | Path, *, threads: int | None = None, context: int = CONTEXT) -> None:
        """Load the model.

        threads  None: as many as xllamacpp chooses
        context  tokens at most for question, sources and answer

        Raises MissingExtra, InputError when there is no such file, GenerationError when it cannot be run.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"there is no file {path}: name a .gguf file of a model that writes")
        self._file = path
        metadata = _gguf_metadata(path)
        architecture = metadata.get("general.architecture", "")
        if architecture == "gemma-embedding":
            raise InputError(f"{path} is an embedding model: it does not write; name a chat model's .gguf file")
        context = min(context, int(metadata.get(f"{architecture}.context_length", context)))
        key = secrets.token_hex(16)
        self._server = _start_server(path, threads, context, key)
        super().__init__(self._server.listening_address, path.stem, key=key, chat="tokenizer.chat_template" in metadata)

    def _failed(self, error: Exception) -> GenerationError:
        return GenerationError(
            f"{self._file} stopped writing: {one_line(str(error) or type(error).__name__)}", str(self._file)
        )


def _start_server(path: Path, threads: int | None, context: int, key: str) -> Any:
    try:
        import xllamacpp
    except ImportError:
        raise MissingExtra("rag", "a language model in process") from None
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.port, params.api_keys = context, 1, 0, [key]
    params.ui = params.endpoint_slots = params.warmup = False
    params.verbosity = -1
    if threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    try:
        return xllamacpp.Server(params)
    except RuntimeError:
        raise GenerationError(
            f"{path} cannot be run: is it a whole GGUF file of a language model?", str(path)
        ) from None


def _gguf_metadata(path: Path) -> dict[str, Any]:
    """What the file says of itself; nothing, when our own reader does not know a type in it."""
    try:
        return _core.Gguf.open(str(path)).metadata
    except ModelError:
        return {}
