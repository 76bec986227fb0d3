"""EmbeddingGemma-300M on anyone's own machine: text in, exact vectors out.

from gemlet import Embedder

model = Embedder("google/embeddinggemma-300m")
query = model.encode_query("Which planet is red?")
documents = model.encode_document(["Mars is called the Red Planet.", "Venus is Earth's twin."])
print(model.similarity(query, documents))
"""

from importlib.metadata import version

from gemlet.embedder import Embedder, Encoding, Usage
from gemlet.errors import (
    DoublePromptWarning,
    GemletError,
    GemletWarning,
    InputError,
    InputTooLong,
    InvalidDimension,
    MissingExtra,
    ModelError,
    ModelNotFound,
    OutputError,
    TruncationWarning,
    UnknownPrompt,
    UnsupportedModel,
    WeightsError,
)
from gemlet.vectors import similarity, similarity_pairwise

__version__ = version("gemlet")

__all__ = [
    "DoublePromptWarning",
    "Embedder",
    "Encoding",
    "GemletError",
    "GemletWarning",
    "InputError",
    "InputTooLong",
    "InvalidDimension",
    "MissingExtra",
    "ModelError",
    "ModelNotFound",
    "OutputError",
    "TruncationWarning",
    "UnknownPrompt",
    "UnsupportedModel",
    "Usage",
    "WeightsError",
    "__version__",
    "similarity",
    "similarity_pairwise",
]
