"""What text-embeddings-inference's clients send and get.   (the shapes of tei.py)"""

from typing import Annotated, Literal

import msgspec

from gemlet.server.dialects.inputs import Ids, Mixed, Texts

Direction = Literal["right", "left", "Right", "Left"]


class TeiRequest(msgspec.Struct):
    """`truncate` is true unless it is false."""

    inputs: Mixed
    truncate: bool | None = None
    truncation_direction: Direction = "right"
    prompt_name: str | None = None
    normalize: bool = True
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None


class AllRequest(msgspec.Struct):
    """A vector for each token."""

    inputs: Texts
    truncate: bool | None = None
    truncation_direction: Direction = "right"
    prompt_name: str | None = None


class Compared(msgspec.Struct):
    """One text, and those to hold against it."""

    source_sentence: str
    sentences: Annotated[list[str], msgspec.Meta(min_length=1)]


class SimilarityParameters(msgspec.Struct):
    """Without a prompt_name: "STS", sentence similarity."""

    truncate: bool | None = None
    truncation_direction: Direction = "right"
    prompt_name: str | None = None


class SimilarityRequest(msgspec.Struct):
    """As the Hugging Face task has it."""

    inputs: Compared
    parameters: SimilarityParameters | None = None


class RerankRequest(msgspec.Struct):
    """`raw_scores` gives the cosine; else it is moved to 0 to 1: (1 + cosine) / 2."""

    query: str
    texts: Annotated[list[str], msgspec.Meta(min_length=1)]
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool | None = None
    truncation_direction: Direction = "right"


class Rank(msgspec.Struct, omit_defaults=True):
    """`index` of the text in the request."""

    index: int
    score: float
    text: str | None = None


class TokenizeRequest(msgspec.Struct):
    """With `add_special_tokens`, <bos> and <eos>."""

    inputs: Texts
    add_special_tokens: bool = True
    prompt_name: str | None = None


class DecodeRequest(msgspec.Struct):
    """Without `skip_special_tokens`, <bos>, <eos> and other tokens that are no text are written out."""

    ids: Ids
    skip_special_tokens: bool = True


class Token(msgspec.Struct):
    """`start` and `stop` are code points of the text with its prompt; a special token has none."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class Pooling(msgspec.Struct):
    """How a text's vector comes of its tokens'."""

    pooling: str = "mean"


class ModelType(msgspec.Struct):
    """An embedding model."""

    embedding: Pooling


class Info(msgspec.Struct):
    """The model and the limits."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: ModelType
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None = None
    docker_label: str | None = None


class TeiError(msgspec.Struct):
    """As text-embeddings-inference has it."""

    error: str
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"]
