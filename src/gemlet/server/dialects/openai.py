"""OpenAI's embeddings, as its SDKs and what is built on them ask for them.

Beyond OpenAI's fields: `input_type` (or `task`, `prompt_name`), `titles`, `truncate`. A text that is too long is
refused, as OpenAI does, unless `truncate` lets it be cut; the answer's `truncated` then says of each text by how much.
"""

import base64
from typing import Annotated, Literal

import msgspec

from gemlet.packing import Truncation
from gemlet.server.dialects.inputs import Inputs, as_texts, as_tokens
from gemlet.server.endpoint import REST, Call, Dialect, Route, floats
from gemlet.server.problems import Kind, Problem
from gemlet.server.service import Found
from gemlet.vectors import FloatArray


class EmbeddingsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`model` may end in a task: "embeddinggemma-300m:query"."""

    input: Inputs
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    user: str | None = None
    input_type: str | None = None
    task: str | None = None
    prompt_name: str | None = None
    titles: list[str | None] | None = None
    truncate: bool | Literal["right", "left", "window", "none"] | None = None


class Embedding(msgspec.Struct):
    """`embedding` is base64 of little-endian float32 where that was asked for."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class Usage(msgspec.Struct):
    """Tokens, prompts included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(msgspec.Struct, omit_defaults=True):
    """`truncated`: by how many tokens each text was cut, when any was."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage
    truncated: list[int] | None = None


class Model(msgspec.Struct):
    """A name to call the model by."""

    id: str
    created: int
    object: Literal["model"] = "model"
    owned_by: str = "gemlet"


class Models(msgspec.Struct):
    """The names there are."""

    data: list[Model]
    object: Literal["list"] = "list"


class ErrorDetail(msgspec.Struct):
    """`param`: the field that it is about."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(msgspec.Struct):
    """As OpenAI nests it."""

    error: ErrorDetail


async def embeddings(call: Call, request: EmbeddingsRequest) -> EmbeddingsResponse:
    """One vector for each input."""
    service = call.service
    service.task_of(request.model)
    dim = service.dim(request.dimensions)
    found = await _found(call, request, dim)
    call.note(found)
    write = _base64 if request.encoding_format == "base64" else floats
    written = await call.written(write, found.vectors)
    data = [Embedding(index, vector) for index, vector in enumerate(written)]
    truncated = found.cut.tolist() if found.cut.any() else None
    usage = Usage(found.seen, found.seen)
    return EmbeddingsResponse("list", data, request.model or service.name, usage, truncated)


async def _found(call: Call, request: EmbeddingsRequest, dim: int) -> Found:
    service = call.service
    truncation = _truncation(request.truncate)
    task = _task(request)
    ids = as_tokens(request.input)
    if ids is None:
        texts = as_texts(request.input, "input")  # type: ignore[arg-type]
        prompts = service.prompts_for(texts, task, model=request.model, titles=request.titles)
        return await service.embed(texts, prompts, truncation=truncation, dim=dim)
    if task or request.titles is not None:
        raise Problem("invalid", "tokens have their prompt in them: leave the task and titles out", param="input_type")
    return await service.embed_ids(ids, truncation=truncation, dim=dim)


def _task(request: EmbeddingsRequest) -> str | None:
    """The one task that was named, under whichever name. Raises Problem for two that differ."""
    named = {name for name in (request.input_type, request.task, request.prompt_name) if name is not None}
    if len(named) > 1:
        raise Problem("invalid", "input_type, task and prompt_name say the same thing: send one", param="input_type")
    return named.pop() if named else None


def _truncation(truncate: bool | str | None) -> Truncation:
    chosen: dict[object, Truncation] = {True: "right", "right": "right", "left": "left", "window": "window"}
    return chosen.get(truncate, "error")


def _base64(row: FloatArray) -> str:
    return base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode()


async def models(call: Call, _: None) -> Models:
    """The names that the model answers to, and with a task behind them."""
    service = call.service
    names = [*dict.fromkeys(service.names), *(f"{service.name}:{task}" for task in ("query", "document"))]
    return Models([Model(name, service.started) for name in names])


async def model(call: Call, _: None) -> Model:
    """One of the names; also with any task behind it."""
    call.service.task_of(call.rest)
    return Model(call.rest, call.service.started)


_CODES: dict[Kind, str] = {
    "unknown_model": "model_not_found",
    "unauthorized": "invalid_api_key",
    "too_long": "context_length_exceeded",
    "overloaded": "rate_limit_exceeded",
}


def _problem(problem: Problem) -> ErrorResponse:
    server = problem.kind in ("internal", "unavailable", "timeout")
    kind = "server_error" if server else "invalid_request_error"
    if problem.kind == "overloaded":
        kind = "rate_limit_error"
    return ErrorResponse(ErrorDetail(problem.message, kind, problem.param, _CODES.get(problem.kind)))


ROUTES = [
    Route(
        "POST",
        "/v1/embeddings",
        embeddings,
        EmbeddingsRequest,
        EmbeddingsResponse,
        "Vectors of texts, as OpenAI's API gives them.",
        ("unknown_model", "too_long", "too_many"),
    ),
    Route("GET", "/v1/models", models, None, Models, "The names that the model answers to."),
    Route("GET", f"/v1/models/{REST}", model, None, Model, "One of these names.", ("unknown_model",)),
]

OPENAI = Dialect("openai", "/v1", ROUTES, ErrorResponse, _problem)
