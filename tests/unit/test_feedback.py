"""Error feedback: what inputs see of the rounding is less, and the file holds exactly what was chosen."""

from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_model import write_tiny_checkpoint

from gemlet import _core
from gemlet.checkpoint import read_checkpoint
from gemlet.feedback import Rounder, _weights, held, round_with_feedback
from gemlet.gguf import WeightType, _is_in_8_bits, matrix_types, write_gguf
from gemlet.stream import LAYER, Stream, calibration_ids


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of twenty calibration texts: enough for two narrow layers."""
    monkeypatch.setattr("gemlet.feedback.calibration_ids", lambda checkpoint: calibration_ids(checkpoint)[::20])


def correlated(seed: int, tokens: int = 3000, width: int = 96) -> np.ndarray:
    """Inputs as a layer has them: far fewer directions than channels matter, and some channels are large."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(width // 4, width))
    inputs = random.normal(size=(tokens, width // 4)) @ mixing + 0.3 * random.normal(size=(tokens, width))
    return (inputs * np.exp(random.normal(size=width))).astype(np.float32)


def weights_of(seed: int, outputs: int = 64, width: int = 96) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(outputs, width)) * 0.02).astype(np.float32)


def decode(blocks: np.ndarray, dtype: str) -> np.ndarray:
    """ggml's blocks by gguf's own reader."""
    return gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[dtype])


def gram_of(inputs: np.ndarray) -> Rounder:
    return Rounder((inputs.T @ inputs).astype(np.float64))


def nearest(weights: np.ndarray, tmp_path: Path) -> np.ndarray:
    """The engine's rounding to nearest, scale search included."""
    from tiny_model import write_safetensors

    write_safetensors(tmp_path / "one.safetensors", {"w": weights}, "F32")
    blocks = _core.open_safetensors(str(tmp_path / "one.safetensors")).read("w", "Q4_0", 0, len(weights))
    return decode(blocks.reshape(len(weights), -1), "Q4_0")


def loss(weights: np.ndarray, rounded: np.ndarray, inputs: np.ndarray) -> float:
    return float(np.square(inputs @ (weights - rounded).T, dtype=np.float64).sum())


@pytest.mark.parametrize("seed", range(3))
def test_the_outputs_lose_less_than_by_rounding_to_nearest(seed: int, tmp_path: Path) -> None:
    inputs, weights = correlated(seed), weights_of(seed)
    _, rounded = gram_of(inputs).round(weights, "Q4_0")
    fresh = correlated(seed)[::-1]  # the same channels
    assert loss(weights, rounded, fresh) < 0.6 * loss(weights, nearest(weights, tmp_path), fresh)


@pytest.mark.parametrize("dtype", ["Q4_0", "Q8_0"])
def test_the_blocks_hold_what_was_chosen(dtype: str) -> None:
    inputs, weights = correlated(5), weights_of(5)
    weights[3] = 0
    weights[4, :32] = 0
    blocks, rounded = gram_of(inputs).round(weights, dtype)
    assert np.array_equal(decode(blocks, dtype), rounded)
    assert not rounded[3].any()
    step = np.abs(weights).max() / (5 if dtype == "Q4_0" else 127)
    assert np.abs(weights - rounded).max() < 8 * step  # fed back errors pile up, but not without bounds


def test_inputs_that_never_come_are_no_trouble() -> None:
    inputs, weights = correlated(6), weights_of(6)
    inputs[:, 40:50] = 0
    _, rounded = gram_of(inputs).round(weights, "Q4_0")
    assert np.isfinite(rounded).all()
    _, rounded = Rounder(np.zeros((96, 96))).round(weights, "Q4_0")
    assert np.isfinite(rounded).all()


