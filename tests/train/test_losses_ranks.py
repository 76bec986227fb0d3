"""Two ranks with half the batch each have the gradient of one rank with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_batches import DIMS, LABELS, backward, columns, furthest, gradients, load, teacher, write_tiny

import gemlet
from gemlet.train.losses import LossSettings
from gemlet.train.losses.recipe import RecipeLoss

SAME = 1e-5  # float32, padded to other widths, summed in another order
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def results(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    places = [str(HERE), str(HERE.parent), str(Path(gemlet.__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(HERE / "two_ranks.py"), str(tiny), str(folder)]
    subprocess.run(command, env=environment, check=True, timeout=600)
    return folder


def one_rank(tiny: Path, labels) -> tuple[float, dict[str, np.ndarray]]:
    model = load(tiny)
    loss = backward(RecipeLoss(model, LossSettings(dims=DIMS))(columns(model), labels))
    return loss, gradients(model)


def rank(results: Path, name: str, number: int) -> tuple[float, dict[str, np.ndarray]]:
    saved = dict(np.load(results / f"{name}-{number}.npz"))
    return float(saved.pop("loss")), saved


@pytest.mark.parametrize("name", ["plain", "cached", "labels"])
def test_two_ranks_have_the_gradient_of_one(name: str, tiny: Path, results: Path) -> None:
    loss, expected = one_rank(tiny, LABELS if name == "labels" else teacher())
    losses = []
    for number in (0, 1):
        value, found = rank(results, name, number)
        losses.append(value)
        assert furthest(found, expected) < SAME
    assert np.mean(losses) == pytest.approx(loss, rel=SAME)


def test_without_gathering_they_do_not(tiny: Path, results: Path) -> None:
    _, expected = one_rank(tiny, teacher())
    assert furthest(rank(results, "apart", 0)[1], expected) > 100 * SAME


def test_batches_that_differ_in_rows_are_refused_on_both_ranks(results: Path) -> None:
    for number in (0, 1):
        said = (results / f"uneven-{number}.txt").read_text()
        assert said.startswith("the ranks' batches differ in rows, columns or labels: [[2, 4, 0, 0], [3, 4, 0, 0]]")
