"""The engine against the NumPy reference on the tiny model: every layer, every instruction set, nothing to fetch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from embedding_gemma import EmbeddingGemma

from gemlet import _core
from gemlet.checkpoint import read_checkpoint

LENGTHS = [2, 3, 17, 48, 49, 256, 257, 258, 300, 513, 600, 1500]

# Two orders of float32 sums over two layers; the faults below move the vector by 1e-3 and more.
TOLERANCE = 2e-6


def random_ids(tokens: int) -> np.ndarray:
    return np.concatenate([[2], np.random.default_rng(tokens).integers(4, 512, tokens - 2), [1]]).astype(np.int32)


def engine(folder: Path, isa: str = "") -> _core.Model:
    settings = read_checkpoint(folder)
    return _core.Model(settings.config, settings.weights, "f32", 2, isa)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)


def difference(model: _core.Model, reference: EmbeddingGemma, lengths: list[int]) -> float:
    texts = [random_ids(n) for n in lengths]
    cu_seqlens = np.cumsum([0, *lengths]).astype(np.int32)
    given = unit(model.embed(np.concatenate(texts), cu_seqlens))
    return max(
        float(np.abs(vector - reference.forward(ids)["embedding"]).max())
        for vector, ids in zip(given, texts, strict=True)
    )


def test_every_length_on_every_instruction_set(tiny_checkpoint: Path, isa: str) -> None:
    assert difference(engine(tiny_checkpoint, isa), EmbeddingGemma(tiny_checkpoint), LENGTHS) < TOLERANCE


def test_every_layer(tiny_checkpoint: Path, isa: str) -> None:
    ids = random_ids(600)
    trace = EmbeddingGemma(tiny_checkpoint).forward(ids)
    model, cu_seqlens = engine(tiny_checkpoint, isa), np.array([0, len(ids)], np.int32)
    for layers, name in enumerate(["embed", "layers.0.output", "layers.1.output"]):
        rows = model.hidden_states(ids, cu_seqlens, layers)
        size = np.linalg.norm(trace[name], axis=1, keepdims=True)
        assert (np.abs(rows - trace[name]) / size).max() < TOLERANCE, name
    final = model.token_embeddings(ids, cu_seqlens)
    assert (
        np.abs(final - trace["final_norm"]) / np.linalg.norm(trace["final_norm"], axis=1)[:, None]
    ).max() < TOLERANCE


@pytest.mark.parametrize("tensor", ["layers.0.self_attn.k_proj", "layers.1.mlp.down_proj", "layers.0.self_attn.q_norm"])
def test_one_flipped_bit_of_a_weight_is_seen(tiny_checkpoint: Path, tmp_path: Path, tensor: str) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    path = folder / "model.safetensors"
    blob = bytearray(path.read_bytes())
    length = int.from_bytes(blob[:8], "little")
    begin, _ = json.loads(blob[8 : 8 + length])[tensor + ".weight"]["data_offsets"]
    blob[8 + length + begin + 3] ^= 0x40  # the exponent's high bit of the first number
    path.write_bytes(blob)
    assert not difference(engine(folder), EmbeddingGemma(tiny_checkpoint), [17, 300]) < TOLERANCE