def test_the_stream_is_the_model(tiny_checkpoint: Path) -> None:
    checkpoint = read_checkpoint(tiny_checkpoint)
    ids = calibration_ids(checkpoint)[::20]
    stream = Stream(checkpoint, ids)
    for layer in range(len(checkpoint.config["sliding"])):
        for step, names in enumerate(LAYER):
            inputs = stream.inputs(layer, step)
            matrices = [stream.read(f"layers.{layer}.{name}.weight") for name in names]
            stream.take(layer, step, [inputs @ matrix.T for matrix in matrices])
    ends = np.cumsum([0, *map(len, ids)]).astype(np.int32)
    model = _core.Model(checkpoint.config, checkpoint.weights, "f32", 2)
    exact = model.hidden_states(np.concatenate(ids), ends, len(checkpoint.config["sliding"]))
    # Sums in another order, and exact RoPE angles where the model has them rounded.
    assert np.abs(stream.hidden - exact).max() < 2e-3 * np.abs(exact).max()


def test_each_text_weighs_the_same() -> None:
    weights = _weights(np.array([0, 2, 10, 11]))
    squares = np.add.reduceat(np.square(weights[:, 0]), [0, 2, 10])
    assert np.allclose(squares, squares[0], rtol=1e-6)


def test_twice_is_the_same(tiny_checkpoint: Path) -> None:
    checkpoint = read_checkpoint(tiny_checkpoint)
    dtypes = {f"layers.{i}.{name}.weight": "Q4_0" for i in range(2) for names in LAYER for name in names}
    steps: list[tuple[int, int]] = []
    first = round_with_feedback(checkpoint, dtypes, progress=lambda done, of: steps.append((done, of)))
    second = round_with_feedback(checkpoint, dtypes)
    assert all(np.array_equal(first[name], second[name]) for name in dtypes)
    assert steps == [(1, 2), (2, 2)]


def test_the_file_keeps_8_bits_where_4_cost_most(tiny_checkpoint: Path, tmp_path: Path) -> None:
    write_gguf(tiny_checkpoint, tmp_path / "tiny.gguf", dtype="q4_0")
    assert read_checkpoint(tmp_path / "tiny.gguf").stored == "q4_0"
    tensors = _core.Gguf.open(str(tmp_path / "tiny.gguf")).tensors
    types = {name: dtype for name, (dtype, shape) in tensors.items() if len(shape) == 2}
    assert types.pop("embed_tokens.weight") == "Q8_0"  # its rows are no whole super-blocks
    eight = {name for name, dtype in types.items() if dtype == "Q8_0"}
    assert {name for name in types if any(part in name for part in ("v_proj", "down_proj", "dense"))} == eight
    assert {dtype for name, dtype in types.items() if name not in eight} == {"Q4_0"}


def test_the_first_layers_of_many_keep_8_bits() -> None:
    def layers(matrix: str, dtype: WeightType) -> list[int]:
        return [i for i in range(24) if _is_in_8_bits(f"blk.{i}.{matrix}", dtype, 24)]

    assert layers("attn_q", "q4_0") == layers("attn_output", "q4_0") == [0, 1]
    assert layers("ffn_up", "q4_0") == layers("ffn_up", "mixed") == layers("ffn_down", "mixed") == [0, 1, 2, 3]
    assert layers("ffn_down", "q4_0") == layers("attn_q", "mixed") == list(range(24))


def test_mixed_has_8_bits_in_attention_and_one_scale_a_row_elsewhere(tiny_checkpoint: Path, tmp_path: Path) -> None:
    write_gguf(tiny_checkpoint, tmp_path / "tiny.gguf", dtype="mixed")
    assert read_checkpoint(tmp_path / "tiny.gguf").stored == "mixed"
    file = _core.Gguf.open(str(tmp_path / "tiny.gguf"))
    matrices = {name: dtype for name, (dtype, shape) in file.tensors.items() if len(shape) == 2}
    del matrices["embed_tokens.weight"]
    eight = {name for name in matrices if "self_attn" in name or "dense" in name}
    assert {matrices[name] for name in eight} == {"Q8_0"}
    for name in matrices.keys() - eight:
        dtype, shape = file.tensors[name]
        assert dtype == "Q4_0"
        rows = file.read(name, "F32", 0, shape[0]).view(np.float32).reshape(shape)
        assert max(len(np.unique(row)) for row in rows) <= 16, name
    write_gguf(tiny_checkpoint, tmp_path / "other.gguf", dtype="mixed", table="q8_0")
    assert _core.Gguf.open(str(tmp_path / "other.gguf")).tensors["embed_tokens.weight"][0] == "Q8_0"


