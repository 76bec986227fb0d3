"""The NumPy reference: alone on the tiny model, then against the publisher's stack on the real one."""

from pathlib import Path

import embedding_gemma
import numpy as np
import pytest
from embedding_gemma import EmbeddingGemma, Trace
from tiny_model import write_tiny_checkpoint

from gemlet.verify import load_goldens

STAGES = Path(__file__).parent / "stages.npz"


def random_ids(tokens: int, seed: int = 1) -> np.ndarray:
    return np.concatenate([[2], np.random.default_rng(seed).integers(4, 512, tokens - 2), [1]])


def attend_causally(model: EmbeddingGemma, monkeypatch: pytest.MonkeyPatch) -> None:
    softmax = embedding_gemma.softmax
    monkeypatch.setattr(
        embedding_gemma, "softmax", lambda scores: softmax(np.where(np.tri(len(scores), dtype=bool), scores, -np.inf))
    )


def see_one_token_less(model: EmbeddingGemma, _: pytest.MonkeyPatch) -> None:
    model.config["sliding_window"] = 510


def see_one_token_more(model: EmbeddingGemma, _: pytest.MonkeyPatch) -> None:
    model.config["sliding_window"] = 514


def swap_thetas(model: EmbeddingGemma, _: pytest.MonkeyPatch) -> None:
    config = model.config
    config["rope_theta"], config["rope_local_base_freq"] = config["rope_local_base_freq"], config["rope_theta"]


def drop_a_dense_layer(model: EmbeddingGemma, _: pytest.MonkeyPatch) -> None:
    model.dense[0] = np.eye(len(model.dense[0]), model.dense[0].shape[1], dtype=np.float32)


FAULTS = [attend_causally, see_one_token_less, see_one_token_more, swap_thetas, drop_a_dense_layer]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_other_ports_moves_the_tiny_vector(fault, tiny_checkpoint, monkeypatch):
    ids = random_ids(600)
    right = EmbeddingGemma(tiny_checkpoint).forward(ids)["embedding"]
    wrong_model = EmbeddingGemma(tiny_checkpoint)
    fault(wrong_model, monkeypatch)
    assert np.abs(wrong_model.forward(ids)["embedding"] - right).max() > 1e-3


def test_the_trace_has_every_stage_in_its_shape(tiny_checkpoint):
    trace = EmbeddingGemma(tiny_checkpoint).forward(random_ids(7))
    layer = {"attn_input": (7, 64), "q": (7, 3, 32), "k": (7, 1, 32), "v": (7, 1, 32), "context": (7, 96)}
    layer |= {"attn_out": (7, 64), "mlp_input": (7, 64), "mlp_out": (7, 64), "output": (7, 64)}
    shapes = {f"layers.{n}.{name}": shape for n in range(2) for name, shape in layer.items()}
    shapes |= {"embed": (7, 64), "final_norm": (7, 64), "pooled": (64,)}
    shapes |= {"dense.0": (128,), "dense.1": (64,), "embedding": (64,)}
    assert {name: value.shape for name, value in trace.items()} == shapes
    assert {value.dtype for value in trace.values()} == {np.dtype(np.float32)}


def test_a_sliding_layer_sees_256_tokens_to_each_side_and_a_full_layer_all(tiny_checkpoint):
    model, ids = EmbeddingGemma(tiny_checkpoint), random_ids(600)
    changed = ids.copy()
    changed[300] += 1
    before, after = model.forward(ids), model.forward(changed)

    def touched(name: str) -> list[int]:
        return np.flatnonzero((before[name] != after[name]).any(axis=1)).tolist()

    assert touched("layers.0.context") == list(range(300 - 256, 300 + 256 + 1))
    assert touched("layers.1.context") == list(range(600))


@pytest.mark.parametrize("sliding_window", [512, 257])
def test_512_and_257_are_the_same_window(sliding_window):
    assert embedding_gemma.half_window({"sliding_window": sliding_window}) == 256


def test_rope_bases_are_read_where_transformers_5_writes_them(tiny_checkpoint):
    old = EmbeddingGemma(tiny_checkpoint).config
    new = {"rope_parameters": {"sliding_attention": {"rope_theta": 1e4}, "full_attention": {"rope_theta": 1e6}}}
    for layer_type in ("sliding_attention", "full_attention"):
        assert embedding_gemma.rope_theta(new, layer_type) == embedding_gemma.rope_theta(old, layer_type)


def test_float32_stays_close_to_float64(tiny_checkpoint):
    ids = random_ids(600)
    exact = EmbeddingGemma(tiny_checkpoint, np.float64).forward(ids)["embedding"]
    assert exact.dtype == np.float64
    # Measured 1.7e-7; two layers in float32 have no business above 1e-6.
    assert np.abs(EmbeddingGemma(tiny_checkpoint).forward(ids)["embedding"] - exact).max() < 1e-6


def test_bfloat16_weights_are_the_float32_ones_rounded(tiny_checkpoint, tmp_path):
    rounded = EmbeddingGemma(write_tiny_checkpoint(tmp_path, dtype="BF16"))
    for name, tensor in EmbeddingGemma(tiny_checkpoint).tensors.items():
        widened = embedding_gemma.widen(rounded.tensors[name], np.dtype(np.float32))
        # Eight significant bits, rounded to nearest: half a unit is 2^-8 of the power of two below the value.
        np.testing.assert_array_less(np.abs(widened - tensor), np.abs(tensor) * 2.0**-8 + 1e-38)


@pytest.mark.parametrize(("text", "golden_id"), [("short", "lang-te"), ("long", "len-300")])
def test_every_stage_is_the_publishers(text, golden_id, checkpoint):
    [golden] = [golden for golden in load_goldens() if golden.id == golden_id]
    trace = EmbeddingGemma(checkpoint).forward(golden.input_ids)
    with np.load(STAGES, allow_pickle=False) as stages:
        names = stages["token_stages"].tolist()
        assert len(names) == 24 * 9 + 2
        for name, sampled, norms in zip(names, stages[f"tokens_{text}"], stages[f"norms_{text}"], strict=True):
            compare_rows(three_rows(trace, name), sampled, norms, stages, name)
        for name, sampled, norm in zip(
            ("pooled", "dense.0", "dense.1"), stages[f"vectors_{text}"], stages[f"norms_vectors_{text}"], strict=True
        ):
            compare_rows(trace[name][None, :], sampled[None, :], norm[None], stages, name)


def three_rows(trace: Trace, name: str) -> np.ndarray:
    value = trace[name].reshape(len(trace[name]), -1)
    return value[[0, len(value) // 2, len(value) - 1]]


def compare_rows(rows, sampled, norms, stages, name):
    """Errors are relative to the norm of the row, whose largest channels drown the others."""
    # Measured 2.1e-6 at most, after 24 layers in another order of float32 sums.
    kept = rows[:, stages[f"columns_{rows.shape[1]}"]]
    assert (np.abs(kept - sampled) / norms[:, None]).max() < 1e-5, name
    assert np.abs(np.linalg.norm(rows, axis=1) / norms - 1).max() < 1e-5, name


@pytest.mark.parametrize("tokens", [2, 23, 64, 257, 258, 300, 513, 600, 2048])
def test_vectors_are_the_publishers(tokens, checkpoint):
    golden = next(golden for golden in load_goldens() if len(golden.input_ids) == tokens)
    difference = np.abs(EmbeddingGemma(checkpoint).forward(golden.input_ids)["embedding"] - golden.vector).max()
    # Measured 4.8e-7 at most over all goldens: the rounding of two orders of float32 sums.
    assert difference < 5e-6
