"""The gradient cache changes memory and time, not the gradient: on the tiny model, as a SentenceTransformer."""

import pytest
import torch
from tiny_batches import DIMS, backward, columns, furthest, gradients, load, teacher, write_tiny

from gemlet.train.losses import LossSettings
from gemlet.train.losses.recipe import RecipeLoss

SAME = 1e-5  # float32, padded to other widths, summed in another order


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    return load(write_tiny(tmp_path_factory.mktemp("tiny")))


def run(model, mini_batch: int | None, factor: float = 1.0):
    model.zero_grad()
    loss = RecipeLoss(model, LossSettings(dims=DIMS, mini_batch=mini_batch))
    return backward(loss(columns(model), teacher()), factor), gradients(model)


@pytest.mark.parametrize("mini_batch", [4, 100])
def test_the_cached_gradient_is_the_gradient(model, mini_batch: int) -> None:
    loss, expected = run(model, None)
    cached_loss, cached = run(model, mini_batch)
    assert cached_loss == pytest.approx(loss, rel=SAME)
    assert furthest(cached, expected) < SAME


def test_a_step_of_several_batches_scales_the_cached_gradient_too(model) -> None:
    _, expected = run(model, 4)
    _, halves = run(model, 4, factor=0.5)
    assert furthest({name: 2 * half for name, half in halves.items()}, expected) < SAME


def test_the_second_pass_repeats_the_first_ones_random_numbers(model) -> None:
    class Noisy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.seen: list[torch.Tensor] = []

        def get_embedding_dimension(self) -> int:
            return 64

        def forward(self, features):
            vectors = torch.nn.functional.dropout(self.model(features)["sentence_embedding"])
            self.seen.append(vectors.detach())
            return {"sentence_embedding": vectors}

    noisy = Noisy()
    backward(RecipeLoss(noisy, LossSettings(dims=DIMS, mini_batch=4))(columns(model)))
    first, second = torch.cat(noisy.seen[:8]), torch.cat(noisy.seen[8:])
    torch.testing.assert_close(second, first, rtol=0, atol=SAME)
    assert (first == 0).any()


@pytest.mark.parametrize("mini_batch", [None, 4])
def test_without_gradients_it_is_the_same_loss(model, mini_batch: int | None) -> None:
    loss, _ = run(model, mini_batch)
    with torch.no_grad():
        parts = RecipeLoss(model, LossSettings(dims=DIMS, mini_batch=mini_batch))(columns(model), teacher())
    assert torch.stack(list(parts.values())).sum().item() == pytest.approx(loss, rel=SAME)


def test_what_the_caller_gave_is_left_as_it_was(model) -> None:
    for mini_batch in (None, 4):
        given = columns(model)
        RecipeLoss(model, LossSettings(dims=DIMS, mini_batch=mini_batch))(given)
        assert [list(column) for column in given] == [list(column) for column in columns(model)]