def test_a_scale_for_a_row_leaves_out_what_is_far_from_all_others() -> None:
    weights = weights_of(7, width=768)
    _, rounded = Rounder(np.eye(768)).round(weights, "Q4_0", whole_rows=True)
    largest = np.abs(weights).max(axis=1, keepdims=True) / 8
    plain = np.rint(weights / largest).clip(-8, 7) * largest
    assert np.square(weights - rounded).sum() < 0.8 * np.square(weights - plain).sum()


def test_the_table_may_have_a_type_of_its_own(tiny_checkpoint: Path, tmp_path: Path) -> None:
    write_gguf(tiny_checkpoint, tmp_path / "four.gguf", dtype="q4_0", table="q4_0")
    write_gguf(tiny_checkpoint, tmp_path / "eight.gguf", dtype="q4_0", table="q8_0")
    four, eight = (_core.Gguf.open(str(tmp_path / name)).tensors for name in ("four.gguf", "eight.gguf"))
    table = "embed_tokens.weight"
    assert {name for name in four if four[name] != eight[name]} == {table}
    assert (four[table][0], eight[table][0]) == ("Q4_0", "Q8_0")
    assert read_checkpoint(tmp_path / "eight.gguf").stored == "q4_0"


def test_every_instruction_set_and_f32_agree_on_the_file(tiny_checkpoint: Path, tmp_path: Path) -> None:
    write_gguf(tiny_checkpoint, tmp_path / "tiny.gguf", dtype="q4_0")
    checkpoint = read_checkpoint(tmp_path / "tiny.gguf")
    ids, ends = np.arange(3, 63, dtype=np.int32), np.array([0, 11, 60], np.int32)
    runs = [_core.Model(checkpoint.config, checkpoint.weights, "int8", 2, isa).embed(ids, ends) for isa in _core.isas()]
    assert all(np.array_equal(run, runs[0]) for run in runs)
    exact = _core.Model(checkpoint.config, checkpoint.weights, "f32", 2).embed(ids, ends)
    cosines = np.sum(runs[0] * exact, axis=1) / np.linalg.norm(runs[0], axis=1) / np.linalg.norm(exact, axis=1)
    assert cosines.min() > 0.995  # only the activations are rounded


@pytest.mark.parametrize(("dtype", "whole_rows"), [("Q4_0", False), ("Q4_0", True), ("Q8_0", False)])
def test_a_matrix_that_its_blocks_hold_is_kept(dtype: str, whole_rows: bool) -> None:
    _, rounded = gram_of(correlated(1)).round(weights_of(2), dtype, whole_rows)
    rounded[3, 32:64] = 0  # a block of nothing
    found = held(rounded, dtype, whole_rows)
    assert found is not None
    assert np.array_equal(decode(found[0], dtype), rounded)
    if whole_rows:
        heads = found[0].reshape(len(rounded), -1, 18)[..., :2]
        assert (heads == heads[:, :1]).all()
    rounded[7, 5] *= np.float32(1.01)
    assert held(rounded, dtype, whole_rows) is None


def test_a_checkpoint_on_the_grid_goes_through_unchanged(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "model", seed=3)
    write_gguf(folder, tmp_path / "once.gguf", dtype="q4_0")
    once = _core.Gguf.open(str(tmp_path / "once.gguf"))
    tensors = dict(load_file(folder / "model.safetensors"))
    for name in matrix_types(read_checkpoint(folder), "q4_0"):
        tensors[name] = once.read(name, "F32", 0, len(tensors[name])).view(np.float32).reshape(tensors[name].shape)
    save_file(tensors, folder / "model.safetensors")
    write_gguf(folder, tmp_path / "twice.gguf", dtype="q4_0")
    twice = _core.Gguf.open(str(tmp_path / "twice.gguf"))
    for name in tensors:
        one, other = (file.read(name, "F32", 0, len(tensors[name])).view(np.float32) for file in (once, twice))
        assert np.array_equal(one, other), name
