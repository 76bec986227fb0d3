"""Truncation, normalisation, storage precisions, similarity."""

import numpy as np
import pytest

from gemlet.errors import InputError, InvalidDimension
from gemlet.vectors import check_dim, normalize, quantize, similarity, similarity_pairwise, widen

VECTORS = normalize(np.random.default_rng(0).normal(size=(20, 768)).astype(np.float32))


def test_dimensions_that_were_trained() -> None:
    assert [check_dim(d, 768) for d in (None, 768, 512, 256, 128)] == [768, 768, 512, 256, 128]
    for wrong in (0, -1, 100, 769, "256"):
        with pytest.raises(InvalidDimension, match="768, 512, 256, 128"):
            check_dim(wrong, 768)


def test_normalize_gives_unit_rows_and_leaves_zero() -> None:
    x = np.array([[3, 4], [0, 0], [1e-30, 0], [1e30, 1e30]], np.float32)
    assert np.allclose(np.linalg.norm(normalize(x).astype(np.float64), axis=1), [1, 0, 1, 1], atol=1e-6)


@pytest.mark.parametrize("precision", ["int8", "uint8", "binary", "ubinary"])
def test_a_row_is_quantised_by_itself(precision: str) -> None:
    together = quantize(VECTORS, precision)
    for i in (0, 7):
        assert np.array_equal(quantize(VECTORS[i : i + 1], precision)[0], together[i])


@pytest.mark.parametrize(
    ("precision", "dtype", "width", "least"),
    # int8 steps are 1/127 of the largest number: half a step of noise on each; one bit keeps sqrt(2/pi) = 0.798
    [("float32", np.float32, 768, 1.0), ("int8", np.int8, 768, 0.999), ("uint8", np.uint8, 768, 0.999),
     ("binary", np.int8, 96, 0.75), ("ubinary", np.uint8, 96, 0.75)],
)  # fmt: skip
def test_precisions_keep_direction(precision: str, dtype: type, width: int, least: float) -> None:
    stored = quantize(VECTORS, precision)
    assert stored.dtype == dtype
    assert stored.shape == (20, width)
    back = normalize(widen(stored, precision))
    assert (np.einsum("ij,ij->i", back, VECTORS) >= least - 1e-6).all()


def test_zero_vectors_survive_every_precision() -> None:
    zero = np.zeros((1, 16), np.float32)
    assert quantize(zero, "int8").tolist() == [[0] * 16]
    assert quantize(zero, "uint8").tolist() == [[128] * 16]
    assert quantize(zero, "ubinary").tolist() == [[0, 0]]


def test_binary_is_as_sentence_transformers_packs_it() -> None:
    x = np.array([[1, -1, 1, -1, 1, -1, 1, -1]], np.float32)
    assert quantize(x, "ubinary").tolist() == [[0b10101010]]
    assert quantize(x, "binary").tolist() == [[0b10101010 - 128]]


def test_similarity_is_the_cosine() -> None:
    a, b = VECTORS[:3] * 5, VECTORS[3:8]
    expected = VECTORS[:3].astype(np.float64) @ b.T.astype(np.float64)
    assert np.abs(similarity(a, b) - expected).max() < 1e-6
    assert similarity(a[0], b).shape == (1, 5)
    assert np.allclose(similarity_pairwise(a, b[:3]), np.diag(expected), atol=1e-6)
    assert similarity(a, b).dtype == np.float32


def test_similarity_of_stored_vectors() -> None:
    exact = similarity(VECTORS, VECTORS)
    for precision, bound in (("int8", 0.01), ("uint8", 0.01), ("ubinary", 0.2), ("binary", 0.2)):
        stored = quantize(VECTORS, precision)
        assert np.abs(similarity(stored, stored, precision) - exact).max() < bound


def test_vectors_that_do_not_fit_together() -> None:
    with pytest.raises(InputError, match="768 and 256"):
        similarity(VECTORS, VECTORS[:, :256])
    with pytest.raises(InputError, match="20 and 3"):
        similarity_pairwise(VECTORS, VECTORS[:3])
    with pytest.raises(InputError, match="float16"):
        quantize(VECTORS, "float16")
