"""A plan → tokens, batch by batch.   (Batch → what the trainer takes)"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from gemlet.train.plan import Batch
from gemlet.train.rows import TrainingSet
from gemlet.vectors import FloatArray

SET = "set"
"""The key under which a batch says of which set it is."""


class Rows(Dataset[Any]):
    """What a trainer asks of a data set; an item is (set, row, partner)."""

    column_names: tuple[str, ...] = ()

    def __init__(self, sets: Sequence[TrainingSet]) -> None:
        self.sets = sets

    def __len__(self) -> int:
        return sum(map(len, self.sets))

    def __getitem__(self, item: tuple[int, int, int]) -> tuple[int, int, int]:
        return item


class Planned(Sampler[Any]):
    """The batches of a plan, or this process's share of each."""

    def __init__(self, batches: Sequence[Batch], process: int, processes: int) -> None:
        self._batches, self._process, self._processes = batches, process, processes

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        for batch in self._batches:
            share = len(batch.rows) // self._processes
            own = slice(self._process * share, (self._process + 1) * share)
            partners = batch.rows if batch.partners is None else batch.partners
            pairs = zip(batch.rows[own].tolist(), partners[own].tolist(), strict=True)
            yield [(batch.set, row, partner) for row, partner in pairs]


class Collator:
    """Rows → padded token ids of each column behind its prompt, and what the losses want beside them.

    prompts  for each set those of the first column and of the others; of several each row has the next one

    Rows are put in order of their length, which no loss notices: mini-batches of like texts are hardly padded.
    """

    def __init__(
        self,
        model: Any,
        sets: Sequence[TrainingSet],
        prompts: Sequence[tuple[Sequence[str], Sequence[str]]],
        teachers: Sequence[FloatArray | None],
    ) -> None:
        self._model, self._sets, self._prompts, self._teachers = model, sets, prompts, teachers
        self._codes = [_codes(one) for one in sets]

    def __call__(self, items: list[tuple[int, int, int]]) -> dict[str, Any]:
        """Items of one set → `{column}_input_ids`, `{column}_attention_mask` [B, T]; `label`; SET."""
        number = items[0][0]
        one = self._sets[number]
        texts = [self._texts(one, row, partner) for _, row, partner in items]
        order = sorted(range(len(items)), key=lambda i: sum(map(len, texts[i])), reverse=True)
        rows = [items[i][1] for i in order]
        batch: dict[str, Any] = {SET: number}
        for column in range(len(texts[0])):
            prompts = self._prompts[number][min(column, 1)]
            tokens = self._model.preprocess([prompts[items[i][1] % len(prompts)] + texts[i][column] for i in order])
            batch |= {f"column{column}_{key}": value for key, value in tokens.items()}
        if (label := self._label(number, rows)) is not None:
            batch["label"] = label
        return batch

    @staticmethod
    def _texts(one: TrainingSet, row: int, partner: int) -> tuple[str, ...]:
        return one.texts[row] if one.kind != "labels" else (one.texts[row][0], one.texts[partner][0])

    def _label(self, number: int, rows: list[int]) -> torch.Tensor | None:
        """Teacher vectors [B, columns · dim], scores [B] float32, labels [B] int64, or nothing."""
        if (teacher := self._teachers[number]) is not None:
            return torch.from_numpy(np.asarray(teacher[rows], np.float32).reshape(len(rows), -1))
        codes = self._codes[number]
        return None if codes is None else torch.from_numpy(codes[rows])


def loader(batches: Sequence[Batch], collator: Collator, rows: Rows, process: int, processes: int) -> Any:
    """What the trainer walks through."""
    return DataLoader(rows, batch_sampler=Planned(batches, process, processes), collate_fn=collator)


def _codes(one: TrainingSet) -> Any:
    if one.kind == "labels":
        return np.unique(np.array(one.targets), return_inverse=True)[1].reshape(-1).astype(np.int64)
    return np.array(one.targets, np.float32) if one.kind == "scores" else None
