"""Factors between two linear steps: the same model, and channels that are as easy to round as they get."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_model import write_safetensors

from gemlet import _core
from gemlet.balance import Factors, balance
from gemlet.checkpoint import read_checkpoint
from gemlet.errors import InputError
from gemlet.gguf import write_gguf

IDS, CU_SEQLENS = np.arange(3, 63, dtype=np.int32), np.array([0, 11, 60], np.int32)


def model(source: Path, storage: str = "f32") -> _core.Model:
    settings = read_checkpoint(source)
    return _core.Model(settings.config, settings.weights, storage, 2)


def tensors_of(folder: Path) -> dict[str, np.ndarray]:
    file = _core.open_safetensors(str(folder / "model.safetensors"))
    return {
        name.removeprefix("model."): file.read(name, "F32", 0, shape[0]).view("<f4").reshape(shape)
        for name, (_, shape) in file.tensors.items()
    }


def multiplied(folder: Path, factors: dict[str, Factors], out: Path) -> Path:
    """The checkpoint with its tensors multiplied: norms as 1 + w."""
    shutil.copytree(folder, out)
    tensors = tensors_of(folder)
    for name, factor in factors.items():
        one = 1 if tensors[name].ndim == 1 else 0
        rows = 1 if factor.rows is None else factor.rows.reshape(-1, *[1] * (tensors[name].ndim - 1))
        columns = 1 if factor.columns is None else factor.columns
        tensors[name] = ((one + tensors[name]) * rows * columns - one).astype(np.float32)
    write_safetensors(out / "model.safetensors", tensors, "F32")
    return out


def skew(seed: int, least: float = -2, most: float = 2) -> dict[str, Factors]:
    """Powers of two that leave the tiny model the same, with a geometric mean of 1 for each group of channels."""
    rng = np.random.default_rng(seed)

    def draw(size: int) -> np.ndarray:
        exponents = rng.uniform(least, most, size // 2).round()
        return np.exp2(rng.permutation(np.concatenate([exponents, -exponents]))).astype(np.float32)

    found: dict[str, Factors] = {}
    for layer in ("layers.0.", "layers.1."):
        first, values, second, up = draw(64), draw(32), draw(64), draw(96)
        half = draw(16)
        scores = np.concatenate([half, half])
        found |= {
            f"{layer}input_layernorm.weight": Factors(first),
            f"{layer}self_attn.q_proj.weight": Factors(None, 1 / first),
            f"{layer}self_attn.k_proj.weight": Factors(None, 1 / first),
            f"{layer}self_attn.v_proj.weight": Factors(values, 1 / first),
            f"{layer}self_attn.o_proj.weight": Factors(None, 1 / np.concatenate([values] * 3)),
            f"{layer}self_attn.q_norm.weight": Factors(scores),
            f"{layer}self_attn.k_norm.weight": Factors(1 / scores),
            f"{layer}pre_feedforward_layernorm.weight": Factors(second),
            f"{layer}mlp.gate_proj.weight": Factors(None, 1 / second),
            f"{layer}mlp.up_proj.weight": Factors(up, 1 / second),
            f"{layer}mlp.down_proj.weight": Factors(None, 1 / up),
        }
    return found


def test_the_model_stays_the_same(tiny_checkpoint: Path, tmp_path: Path) -> None:
    factors = balance(read_checkpoint(tiny_checkpoint), threads=2)
    assert factors.keys() == skew(0).keys()
    balanced = multiplied(tiny_checkpoint, factors, tmp_path / "balanced")
    before, after = (model(folder).embed(IDS, CU_SEQLENS) for folder in (tiny_checkpoint, balanced))
    assert np.abs(after - before).max() < 1e-5 * np.abs(before).max()  # each factor is rounded to f32


def test_a_skewed_model_is_set_right(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """What one factor multiplies, the next one takes back: but for a step where bf16 inputs fall on an edge."""
    skewed = multiplied(tiny_checkpoint, skew(1), tmp_path / "skewed")
    plain, found = (balance(read_checkpoint(folder), threads=2) for folder in (tiny_checkpoint, skewed))
    for name, factors in skew(1).items():
        for ours, theirs, expected in (
            (found[name].rows, factors.rows, plain[name].rows),
            (found[name].columns, factors.columns, plain[name].columns),
        ):
            assert (ours is None) == (theirs is None) == (expected is None)
            if ours is not None:
                steps = np.log2(ours * theirs / expected) * 4
                # The columns of v_proj count its rows, which are skewed too: up to two steps of a quarter octave.
                assert np.abs(steps).max() < 2.5, name
                assert (np.abs(steps) < 1.5).mean() > 0.9, name


def test_8_bits_lose_less(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A skewed model in 8 bits is as near to the truth as the model was before, and nearer than without balance."""
    truth = model(tiny_checkpoint).embed(IDS, CU_SEQLENS)

    def error(source: Path) -> float:
        return float(np.linalg.norm(model(source, "int8").embed(IDS, CU_SEQLENS) - truth))

    skewed = multiplied(tiny_checkpoint, skew(2), tmp_path / "skewed")
    for folder in (tiny_checkpoint, skewed):
        write_gguf(folder, tmp_path / f"{folder.name}.gguf")
    straight, repaired = (error(tmp_path / f"{folder.name}.gguf") for folder in (tiny_checkpoint, skewed))
    assert 0 < repaired < 1.3 * straight  # two draws of rounding noise differ by less
    assert 2 * repaired < error(skewed)


