"""The engine refuses what it cannot run, at the seam."""

import time
from pathlib import Path

import numpy as np
import pytest

from gemlet import _core
from gemlet.checkpoint import read_checkpoint
from gemlet.errors import InputError, UnsupportedModel


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> _core.Model:
    settings = read_checkpoint(tiny_checkpoint)
    return _core.Model(settings.config, settings.weights, "f32", 2)


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("ids", "cu_seqlens", "message"),
    [
        (array(2, 1), array(), "does not end"),
        (array(2, 1), array(0, 1), "does not end"),
        (array(2, 1), array(1, 2), "does not start"),
        (array(2, 1), array(0, 2, 2), "sequence 1 has 0 tokens"),
        (array(2, 1), array(0, 3, 2), "sequence 1 has -1 tokens"),
        (array(2, 512), array(0, 2), "token id 512"),
        (array(2, -1), array(0, 2), "token id -1"),
        (np.full(2049, 5, np.int32), array(0, 2049), "has 2049 tokens"),
    ],
)
def test_batches_that_do_not_fit(model: _core.Model, ids: np.ndarray, cu_seqlens: np.ndarray, message: str) -> None:
    for call in (model.embed, model.token_embeddings, lambda a, b: model.hidden_states(a, b, 1)):
        with pytest.raises(InputError, match=message):
            call(ids, cu_seqlens)


def test_nothing_in_nothing_out(model: _core.Model) -> None:
    assert model.embed(array(), array(0)).shape == (0, 64)


def test_wrong_arguments(tiny_checkpoint: Path) -> None:
    settings = read_checkpoint(tiny_checkpoint)
    with pytest.raises(InputError, match="q5_1"):
        _core.Model(settings.config, settings.weights, "q5_1", 1)
    with pytest.raises(InputError, match="z80"):
        _core.Model(settings.config, settings.weights, "f32", 1, "z80")
    with pytest.raises(UnsupportedModel, match="hidden_size is 40"):
        _core.Model(settings.config | {"hidden_size": 40}, settings.weights, "f32", 1)
    for name, value in (("hidden_size", 1184), ("intermediate_size", 1184), ("head_dim", 288)):
        with pytest.raises(UnsupportedModel, match=f"{name} is {value}.* up to (1152|256)"):
            _core.Model(settings.config | {name: value}, settings.weights, "int8", 1)
    with pytest.raises(UnsupportedModel, match=r"max_position_embeddings is 4096; .* up to 2048"):
        _core.Model(settings.config | {"max_position_embeddings": 4096}, settings.weights, "int8", 1)
    with pytest.raises(UnsupportedModel, match="no `head_dim`"):
        _core.Model({k: v for k, v in settings.config.items() if k != "head_dim"}, settings.weights, "f32", 1)


def test_a_profile_accounts_for_the_call(model: _core.Model) -> None:
    ids = np.full(600, 5, np.int32)
    start = time.perf_counter()
    stages = model.profile(ids, array(0, 600))
    whole = time.perf_counter() - start
    assert list(stages) == ["embedding", "rows", "linears", "keys and values", "scores", "head"]
    assert all(seconds > 0 for seconds in stages.values())
    assert sum(stages.values()) < whole
