"""The model in PyTorch on the real checkpoint, without a GPU: the publisher's vectors, and our engine's."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gemlet import Embedder
from gemlet.verify import BOUNDS, _same, check_vectors, compare, load_goldens

pytest.importorskip("torch", reason="PyTorch is not installed")

# Short ones of every kind, and lengths around the window and beyond it.
GOLDENS = [golden for golden in load_goldens() if golden.tokens <= 24 and not golden.control][::7]
GOLDENS += [golden for golden in load_goldens() if golden.tokens in (257, 258, 600)]
TEXTS = [golden.prompted for golden in GOLDENS]


@pytest.fixture(scope="module")
def in_torch(checkpoint: Path) -> Embedder:
    return Embedder(checkpoint, device="torch:cpu", quantization="f32")


def test_the_goldens_are_short_and_long() -> None:
    assert {257, 258, 600} < {golden.tokens for golden in GOLDENS}
    assert len(GOLDENS) >= 12


def test_in_float32_they_are_the_publishers_and_our_engines(in_torch: Embedder, embedder_f32: Embedder) -> None:
    vectors = in_torch.encode(TEXTS)
    assert check_vectors(GOLDENS, vectors, "f32") == []
    cosines, differences = compare(GOLDENS, vectors)
    # Measured 5.4e-7 over all goldens of up to 300 tokens: the rounding of two orders of float32 sums. Nine times that.
    assert cosines.min() > 0.99999
    assert differences.max() < 5e-6
    assert np.abs(vectors - embedder_f32.encode(TEXTS)).max() < 5e-6


def test_a_batch_changes_no_vector_but_by_rounding(in_torch: Embedder) -> None:
    some = TEXTS[:3]
    assert np.abs(np.stack([in_torch.encode(text) for text in some]) - in_torch.encode(some)).max() < 5e-6


def test_in_bfloat16_they_are_within_its_bounds(checkpoint: Path) -> None:
    vectors = Embedder(checkpoint, device="torch:cpu").encode(TEXTS[:8])
    assert check_vectors(GOLDENS[:8], vectors, "bf16") == []


@pytest.mark.parametrize("quantization", BOUNDS)
def test_verify_asks_a_gpu_for_the_same_up_to_rounding_and_the_engine_for_bits(quantization: str) -> None:
    a = np.zeros((2, 3), np.float32)
    near, far = a + np.float32(0.9 * BOUNDS[quantization][1]), a + np.float32(1.1 * BOUNDS[quantization][1])
    gpu, own = (SimpleNamespace(device=device, quantization=quantization) for device in ("cuda", "cpu"))
    assert _same(gpu, a, near)
    assert not _same(gpu, a, far)
    assert not _same(gpu, a, a[:1])
    assert not _same(own, a, near)
    assert _same(own, a, a.copy())
