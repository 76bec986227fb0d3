"""Texts that evaluation sets have as well: a figure measured on them flatters.   (texts, evaluation texts → Overlap)

Two texts are the same when their words are. One quotes another when they share a run of 13 words; an evaluation text of
8 to 12 words must be there whole, a shorter one must be the same. Source: Brown et al. 2020, "Language Models are
Few-Shot Learners", arXiv 2005.14165, appendix C, where N lies between 8 and 13.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemlet.curate.words import Hashes, runs_of, words_of
from gemlet.errors import InputError

RUN = 13
_SHORTEST = 8


@dataclass(frozen=True)
class Overlap:
    """reason: "the same text" or "shared words"; row: of the evaluation texts; words: those that are shared."""

    reason: str
    row: int
    words: str


class EvaluationTexts:
    """What must not be trained on."""

    def __init__(self, texts: Sequence[str], run: int = RUN) -> None:
        """Remember texts by their words.

        run  how many words in a row are no accident

        Raises InputError for a run of less than 2.
        """
        if run < 2:
            raise InputError(f"a run of {run} words is in every text: say 2 or more; 13 and 8 are usual")
        self.texts = list(texts)
        self._whole: dict[str, int] = {}
        runs: dict[int, list[tuple[Hashes, int]]] = {}
        for row, text in enumerate(self.texts):
            words = words_of(text)
            if not words:
                continue
            self._whole.setdefault(" ".join(words), row)
            length = min(run, len(words))
            if length >= min(_SHORTEST, run):
                runs.setdefault(length, []).append((runs_of(words, length), row))
        self._runs = {length: _Runs(found) for length, found in sorted(runs.items(), reverse=True)}

    def find(self, text: str) -> Overlap | None:
        """The first evaluation text that this one is, or shares words with; None: it is clean."""
        words = words_of(text)
        whole = self._whole.get(" ".join(words)) if words else None
        if whole is not None:
            return Overlap("the same text", whole, " ".join(words))
        for length, runs in self._runs.items():
            hit = runs.first(runs_of(words, length))
            if hit:
                at, row = hit
                return Overlap("shared words", row, " ".join(words[at : at + length]))
        return None


class _Runs:
    """hashes: [runs] uint64, ascending, each once; rows: [runs] int64, the first text that has it."""

    hashes: Hashes
    rows: npt.NDArray[np.int64]

    def __init__(self, found: list[tuple[Hashes, int]]) -> None:
        rows = np.repeat([row for _, row in found], [len(hashes) for hashes, _ in found]).astype(np.int64)
        self.hashes, first = np.unique(np.concatenate([hashes for hashes, _ in found]), return_index=True)
        self.rows = rows[first]

    def first(self, hashes: Hashes) -> tuple[int, int] | None:
        """(place, row) of the first of these that is there."""
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        hits = np.flatnonzero(self.hashes[at] == hashes)
        return (int(hits[0]), int(self.rows[at[hits[0]]])) if len(hits) else None