@pytest.mark.parametrize("column", [0, 5])
def test_a_channel_of_nothing_is_left_alone(tiny_checkpoint: Path, tmp_path: Path, column: int) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "tiny"))
    tensors = tensors_of(folder)
    tensors["layers.0.input_layernorm.weight"][column] = -1  # the norm multiplies by 0
    tensors["layers.1.mlp.down_proj.weight"][:, column] = 0
    write_safetensors(folder / "model.safetensors", tensors, "F32")
    found = balance(read_checkpoint(folder), threads=1)
    assert all(np.isfinite(f).all() and (f > 0).all() for pair in found.values() for f in (pair.rows, pair.columns) if
               f is not None)  # fmt: skip
    write_gguf(folder, tmp_path / "tiny.gguf")
    assert np.isfinite(model(tmp_path / "tiny.gguf", "int8").embed(IDS, CU_SEQLENS)).all()


def test_mean_squares_are_of_the_linears_inputs(tiny_checkpoint: Path) -> None:
    weight = 1 + tensors_of(tiny_checkpoint)["layers.0.input_layernorm.weight"]
    hidden = model(tiny_checkpoint).hidden_states(IDS, CU_SEQLENS, 0).astype(np.float64)
    inputs = hidden / np.sqrt(np.square(hidden).mean(axis=1, keepdims=True) + 1e-6) * weight
    squares = model(tiny_checkpoint, "bf16").mean_squares(IDS, CU_SEQLENS)
    assert [len(part) for part in squares] == [64, 96, 64, 96] * 2
    np.testing.assert_allclose(squares[0], np.square(inputs).mean(axis=0), rtol=2**-7)  # bf16 rounds by 2^-9


def test_mean_squares_are_the_same_on_every_instruction_set(tiny_checkpoint: Path, isa: str) -> None:
    settings = read_checkpoint(tiny_checkpoint)
    here, there = (_core.Model(settings.config, settings.weights, "bf16", 2, name) for name in ("", isa))
    assert here.mean_squares(IDS, CU_SEQLENS) == there.mean_squares(IDS, CU_SEQLENS)


def test_mean_squares_refuse_what_they_cannot_do(tiny_checkpoint: Path) -> None:
    with pytest.raises(InputError, match="bf16"):
        model(tiny_checkpoint, "f32").mean_squares(IDS, CU_SEQLENS)
    with pytest.raises(InputError, match="no sequence"):
        model(tiny_checkpoint, "bf16").mean_squares(IDS[:0], CU_SEQLENS[:1])


def test_one_factor_for_each_row_and_column(tiny_checkpoint: Path) -> None:
    file = _core.open_safetensors(str(tiny_checkpoint / "model.safetensors"))
    name = next(name for name in file.tensors if name.endswith("layers.0.mlp.down_proj.weight"))
    ones = np.ones(32, np.float32)
    for factors in ({"rows": ones}, {"columns": ones}):
        with pytest.raises(InputError, match="one factor"):
            file.read(name, "F32", 0, 1, **factors)
        with pytest.raises(InputError, match="one factor"):
            file.pack(name, "int8", **factors)
