"""Ollama's embeddings, and what its clients look at before they ask.

Ollama puts no prompt before a text, so none is put here unless the model's name ends in a task ("embeddinggemma:query")
or the server has a default. Fields that say how a model is loaded (`keep_alive`, `options`) change nothing.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from gemlet import __version__
from gemlet.server.endpoint import Answer, Call, Dialect, Route, floats
from gemlet.server.problems import Problem
from gemlet.server.service import Service

_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
_INPUT = {"x-schema": _TEXTS}


class EmbedRequest(msgspec.Struct):
    """Without a text there are no embeddings. `truncate` is true unless it is false."""

    model: str
    input: Annotated[Any, msgspec.Meta(extra_json_schema=_INPUT)] = None
    truncate: bool | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    keep_alive: str | float | None = None
    options: dict[str, Any] | None = None


class EmbedResponse(msgspec.Struct):
    """Durations are in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class LegacyRequest(msgspec.Struct):
    """The older route's."""

    model: str
    prompt: str | None = None
    keep_alive: str | float | None = None
    options: dict[str, Any] | None = None


class LegacyResponse(msgspec.Struct):
    """Empty without a text."""

    embedding: list[float]


class Details(msgspec.Struct):
    """What kind of model it is."""

    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str
    parent_model: str = ""


class Tag(msgspec.Struct):
    """A model as the list has it; `size` in bytes."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details


class Tags(msgspec.Struct):
    """All there are: one."""

    models: list[Tag]


class ShowRequest(msgspec.Struct):
    """`name` is the older field; without either, the model that there is."""

    model: str | None = None
    name: str | None = None
    verbose: bool | None = None


class Show(msgspec.Struct):
    """A model by itself."""

    details: Details
    model_info: dict[str, str | int]
    capabilities: list[str]
    modified_at: str
    license: str
    modelfile: str = ""
    parameters: str = ""
    template: str = "{{ .Prompt }}"


class Version(msgspec.Struct):
    """gemlet's."""

    version: str


class OllamaError(msgspec.Struct):
    """As Ollama has it."""

    error: str


async def embed(call: Call, request: EmbedRequest) -> EmbedResponse:
    """A vector for each text."""
    began = time.perf_counter_ns()
    texts = _texts(request.input)
    found = await _vectors(call, request.model, texts, request.truncate, request.dimensions)
    rows, tokens = found
    return EmbedResponse(request.model, rows, time.perf_counter_ns() - began, 0, tokens)


async def legacy(call: Call, request: LegacyRequest) -> LegacyResponse:
    """A vector for one text."""
    rows, _ = await _vectors(call, request.model, [request.prompt] if request.prompt else [], True, None)
    return LegacyResponse(rows[0] if rows else [])


def _texts(given: Any) -> list[str]:
    if given is None or given == "":
        return []
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Problem("invalid", "invalid input type", param="input")
    return texts


async def _vectors(
    call: Call, model: str, texts: Sequence[str], truncate: bool | None, dim: int | None
) -> tuple[list[Any], int]:
    service = call.service
    service.task_of(model)
    width = service.dim(dim)
    if not texts:
        return [], 0
    prompts = service.prompts_for(texts, None, model=model)
    found = await service.embed(texts, prompts, truncation="error" if truncate is False else "right", dim=width)
    call.note(found)
    return await call.written(floats, found.vectors), found.seen


async def tags(call: Call, _: None) -> Tags:
    """The model."""
    service = call.service
    size, digest = service.weights
    name = f"{service.name}:latest"
    return Tags([Tag(name, name, _when(service), size, digest, _details(service))])


async def show(call: Call, request: ShowRequest) -> Show:
    """What the model is."""
    service = call.service
    service.task_of(request.model or request.name)
    info: dict[str, str | int] = {
        "general.architecture": "gemma-embedding",
        "general.basename": service.name,
        "gemma-embedding.context_length": service.embedder.max_seq_length,
        "gemma-embedding.embedding_length": service.full_dim,
    }
    license_ = "Gemma Terms of Use: https://ai.google.dev/gemma/terms"
    return Show(_details(service), info, ["embedding"], _when(service), license_)


async def version(_: Call, __: None) -> Version:
    """Which gemlet this is."""
    return Version(__version__)


async def root(_: Call, __: None) -> Answer:
    """A sign of life."""
    return Answer(b"gemlet is running")


def _details(service: Service) -> Details:
    return Details("gguf", "gemma3", ["gemma3"], "307.58M", service.embedder.quantization.upper())


def _when(service: Service) -> str:
    return datetime.fromtimestamp(service.started, UTC).isoformat().replace("+00:00", "Z")


def _problem(problem: Problem) -> OllamaError:
    if problem.kind == "unknown_model":
        return OllamaError(problem.message.replace("there is no model", "model", 1).replace(" here;", " not found;", 1))
    if problem.kind == "too_long":
        return OllamaError("the input length exceeds the context length")
    return OllamaError(problem.message)


ROUTES = [
    Route(
        "POST",
        "/api/embed",
        embed,
        EmbedRequest,
        EmbedResponse,
        "Vectors of texts, as Ollama gives them.",
        ("unknown_model", "too_long", "too_many"),
    ),
    Route(
        "POST",
        "/api/embeddings",
        legacy,
        LegacyRequest,
        LegacyResponse,
        "Ollama's older route: one text.",
        ("unknown_model", "too_many"),
    ),
    Route("GET", "/api/tags", tags, None, Tags, "The model, as Ollama lists models."),
    Route("POST", "/api/show", show, ShowRequest, Show, "What the model is.", ("unknown_model",)),
    Route("GET", "/api/version", version, None, Version, "gemlet's version."),
    Route("GET", "/", root, None, None, "A sign of life.", open=True),
]

OLLAMA = Dialect("ollama", "/api", ROUTES, OllamaError, _problem)
