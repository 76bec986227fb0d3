"""Made-up vectors that are as hard to search as real ones.   (seed → documents, queries)

Like those of the published model over abstracts of papers and questions about them: a common direction of length 0.43,
variance that falls from direction to direction (130 count), documents in topics and subtopics. What matters most for a
search that looks at bits first, how closely the bits' order follows the cosines' (correlation of 0.85 there), is a
little less here; so is the distance between the tenth and the eleventh of a query.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gemlet.vectors import normalize

Array = npt.NDArray[Any]

COMMON = 0.43
TOPICS, SUBTOPICS = 2_000, 50_000
SHARES = (0.4, 0.3, 0.3)  # of a document's variance: its topic's, its subtopic's, its own
ALIKE = 0.6  # a query and the document that it was made from


class MadeVectors:
    """The same numbers for the same seed, whatever else is asked for."""

    def __init__(self, dim: int, seed: int = 0) -> None:
        """Draw what documents have in common."""
        random = np.random.default_rng(seed)
        variance = 1 / (np.arange(dim) + 15) ** 1.3
        self._spread = np.sqrt(variance / variance.sum() * (1 - COMMON**2)).astype(np.float32)
        self._turn = np.linalg.qr(random.normal(size=(dim, dim)))[0].astype(np.float32)
        self._common = np.float32(COMMON) * normalize(random.standard_normal((1, dim), np.float32))
        self._topics = random.standard_normal((TOPICS, dim), np.float32)
        self._subtopics = random.standard_normal((SUBTOPICS, dim), np.float32)
        self._seed = seed

    def documents(self, count: int, part: int) -> Array:
        """Piece number `part` of them: [count, dim] float32 unit vectors."""
        random = np.random.default_rng([self._seed, part])
        of_topic, of_subtopic, own = np.sqrt(SHARES).astype(np.float32)
        subtopic = random.integers(0, SUBTOPICS, count)
        x = of_topic * self._topics[subtopic % TOPICS] + of_subtopic * self._subtopics[subtopic]
        x += own * random.standard_normal(x.shape, np.float32)
        return self._turned(x)

    def queries(self, count: int) -> Array:
        """[count, dim]: each between a document and something else."""
        random = np.random.default_rng([self._seed, 2**32 - 1])
        other = self._turned(random.standard_normal((count, len(self._spread)), np.float32))
        mixed = ALIKE * self.documents(count, 2**31) + np.sqrt(1 - ALIKE**2) * other
        return normalize(mixed.astype(np.float32))

    def _turned(self, x: Array) -> Array:
        """From directions of falling variance to vectors."""
        return normalize((x * self._spread) @ self._turn + self._common)
