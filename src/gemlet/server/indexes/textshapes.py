"""What the routes over given texts take and give.   (JSON ↔ structs)"""

from typing import Annotated

from msgspec import Meta, Struct

SEARCHES = ("search result", "question answering", "fact checking", "code retrieval")
"""Tasks of a query and a document."""

ALIKE = ("sentence similarity", "classification", "clustering", "summarization")
"""Tasks whose texts all have one prompt."""

TEXTS = 2048
LABELS = 200
CHARACTERS = 20_000  # of a text that is compared

Text = Annotated[str, Meta(max_length=CHARACTERS)]
Texts = Annotated[list[str], Meta(min_length=1, max_length=TEXTS)]


class ClassifyRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Texts to label by the labels' names alone; `descriptions` say more of some labels."""

    texts: Texts
    labels: Annotated[list[Annotated[str, Meta(min_length=1, max_length=1000)]], Meta(min_length=2, max_length=LABELS)]
    descriptions: dict[str, Annotated[str, Meta(max_length=2000)]] = {}


class Labelled(Struct, kw_only=True):
    """A text's most probable label, and how probable each is, in the order of the labels."""

    label: str
    probability: float
    probabilities: list[float]


class ClassifyAnswer(Struct, kw_only=True):
    """One for each text, in order."""

    labels: list[str]
    results: list[Labelled]


class ClusterRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Texts to put into groups; without `k`, into as many as fit best."""

    texts: Annotated[list[str], Meta(min_length=2, max_length=TEXTS)]
    k: Annotated[int, Meta(ge=1, le=TEXTS)] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0


class Group(Struct, kw_only=True):
    """A cluster: its telling words, its size, and the places of the texts nearest to its middle."""

    name: str
    words: list[str]
    size: int
    examples: list[int]


class ClusterAnswer(Struct, kw_only=True):
    """`labels`: for each text the place of its cluster; `anomaly`: from 0 to 1 how far it lies from all others.

    silhouette  -1 to 1; null with one cluster
    """

    clusters: list[Group]
    labels: list[int]
    anomaly: list[float]
    silhouette: float | None


class CompareRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Two texts; where a task tells a query from a document, the first is the query."""

    a: Text
    b: Text
    dimensions: int | None = None


class Compared(Struct, kw_only=True):
    """The cosine of the two texts with a task's prompt.

    probability  that the second answers the first, where the task is a search
    level        "duplicate", "near-duplicate", "same meaning" or "different", for sentence similarity
    """

    task: str
    cosine: float
    probability: float | None
    level: str | None


class CompareAnswer(Struct, kw_only=True):
    """Each of the model's tasks, searches first; `tokens` of the two texts, without a prompt."""

    tasks: list[Compared]
    tokens: tuple[int, int]
