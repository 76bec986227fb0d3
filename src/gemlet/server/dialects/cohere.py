"""Cohere's embed, version 2: texts with an input_type, in one or several number formats.

int8 and uint8 have a scale of their own for each vector, as gemlet.vectors.quantize() has; Cohere's have one for all.
"""

import base64
import uuid
from typing import Annotated, Any, Literal

import msgspec

from gemlet import vectors
from gemlet.packing import Truncation
from gemlet.server.endpoint import Call, Dialect, Route, floats
from gemlet.server.problems import Problem
from gemlet.vectors import FloatArray

EmbeddingType = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]

_TRUNCATION: dict[str, Truncation] = {"NONE": "error", "START": "left", "END": "right"}


class CohereRequest(msgspec.Struct):
    """`input_type`: "search_document", "search_query", "classification", "clustering", or any task of the model."""

    model: str
    input_type: str
    texts: Annotated[list[str], msgspec.Meta(min_length=1)]
    embedding_types: list[EmbeddingType] | None = None
    output_dimension: Annotated[int, msgspec.Meta(ge=1)] | None = None
    truncate: Literal["NONE", "START", "END"] = "END"


class CohereEmbeddings(msgspec.Struct, omit_defaults=True, rename={"float_": "float"}):
    """Those that were asked for, a row for each text."""

    float_: list[list[float]] | None = None
    int8: list[list[int]] | None = None
    uint8: list[list[int]] | None = None
    binary: list[list[int]] | None = None
    ubinary: list[list[int]] | None = None
    base64: list[str] | None = None


class BilledUnits(msgspec.Struct):
    """Nothing is billed: the tokens that were read."""

    input_tokens: int


class ApiVersion(msgspec.Struct):
    """Of the API."""

    version: str = "2"


class Meta(msgspec.Struct):
    """About the request."""

    api_version: ApiVersion
    billed_units: BilledUnits


class CohereResponse(msgspec.Struct):
    """`texts` are those of the request."""

    id: str
    embeddings: CohereEmbeddings
    texts: list[str]
    meta: Meta


class CohereError(msgspec.Struct):
    """As Cohere has it."""

    message: str


async def embed(call: Call, request: CohereRequest) -> CohereResponse:
    """A vector for each text, in each format."""
    service = call.service
    dim = service.dim(request.output_dimension, "output_dimension")
    prompts = service.prompts_for(request.texts, request.input_type, model=request.model)
    found = await service.embed(request.texts, prompts, truncation=_TRUNCATION[request.truncate], dim=dim)
    call.note(found)
    given = CohereEmbeddings()
    asked: list[EmbeddingType] = request.embedding_types or ["float"]
    for name in dict.fromkeys(asked):
        field = "float_" if name == "float" else name
        setattr(given, field, await _written(call, found.vectors, name))
    meta = Meta(ApiVersion(), BilledUnits(found.seen))
    return CohereResponse(str(uuid.uuid4()), given, request.texts, meta)


async def _written(call: Call, found: FloatArray, name: EmbeddingType) -> list[Any]:
    if name == "base64":
        return [base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode() for row in found]
    rows = vectors.quantize(found, "float32" if name == "float" else name)
    return await call.written(floats, rows)


def _problem(problem: Problem) -> CohereError:
    return CohereError(problem.message)


ROUTES = [
    Route(
        "POST",
        "/v2/embed",
        embed,
        CohereRequest,
        CohereResponse,
        "Vectors of texts, as Cohere's API gives them.",
        ("unknown_model", "too_long", "too_many"),
    )
]

COHERE = Dialect("cohere", "/v2", ROUTES, CohereError, _problem)
