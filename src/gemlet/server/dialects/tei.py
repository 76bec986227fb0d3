"""text-embeddings-inference's routes, which Hugging Face's clients speak too.

/embed puts a prompt before a text where `prompt_name` names one; /similarity compares with the prompt for that;
/rerank takes the query and the texts with the prompts of a search, and its score is the embeddings' cosine: this model
is no cross-encoder, and the header x-score of the answer says so.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from gemlet import __version__
from gemlet.packing import Truncation
from gemlet.server.dialects.inputs import as_mixed, as_texts, as_tokens
from gemlet.server.dialects.tei_shapes import (
    AllRequest,
    DecodeRequest,
    Info,
    ModelType,
    Pooling,
    Rank,
    RerankRequest,
    SimilarityParameters,
    SimilarityRequest,
    TeiError,
    TeiRequest,
    Token,
    TokenizeRequest,
)
from gemlet.server.endpoint import Answer, Call, Dialect, Route, floats
from gemlet.server.problems import Kind, Problem
from gemlet.server.service import WORKERS, Found
from gemlet.vectors import similarity as cosines

COMPARED = "STS"
_SCORE = {"x-score": "cosine"}


async def embed(call: Call, request: TeiRequest) -> list[list[float]]:
    """A vector for each text, or for the tokens of one."""
    service = call.service
    truncation, dim = _truncation(request.truncate, request.truncation_direction), service.dim(request.dimensions)
    rows = as_mixed(request.inputs, "inputs")
    _check_items(call, len(rows))
    texts = [row for row in rows if isinstance(row, str)]
    ids = [row for row in rows if not isinstance(row, str)]
    parts = []
    if texts:
        prompts = service.prompts_for(texts, request.prompt_name, param="prompt_name")
        parts.append(await service.embed(texts, prompts, truncation=truncation, dim=dim, normalize=request.normalize))
    if ids:
        parts.append(await service.embed_ids(ids, truncation=truncation, dim=dim, normalize=request.normalize))
    found = parts[0] if len(parts) == 1 else _merged(parts, [isinstance(row, str) for row in rows])
    call.note(found)
    return await call.written(floats, found.vectors)


def _merged(parts: list[Found], is_text: list[bool]) -> Found:
    """What was found of the texts, and of the tokens, in the order of the request."""
    order = np.argsort(np.argsort(~np.array(is_text), kind="stable"))
    vectors, tokens, cut = (
        np.concatenate([getattr(part, name) for part in parts])[order] for name in ("vectors", "tokens", "cut")
    )
    return Found(vectors, tokens, cut, sum(part.hits for part in parts))


async def embed_all(call: Call, request: AllRequest) -> list[list[list[float]]]:
    """A vector for each token, from behind the final norm."""
    service = call.service
    texts = as_texts(request.inputs, "inputs")
    prompts = service.prompts_for(texts, request.prompt_name, param="prompt_name")
    truncation = _truncation(request.truncate, request.truncation_direction)
    found = await service.embed_tokens(texts, prompts, truncation=truncation)
    call.note(found)
    return await call.service.work(1000 * found.seen, lambda: [[*map(floats, rows)] for rows in found.vectors])


async def similarity(call: Call, request: SimilarityRequest) -> list[float]:
    """The cosine of the first text with each other."""
    told = request.parameters or SimilarityParameters()
    service = call.service
    texts = [request.inputs.source_sentence, *request.inputs.sentences]
    prompts = service.prompts_for(texts, told.prompt_name or COMPARED, param="prompt_name")
    truncation = _truncation(told.truncate, told.truncation_direction)
    found = await service.embed(texts, prompts, truncation=truncation, dim=service.dim(None))
    call.note(found)
    scores: list[float] = cosines(found.vectors[0], found.vectors[1:])[0].tolist()
    return scores


async def rerank(call: Call, request: RerankRequest) -> list[Rank]:
    """The texts by how well they match the query, best first."""
    service = call.service
    texts = [request.query, *request.texts]
    prompts = [
        *service.prompts_for(texts[:1], "query"),
        *service.prompts_for(request.texts, "document"),
    ]
    truncation = _truncation(request.truncate, request.truncation_direction)
    found = await service.embed(texts, prompts, truncation=truncation, dim=service.dim(None))
    call.note(found)
    call.headers |= _SCORE
    scores = cosines(found.vectors[0], found.vectors[1:])[0].astype(float)
    if not request.raw_scores:
        scores = (1 + scores) / 2
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return [Rank(i, float(scores[i]), request.texts[i] if request.return_text else None) for i in order]


async def tokenize(call: Call, request: TokenizeRequest) -> list[list[Token]]:
    """Each text as the model sees it; nothing is cut."""
    service = call.service
    texts = as_texts(request.inputs, "inputs")
    _check_items(call, len(texts))
    prompts = service.prompts_for(texts, request.prompt_name, param="prompt_name")
    pairs = list(zip(prompts, texts, strict=True))
    special = request.add_special_tokens
    size = sum(map(len, texts))
    return await service.work(size, lambda: [_tokens(call, prompt + text, special) for prompt, text in pairs])


def _tokens(call: Call, prompted: str, special: bool) -> list[Token]:
    encoding = call.service.embedder.tokenize(prompted)
    rows = zip(encoding.ids.tolist(), encoding.spans.tolist(), encoding.pieces, strict=True)
    tokens = [Token(number, prompted[begin:end], False, begin, end) for number, (begin, end), _ in rows]
    ends = (Token(tokens[at].id, encoding.pieces[at], True, None, None) for at in (0, -1))
    first, last = ends
    return [first, *tokens[1:-1], last] if special else tokens[1:-1]


async def decode(call: Call, request: DecodeRequest) -> list[str]:
    """Each list of tokens as a text."""
    service = call.service
    rows = as_tokens(request.ids)
    if rows is None:
        raise Problem("empty", "`ids` is empty", param="ids")
    _check_items(call, len(rows))
    size = service.tokenizer.vocab_size
    if any(not 0 <= token < size for row in rows for token in row):
        raise Problem("invalid", f"`ids` has a token that is not from 0 to {size - 1}", param="ids")
    skip = request.skip_special_tokens
    return await service.work(sum(map(len, rows)), lambda: [_decoded(call, row, skip) for row in rows])


def _decoded(call: Call, ids: Sequence[int], skip: bool) -> str:
    tokenizer = call.service.tokenizer
    if skip:
        return tokenizer.decode(ids)
    runs = groupby(ids, lambda token: tokenizer.decode([token]) == "")
    return "".join(
        "".join(map(tokenizer.id_to_piece, run)) if special else tokenizer.decode([*run]) for special, run in runs
    )


def _check_items(call: Call, items: int) -> None:
    most = call.service.settings.items
    if items > most:
        raise Problem("too_many", f"there are {items} texts; at most {most} go into one request")


async def info(call: Call, _: None) -> Info:
    """The model and the limits."""
    service = call.service
    settings = service.settings
    return Info(
        model_id=service.name,
        model_sha=None,
        model_dtype=service.embedder.quantization,
        served_model_name=service.name,
        model_type=ModelType(Pooling()),
        max_concurrent_requests=settings.requests,
        max_input_length=service.embedder.max_seq_length,
        max_batch_tokens=service.embedder.token_budget,
        max_batch_requests=None,
        max_client_batch_size=settings.items,
        auto_truncate=True,
        tokenization_workers=WORKERS,
        version=__version__,
    )


async def health(call: Call, _: None) -> Answer:
    """An empty 200 as long as there is work done."""
    if not call.service.batcher.alive:
        raise Problem("unavailable", "the engine's thread has ended")
    return Answer(b"")


async def metrics(call: Call, _: None) -> Answer:
    """For Prometheus."""
    return Answer(call.service.metrics.text(), "text/plain; version=0.0.4; charset=utf-8")


def _truncation(truncate: bool | None, direction: str) -> Truncation:
    if truncate is False:
        return "error"
    return "left" if direction.lower() == "left" else "right"


_TYPES: dict[Kind, Any] = {
    "empty": "Empty",
    "overloaded": "Overloaded",
    "timeout": "Overloaded",
    "unavailable": "Unhealthy",
    "internal": "Backend",
}


def _problem(problem: Problem) -> TeiError | None:
    if problem.kind == "unauthorized":
        return None
    return TeiError(problem.message, _TYPES.get(problem.kind, "Validation"))


_REFUSES: tuple[Kind, ...] = ("empty", "too_long", "too_many")

ROUTES = [
    Route("POST", "/embed", embed, TeiRequest, list[list[float]], "A vector for each text.", _REFUSES),
    Route("POST", "/", embed, TeiRequest, list[list[float]], "/embed, as Hugging Face's clients ask for it.", _REFUSES),
    Route("POST", "/embed_all", embed_all, AllRequest, list[list[list[float]]], "A vector for each token.", _REFUSES),
    Route(
        "POST", "/similarity", similarity, SimilarityRequest, list[float], "Cosines of one text with others.", _REFUSES
    ),
    Route(
        "POST",
        "/rerank",
        rerank,
        RerankRequest,
        list[Rank],
        "Texts by how well they match a query, by the cosine of the embeddings (this is no cross-encoder).",
        _REFUSES,
    ),
    Route("POST", "/tokenize", tokenize, TokenizeRequest, list[list[Token]], "Texts as tokens.", _REFUSES),
    Route("POST", "/decode", decode, DecodeRequest, list[str], "Tokens as texts.", _REFUSES),
    Route("GET", "/info", info, None, Info, "The model and the limits."),
    Route("GET", "/health", health, None, None, "An empty 200 when all is well.", ("unavailable",), open=True),
    Route("GET", "/ping", health, None, None, "/health.", ("unavailable",), open=True),
    Route("GET", "/metrics", metrics, None, None, "Counts and times, for Prometheus."),
]

TEI = Dialect(
    "tei", "/", ROUTES, TeiError, _problem, {"malformed": 422, "invalid": 422, "too_long": 422, "internal": 424}
)
