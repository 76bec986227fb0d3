"""fit and pack: nothing is lost unnoticed, nothing is longer than the model takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemlet.errors import InputTooLong
from gemlet.packing import Sequences, Truncation, fit, pack

BOS, EOS = 2, 1


def ids(n: int, start: int = 100) -> np.ndarray:
    return np.arange(start, start + n, dtype=np.int32)


def fitted(texts: list[np.ndarray], truncation: Truncation = "right", limit: int = 16, prompt: int = 3) -> Sequences:
    return fit(texts, lambda row: prompt, limit=limit, truncation=truncation, bos=BOS, eos=EOS)


def test_a_text_that_fits_stays_whole() -> None:
    for truncation in ("right", "left", "error", "window"):
        result = fitted([ids(14), ids(0)], truncation)
        assert [list(s) for s in result.input_ids] == [[BOS, *ids(14), EOS], [BOS, EOS]]
        assert result.tokens.tolist() == [16, 2]
        assert not result.cut.any()


def test_right_keeps_the_beginning_and_eos() -> None:
    result = fitted([ids(20)])
    assert list(result.input_ids[0]) == [BOS, *ids(14), EOS]
    assert result.tokens[0] == 22
    assert result.cut[0] == 6


def test_left_keeps_the_prompt_and_the_end() -> None:
    result = fitted([ids(20)], "left")
    assert list(result.input_ids[0]) == [BOS, *ids(3), *ids(11, 109), EOS]
    assert result.cut[0] == 6


def test_error_names_the_row() -> None:
    with pytest.raises(InputTooLong, match=r"text 1 has 22 tokens, the limit is 16") as caught:
        fitted([ids(3), ids(20)], "error")
    assert (caught.value.row, caught.value.tokens, caught.value.limit) == (1, 22, 16)


@given(st.integers(15, 400), st.integers(0, 10))
def test_windows_cover_the_whole_text_and_carry_the_prompt(length: int, prompt: int) -> None:
    result = fitted([ids(length)], "window", prompt=prompt)
    prompt = min(prompt, 7)  # half of the room at most: the text must get on
    seen: list[int] = []
    for sequence in result.input_ids:
        assert len(sequence) <= 16
        assert list(sequence[1 : 1 + prompt]) == list(ids(prompt))
        seen += list(sequence[1 + prompt : -1])
    assert set(seen) == set(ids(length)[prompt:])
    assert result.weights.sum() == length
    assert (result.weights > 0).all()
    assert not result.cut.any()


@given(st.lists(st.integers(2, 40), max_size=30), st.integers(1, 64), st.one_of(st.none(), st.integers(1, 5)))
def test_pack_keeps_order_and_bounds(lengths: list[int], budget: int, batch_size: int | None) -> None:
    sequences = [ids(n, 1000 * i) for i, n in enumerate(lengths)]
    back: list[list[int]] = []
    for batch in pack(sequences, budget, batch_size):
        assert batch.cu_seqlens[0] == 0
        assert batch.cu_seqlens[-1] == len(batch.input_ids)
        assert len(batch.cu_seqlens) == batch.last - batch.first + 1
        assert len(batch.input_ids) <= budget or batch.last == batch.first + 1
        assert batch_size is None or batch.last - batch.first <= batch_size
        back += [list(batch.input_ids[a:b]) for a, b in zip(batch.cu_seqlens, batch.cu_seqlens[1:], strict=False)]
    assert back == [list(s) for s in sequences]
