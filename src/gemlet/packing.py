"""Token ids of any length → sequences the model takes → batches under a token budget.

A sequence is `<bos> prompt text <eos>`. Batches are sequences laid end to end, without padding: a vector does not
depend on its neighbours, so there is nothing to sort and nothing to pad.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gemlet.errors import InputTooLong

Truncation = Literal["right", "left", "error", "window"]

IntArray = npt.NDArray[np.int32]
OVERLAP = 0.125  # of a window's text, shared with the window before


@dataclass(frozen=True)
class Sequences:
    """What the model is to run, and which text each part belongs to.

    input_ids   one int32 array for each sequence, with <bos> and <eos>
    rows        [sequences] int64: the text that a sequence belongs to, ascending
    weights     [sequences] float32: how many tokens of its text it brings in that no window before it has
    tokens      [texts] int64: length of each text with its prompt, <bos> and <eos>, before anything was cut
    cut         [texts] int64: how many of those the model does not see
    """

    input_ids: list[IntArray]
    rows: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int64]
    cut: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Sequences [first, last) end to end: input_ids [tokens] int32, cu_seqlens [last - first + 1] int32 from 0."""

    first: int
    last: int
    input_ids: IntArray
    cu_seqlens: IntArray


def fit(
    texts: Sequence[IntArray],
    prompt_tokens: Callable[[int], int],
    *,
    limit: int,
    truncation: Truncation,
    bos: int,
    eos: int,
) -> Sequences:
    """Make sequences of at most `limit` tokens.

    texts          ids of each prompted text, without <bos> and <eos>
    prompt_tokens  row → how many of its ids, from the left, are the prompt: "left" and "window" keep these

    "right" drops the end, "left" the beginning behind the prompt; "window" runs the whole text in windows that overlap.
    Raises InputTooLong under "error".
    """
    room = limit - 2
    sequences: list[IntArray] = []
    rows: list[int] = []
    weights: list[int] = []
    cut = np.zeros(len(texts), np.int64)
    for row, ids in enumerate(texts):
        parts = [(ids, len(ids))]
        if len(ids) > room:
            if truncation == "error":
                raise InputTooLong(row, len(ids) + 2, limit)
            parts = _shorten(ids, min(prompt_tokens(row), room // 2), room, truncation)
            cut[row] = len(ids) - sum(weight for _, weight in parts)
        for part, weight in parts:
            sequences.append(_enclosed(part, bos, eos))
            rows.append(row)
            weights.append(weight)
    tokens = np.array([len(ids) + 2 for ids in texts], np.int64)
    return Sequences(sequences, np.array(rows, np.int64), np.array(weights, np.float32), tokens, cut)


def _enclosed(part: IntArray, bos: int, eos: int) -> IntArray:
    sequence = np.empty(len(part) + 2, np.int32)
    sequence[0], sequence[1:-1], sequence[-1] = bos, part, eos
    return sequence


def _shorten(ids: IntArray, prompt: int, room: int, truncation: Truncation) -> list[tuple[IntArray, int]]:
    """Make parts of at most `room` ids, each with the number of ids that no part before it has."""
    if truncation == "window":
        return _windows(ids, prompt, room)
    if truncation == "left":
        return [(np.concatenate([ids[:prompt], ids[prompt + len(ids) - room :]]), room)]
    return [(ids[:room], room)]


def _windows(ids: IntArray, prompt: int, room: int) -> list[tuple[IntArray, int]]:
    """Cut the text behind the prompt into windows of one size that overlap by OVERLAP or a little more."""
    text = ids[prompt:]
    size = room - prompt
    count = -(-(len(text) - size) // int(size * (1 - OVERLAP))) + 1
    starts = np.linspace(0, len(text) - size, count).round().astype(int)
    fresh = np.diff(starts, prepend=-room)  # the first window also brings in the prompt
    return [
        (np.concatenate([ids[:prompt], text[s : s + size]]), int(new)) for s, new in zip(starts, fresh, strict=True)
    ]


def pack(input_ids: Sequence[IntArray], token_budget: int, batch_size: int | None = None) -> Iterator[Batch]:
    """Yield batches in order, each of at most `token_budget` tokens and `batch_size` sequences.

    One sequence that is longer than the budget travels alone.
    """
    first = used = 0
    for at, ids in enumerate(input_ids):
        if not fits(used, len(ids), token_budget) or (batch_size and at - first == batch_size):
            yield lay(input_ids, first, at)
            first, used = at, 0
        used += len(ids)
    if first < len(input_ids):
        yield lay(input_ids, first, len(input_ids))


def fits(used: int, tokens: int, token_budget: int) -> bool:
    """Say whether a sequence of `tokens` still goes into a batch that has `used`; into an empty one any does."""
    return used == 0 or used + tokens <= token_budget


def lay(input_ids: Sequence[IntArray], first: int, last: int) -> Batch:
    """Lay the sequences [first, last), one or more, end to end."""
    parts = input_ids[first:last]
    ends = np.cumsum([0, *map(len, parts)]).astype(np.int32)
    return Batch(first, last, np.concatenate(parts), ends)
