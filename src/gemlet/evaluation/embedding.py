"""Texts → vectors of every setting, in blocks, each text once.   (texts, settings → blocks)"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from gemlet.embedder import Embedder
from gemlet.evaluation.own import Entry
from gemlet.evaluation.settings import Loader, Setting, by_model, load
from gemlet.vectors import FloatArray

T = TypeVar("T")

BLOCK = 1024
"""Texts that are embedded between two reports of progress."""

Progress = Callable[[int, int], None]
"""How many texts are embedded, of how many."""


@dataclass(frozen=True)
class Trial:
    """What is compared, and how.

    base      the setting whose figures are wanted
    others    settings that are compared with it
    seed      of resamples, folds and clusters
    load      setting → Embedder
    progress  is told how far it is
    """

    base: Setting = field(default_factory=Setting)
    others: Sequence[Setting] = ()
    seed: int = 0
    load: Loader = load
    progress: Progress | None = None

    @property
    def settings(self) -> list[Setting]:
        """All of them, each once, the base first."""
        return list(dict.fromkeys((self.base, *self.others)))


class Encoder:
    """One model of a trial: what its settings' vectors are cut from."""

    def __init__(
        self, embedder: Embedder, widest: Setting, settings: list[Setting], tell: Callable[[int], None]
    ) -> None:
        self._embedder, self._dim, self.settings, self._tell = embedder, widest.dim, settings, tell
        self.quantization = embedder.quantization

    def texts(self, texts: Sequence[str], prompt_name: str) -> FloatArray:
        """[n, dim] float32 unit vectors; equal texts are embedded once."""
        places: dict[str, int] = {}
        rows = [places.setdefault(text, len(places)) for text in texts]
        blocks = [
            self._block(len(block), self._embedder.encode(block, prompt_name=prompt_name, truncate_dim=self._dim))
            for block in _blocks(list(places))
        ]
        self._tell(len(rows) - len(places))
        return np.concatenate(blocks)[rows]

    def documents(self, documents: Sequence[Entry]) -> Iterator[FloatArray]:
        """The same of documents with their titles, a block at a time."""
        for block in _blocks(documents):
            texts, titles = [one.text for one in block], [one.title for one in block]
            found = self._embedder.encode_document(texts, titles=titles, truncate_dim=self._dim)
            yield self._block(len(block), found)

    def _block(self, count: int, vectors: Any) -> FloatArray:
        self._tell(count)
        return np.asarray(vectors, np.float32)


def encoders(trial: Trial, texts: int) -> Iterator[Encoder]:
    """One for each model, loaded when its turn comes: one is in memory at a time. texts: how many each is to embed."""
    groups = list(by_model(trial.settings))
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        if trial.progress:
            trial.progress(done, texts * len(groups))

    for widest, settings in groups:
        yield Encoder(trial.load(widest), widest, settings, tell)


def _blocks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(items), BLOCK):
        yield items[begin : begin + BLOCK]
