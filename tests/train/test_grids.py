"""Training on the grid: what a layer computes is what the file of few bits holds, before and after."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_batches import load, write_tiny
from torch import nn
from training import settings, words, write_rows

from gemlet import Embedder, _core
from gemlet.errors import InputError
from gemlet.feedback import numbers_and_scales
from gemlet.gguf import WeightType, write_gguf
from gemlet.stream import calibration_ids
from gemlet.train import train
from gemlet.train.grids import NEAR, Grid, put_on_grid, settle

KINDS: list[WeightType] = ["q4_0", "mixed", "q8_0"]
TEXTS = ["red planet", "the author of the book", "a b c"]


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemlet.feedback.calibration_ids", lambda checkpoint: calibration_ids(checkpoint)[::40])


def on_grid(tmp_path: Path, kind: WeightType):
    folder = write_tiny(tmp_path / "model")
    write_gguf(folder, tmp_path / "start.gguf", dtype=kind)
    student = load(folder)
    return student, put_on_grid(student, student[0].model, tmp_path / "start.gguf", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_numbers_are_the_files(tmp_path: Path, kind: WeightType) -> None:
    student, grids = on_grid(tmp_path, kind)
    assert grids
    file = _core.Gguf.open(str(tmp_path / "start.gguf"))
    for name, (dtype, shape) in file.tensors.items():
        if name.startswith("layers.") and len(shape) == 2:
            stored = file.read(name, "F32", 0, shape[0]).view(np.float32).reshape(shape)
            module = student[0].model.get_submodule(name.removesuffix(".weight"))
            assert np.array_equal(module.weight.detach().numpy(), stored), name
            assert isinstance(module, Grid) == (dtype == ("Q8_0" if kind == "q8_0" else "Q4_0")), name
    vectors = student.encode(TEXTS)
    # the engine rounds inputs to 8 bits too
    assert (vectors * Embedder(tmp_path / "start.gguf").encode(TEXTS)).sum(axis=1).min() > 0.99


@pytest.mark.parametrize("kind", ["q4_0", "mixed"])
def test_the_first_numbers_lean_towards_the_checkpoint(tmp_path: Path, kind: WeightType) -> None:
    folder = write_tiny(tmp_path / "model")
    write_gguf(folder, tmp_path / "start.gguf", dtype=kind)
    student, trained = load(folder), load(folder)
    for name, module in student[0].model.named_modules():
        module.name = name
    put_on_grid(student, student[0].model, tmp_path / "start.gguf", kind)
    for name, module in student[0].model.named_modules():
        if isinstance(module, Grid):
            wished = trained[0].model.get_submodule(name).weight
            scales = module.scales.repeat_interleave(wished.shape[1] // module.scales.shape[1], dim=1)
            away = (module.numbers - wished / scales).abs()
            assert ((module.numbers - module.numbers.round()).abs() <= NEAR + 1e-6).all()
            assert away.median() == 0  # most are within reach


def test_gradients_pass_the_rounding() -> None:
    numbers = torch.tensor([[-9.0, -7.6, 0.2, 7.4, 7.6, *([1.0] * 27)]])
    grid = Grid(numbers, torch.tensor([[0.5]]), (-8, 7))
    assert grid.weight[0, :5].tolist() == [-4.0, -4.0, 0.0, 3.5, 3.5]
    x = torch.arange(32.0)[None]
    grid(x).sum().backward()
    expected = 0.5 * torch.arange(32.0)
    expected[[0, 4]] = 0  # beyond the limits
    assert torch.equal(grid.numbers.grad[0], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_trained_is_on_the_grid(tmp_path: Path, kind: WeightType) -> None:
    student, grids = on_grid(tmp_path, kind)
    with torch.no_grad():
        for grid in grids:
            grid.numbers += torch.randn(grid.numbers.shape, generator=torch.Generator().manual_seed(0))
    before = student.encode(TEXTS)
    settle(student)
    assert not any(isinstance(module, Grid) for module in student.modules())
    assert np.array_equal(student.encode(TEXTS), before)
    dtype = "Q8_0" if kind == "q8_0" else "Q4_0"
    linear = [module for module in student[0].model.layers.modules() if isinstance(module, nn.Linear)]
    held = [numbers_and_scales(module.weight.detach().numpy(), dtype, kind == "mixed") for module in linear]
    assert sum(found is not None for found in held) >= len(grids)


def texts(path: Path, count: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    return write_rows(path, [{"text": words(rng, int(rng.integers(1, 12)))} for _ in range(count)])


@pytest.mark.parametrize("kind", ["q4_0", "mixed"])
def test_text_alone_brings_a_file_of_few_bits_nearer_to_the_checkpoint(tmp_path: Path, kind: WeightType) -> None:
    folder = write_tiny(tmp_path / "model")
    rows, held = texts(tmp_path / "texts.jsonl", 400, 0), texts(tmp_path / "held.jsonl", 60, 1)
    result = train(folder, [rows], tmp_path / "tuned", settings(method="full", qat=kind, epochs=3), held_out=held)
    assert 1 - result.after["cosine"] < 0.9 * (1 - result.before["cosine"])
    unseen = [words(np.random.default_rng(i), 6) for i in range(100, 160)]
    exact = Embedder(folder, quantization="f32").encode(unseen)
    far = {}
    for name in ("model", "tuned"):
        write_gguf(tmp_path / name, tmp_path / f"{name}.gguf", dtype=kind)
        far[name] = 1 - (Embedder(tmp_path / f"{name}.gguf").encode(unseen) * exact).sum(axis=1).mean()
    assert far["tuned"] < 0.95 * far["model"]


def test_the_file_of_the_result_holds_its_numbers_exactly(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "model")
    rows = texts(tmp_path / "texts.jsonl", 40, 0)
    said: list[str] = []
    train(folder, [rows], tmp_path / "tuned", settings(method="full", qat="q4_0"), say=said.append)
    told = (tmp_path / "tuned" / "README.md").read_text()
    (line,) = (line for line in said if "the head's last matrix is fitted to 40 texts: cosine 0.99" in line)
    before, after = re.findall(r"0\.99\d{3}", line)
    assert f"fitted to went from {before} to {after}." in told
    assert "`gemlet quantize tuned tuned.gguf --type q4_0`" in told
    assert 'prompt_name="query"' in told
    write_gguf(tmp_path / "tuned", tmp_path / "tuned.gguf", dtype="q4_0")
    file = _core.Gguf.open(str(tmp_path / "tuned.gguf"))
    student = load(tmp_path / "tuned")
    trained, head = student[0].model, student[3].linear.weight.detach().numpy()
    assert not np.array_equal(head, load(folder)[3].linear.weight.detach().numpy())
    assert np.array_equal(file.read("dense.1.linear.weight", "F32", 0, len(head)).view(np.float32), head.ravel())
    for name, (dtype, shape) in file.tensors.items():
        if name.startswith("layers.") and dtype == "Q4_0":
            stored = file.read(name, "F32", 0, shape[0]).view(np.float32).reshape(shape)
            assert np.array_equal(stored, trained.get_submodule(name.removesuffix(".weight")).weight.detach().numpy())


def test_text_alone_teaches_nothing_without_a_teacher(tmp_path: Path) -> None:
    rows = texts(tmp_path / "texts.jsonl", 4, 0)
    with pytest.raises(InputError, match=r"texts\.jsonl: texts alone teach nothing: name a --teacher, or --qat"):
        train(write_tiny(tmp_path / "model"), [rows], tmp_path / "tuned", settings())


@pytest.mark.parametrize("choices", [{"method": "lora"}, {"method": "full", "train_table": True}])
def test_qat_is_for_all_numbers_but_the_table(choices: dict) -> None:
    with pytest.raises(InputError, match="train_table and qat are for"):
        settings(qat="q4_0", **choices)
