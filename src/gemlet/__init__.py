"""EmbeddingGemma-300M on anyone's own machine: text in, vectors out.

from gemlet import Embedder

model = Embedder("google/embeddinggemma-300m")
query = model.encode_query("Which planet is red?")
documents = model.encode_document(["Mars is called the Red Planet.", "Venus is Earth's twin."])
print(model.similarity(query, documents))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gemlet.errors import (
    BulkError,
    CacheWarning,
    DoublePromptWarning,
    GemletError,
    GemletWarning,
    GenerationError,
    InputError,
    InputTooLong,
    InvalidDimension,
    MissingExtra,
    ModelError,
    ModelNotFound,
    OutputError,
    StoreCorrupt,
    StoreError,
    StoreMismatch,
    StoreNotFound,
    TrainingError,
    TruncationWarning,
    UnknownPrompt,
    UnreadableDocument,
    UnsupportedModel,
    WeightsError,
)

if TYPE_CHECKING:
    from gemlet.classify import Classifier
    from gemlet.clustering import Clustering, cluster
    from gemlet.embedder import Embedder, Encoding, Usage
    from gemlet.index import Index
    from gemlet.vectors import similarity, similarity_pairwise

    __version__: str

__all__ = [
    "BulkError",
    "CacheWarning",
    "Classifier",
    "Clustering",
    "DoublePromptWarning",
    "Embedder",
    "Encoding",
    "GemletError",
    "GemletWarning",
    "GenerationError",
    "Index",
    "InputError",
    "InputTooLong",
    "InvalidDimension",
    "MissingExtra",
    "ModelError",
    "ModelNotFound",
    "OutputError",
    "StoreCorrupt",
    "StoreError",
    "StoreMismatch",
    "StoreNotFound",
    "TrainingError",
    "TruncationWarning",
    "UnknownPrompt",
    "UnreadableDocument",
    "UnsupportedModel",
    "Usage",
    "WeightsError",
    "__version__",
    "cluster",
    "similarity",
    "similarity_pairwise",
]

_HOMES = {
    "Classifier": "classify",
    "Clustering": "clustering",
    "Embedder": "embedder",
    "Encoding": "embedder",
    "Index": "index",
    "Usage": "embedder",
    "cluster": "clustering",
    "similarity": "vectors",
    "similarity_pairwise": "vectors",
}


def __getattr__(name: str) -> Any:
    """Import what needs NumPy when it is asked for: the command line has its own first steps to do."""
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version("gemlet")
    elif name in _HOMES:
        value = getattr(import_module(f"gemlet.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'gemlet' has no attribute {name!r}")
    globals()[name] = value
    return value
