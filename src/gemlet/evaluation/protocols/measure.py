"""What a protocol is: texts to embed, and what their vectors come to."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputError
from gemlet.vectors import FloatArray

PROMPTS = {"Tatoeba": "sentence similarity"}
"""Tasks whose published scores come out with another prompt than the one that the checkpoint names for their kind."""

Scores = dict[str, Any]
"""Names of MTEB's figures → figures from 0 to 1, with "main_score" among them."""


class Inputs(NamedTuple):
    """Texts that are embedded with one prompt, by its name in Embedder.prompts."""

    texts: list[str]
    prompt_name: str


class Measure(Protocol):
    """One task on one set of texts. kind: MTEB's name of this kind of task; main: of its main figure."""

    kind: ClassVar[str]
    main: ClassVar[str]

    def inputs(self) -> list[Inputs]:
        """What has to be embedded."""

    def score(self, vectors: Sequence[FloatArray]) -> Scores:
        """Figures, from [texts, dim] float32 of unit length for each of inputs()."""


def nearest(queries: FloatArray, documents: FloatArray, depth: int) -> npt.NDArray[np.intp]:
    """[queries, at most depth] rows of the nearest documents, the earlier of equally near ones first."""
    found = [
        np.argsort(-(queries[begin : begin + 256] @ documents.T), axis=1, kind="stable")[:, :depth]
        for begin in range(0, len(queries), 256)
    ]
    return np.concatenate(found)


def with_main(measure: Measure, figures: Mapping[str, Any]) -> Scores:
    """The figures, and the one that counts once more as "main_score"."""
    return {**figures, "main_score": figures[measure.main]}


def check(what: str, *columns: Sequence[Any]) -> None:
    """Raise InputError unless there are rows, the same number in each column."""
    counts = [len(column) for column in columns]
    if len(set(counts)) > 1:
        raise InputError(f"there are {' and '.join(map(str, counts))} {what}: each side has one for each")
    if not counts[0]:
        raise InputError(f"there are no {what}")
