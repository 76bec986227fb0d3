"""Embedder in sentence-transformers' shape, on the tiny model."""

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gemlet
from gemlet import Embedder
from gemlet.errors import InputError, InputTooLong, InvalidDimension, TruncationWarning, UnknownPrompt
from gemlet.gguf import write_gguf
from gemlet.packing import fit

TEXTS = ["a text", "another one", ""]
LONG = "the red planet is seen at night " * 200


def test_shapes_and_types(tiny: Embedder) -> None:
    one, many = tiny.encode("a text"), tiny.encode(["a text", "another"])
    assert one.shape == (64,)
    assert many.shape == (2, 64)
    assert one.dtype == many.dtype == np.float32
    assert np.array_equal(one, many[0])
    assert np.allclose(np.linalg.norm(many, axis=1), 1, atol=1e-6)
    assert tiny.encode([]).shape == (0, 64)
    assert tiny.get_sentence_embedding_dimension() == 64


def test_every_container_gives_the_same(tiny: Embedder) -> None:
    texts = ["a", "bb", "ccc"]
    expected = tiny.encode(texts)
    for form in (tuple(texts), (t for t in texts), np.array(texts), pd.Series(texts)):
        assert np.array_equal(tiny.encode(form), expected)


@pytest.mark.parametrize("text", ["", " ", "\0", "\n\n\n", "a\0b", "\ud800", "😀", "\u202e", "<eos>", "<bos><bos>"])
def test_odd_texts_have_finite_unit_vectors(tiny: Embedder, text: str) -> None:
    vector = tiny.encode(text)
    assert abs(float(np.linalg.norm(vector)) - 1) < 1e-6


def test_prompts(tiny: Embedder) -> None:
    query = tiny.encode("x", prompt="task: search result | query: ")
    assert np.array_equal(tiny.encode_query("x"), query)
    assert np.array_equal(tiny.encode("x", prompt_name="Retrieval-query"), query)
    assert np.array_equal(tiny.encode_query(["x"])[0], query)
    facts = tiny.encode("x", prompt="task: fact checking | query: ")
    assert np.array_equal(tiny.encode_query("x", prompt_name="fact checking"), facts)
    assert np.array_equal(tiny.encode_document("x"), tiny.encode("x", prompt="title: none | text: "))
    with pytest.raises(UnknownPrompt):
        tiny.encode("x", prompt_name="nothing")


def test_all_names_of_config_and_card_are_there(tiny: Embedder) -> None:
    assert len(tiny.prompts) == 14 + 8
    for name in tiny.prompts:
        assert tiny.encode("x", prompt_name=name).shape == (64,)


def test_titles(tiny: Embedder) -> None:
    titled = tiny.encode_document(["x", "y"], titles=["A", None])
    assert np.array_equal(titled[0], tiny.encode("x", prompt="title: A | text: "))
    assert np.array_equal(titled[1], tiny.encode_document("y"))
    assert np.array_equal(tiny.encode_document("x", titles="A"), titled[0])
    with pytest.raises(InputError, match="1 titles for 2"):
        tiny.encode_document(["x", "y"], titles=["A"])


def test_prompts_one_for_each_text(tiny: Embedder) -> None:
    both = tiny.encode(["x", "y"], prompt=["p: ", ""])
    assert np.array_equal(both[1], tiny.encode("y"))
    with pytest.raises(InputError, match="1 prompts for 2"):
        tiny.encode(["x", "y"], prompt=["p: "])


def test_normalize_embeddings_off_gives_the_head_as_it_is(tiny: Embedder) -> None:
    raw = tiny.encode("x", normalize_embeddings=False)
    assert not np.isclose(np.linalg.norm(raw), 1)
    assert np.allclose(raw / np.linalg.norm(raw), tiny.encode("x"), atol=1e-6)


def test_precision_and_dimension_are_checked_before_work(tiny: Embedder) -> None:
    assert tiny.encode(["x"], precision="ubinary").shape == (1, 8)
    with pytest.raises(InputError, match="float16"):
        tiny.encode("x", precision="float16")
    with pytest.raises(InvalidDimension):
        tiny.encode("x", truncate_dim=100)
    with pytest.raises(InputError, match="hidden"):
        tiny.encode("x", output_value="hidden")


def test_right_warns_once_and_says_what_was_lost(tiny: Embedder) -> None:
    tokens = int(tiny.count_tokens(LONG)[0])
    assert tokens > 2048
    with pytest.warns(TruncationWarning) as caught:
        vector, usage = tiny.encode(["short", LONG, LONG], return_usage=True)
    assert len(caught) == 1
    assert f"2 of 3 texts are longer than 2048 tokens and were cut: text 1 lost {tokens - 2048} of {tokens}" in str(
        caught[0].message
    )
    assert caught[0].filename == __file__
    assert usage.tokens.tolist() == [int(tiny.count_tokens("short")[0]), tokens, tokens]
    assert usage.cut.tolist() == [0, tokens - 2048, tokens - 2048]
    assert np.array_equal(vector[1], vector[2])


def test_left_keeps_the_end(tiny: Embedder) -> None:
    with pytest.warns(TruncationWarning):
        a = tiny.encode_query("start " + LONG, truncation="left")
        b = tiny.encode_query("begin " * 50 + LONG, truncation="left")
        right = tiny.encode_query("start " + LONG)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, right)


def test_error_and_window(tiny: Embedder) -> None:
    with pytest.raises(InputTooLong, match="text 1"):
        tiny.encode(["short", LONG], truncation="error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors, usage = tiny.encode(["short", LONG], truncation="window", return_usage=True)
    assert not usage.cut.any()
    assert np.array_equal(vectors[0], tiny.encode("short"))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_window_vector_is_the_weighted_mean_of_its_windows(tiny: Embedder) -> None:
    ids = tiny.tokenize(LONG).ids[1:-1]
    parts = fit([ids], lambda row: 0, limit=2048, truncation="window", bos=2, eos=1)
    units = [tiny._model.embed(part, np.array([0, len(part)], np.int32))[0] for part in parts.input_ids]
    mean = sum(w * u / np.linalg.norm(u) for w, u in zip(parts.weights, units, strict=True))
    expected = mean / np.linalg.norm(mean)
    assert len(units) > 1
    assert np.allclose(tiny.encode(LONG, truncation="window"), expected, atol=1e-6)  # float32 sums, other order


def test_token_embeddings(tiny: Embedder) -> None:
    one = tiny.encode("a text", output_value="token_embeddings")
    many = tiny.encode(["a text", "b"], output_value="token_embeddings")
    assert one.shape == (len(tiny.tokenize("a text").ids), 64)
    assert np.array_equal(one, many[0])


def test_tokenize_points_back_into_the_text(tiny: Embedder) -> None:
    text = "The Größe, 😀!"
    encoding = tiny.tokenize(text)
    assert encoding.ids[0] == 2
    assert encoding.ids[-1] == 1
    assert len(encoding.ids) == len(encoding.pieces) == len(encoding.spans) == tiny.count_tokens(text)[0]
    spans = encoding.spans[1:-1]
    assert spans[0, 0] == 0
    assert spans[-1, 1] == len(text)
    assert (spans[1:, 0] <= spans[:-1, 1]).all()


def test_control_tokens_are_plain_text_unless_asked(tiny_checkpoint: Path, tiny: Embedder) -> None:
    text = "a<eos>b"
    parsed = Embedder(tiny_checkpoint, control_tokens="parse")
    assert tiny.tokenize(text).ids.tolist().count(1) == 1
    assert parsed.tokenize(text).ids.tolist().count(1) == 2
    assert np.array_equal(parsed.encode("a text"), tiny.encode("a text"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantization": "q3"}, "quantization is 'q3'; available: f32, bf16, q8_0"),
        ({"truncation": "middle"}, "truncation is 'middle'"),
        ({"control_tokens": "drop"}, "control_tokens is 'drop'"),
        ({"threads": 0}, "threads is 0"),
        ({"threads": -1}, "threads is -1"),
        ({"token_budget": 0}, "token_budget is 0"),
        ({"max_seq_length": 3}, "max_seq_length is 3; it must be a whole number, 8 or more"),
        ({"truncate_dim": 32}, "truncate_dim is 32"),
    ],
)
def test_wrong_arguments(tiny_checkpoint: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Embedder(tiny_checkpoint, **arguments)
    with pytest.raises(InputError, match="batch_size is 0"):
        Embedder(tiny_checkpoint).encode(["x"], batch_size=0)


def test_max_seq_length_is_the_smaller(tiny_checkpoint: Path) -> None:
    assert Embedder(tiny_checkpoint, max_seq_length=5000).max_seq_length == 2048
    short = Embedder(tiny_checkpoint, max_seq_length=8)
    with pytest.warns(TruncationWarning, match="8 tokens"):
        assert len(short.encode("many words of a text", output_value="token_embeddings")) == 8


def test_the_default_is_8_bits(tiny_checkpoint: Path, tiny: Embedder, tiny_f32: Embedder) -> None:
    assert (tiny.quantization, tiny_f32.quantization) == ("q8_0", "f32")
    assert np.array_equal(Embedder(tiny_checkpoint, quantization="q8_0").encode("a text"), tiny.encode("a text"))
    assert not np.array_equal(tiny_f32.encode("a text"), tiny.encode("a text"))


# Rounding moves a number by 1/512 of itself (bf16), or of the largest of its row (8 bits), on the average; the errors
# are independent.
@pytest.mark.parametrize(("quantization", "least"), [("bf16", 0.999), ("q8_0", 0.99)])
def test_fewer_bits_are_close(tiny_checkpoint: Path, tiny_f32: Embedder, quantization: Any, least: float) -> None:
    rough = Embedder(tiny_checkpoint, quantization=quantization)
    cosines = rough.similarity_pairwise(rough.encode(TEXTS), tiny_f32.encode(TEXTS))
    assert (cosines > least).all()
    assert not np.array_equal(rough.encode(TEXTS), tiny_f32.encode(TEXTS))


def test_a_file_says_how_it_is_stored(tiny_checkpoint: Path, tiny: Embedder, tmp_path: Path) -> None:
    for dtype in ("f32", "bf16", "q8_0"):
        file = tmp_path / f"{dtype}.gguf"
        write_gguf(tiny_checkpoint, file, dtype=dtype)
        embedder = Embedder(file)
        assert embedder.quantization == dtype
        assert embedder.prompts == tiny.prompts
        folder = Embedder(tiny_checkpoint, quantization=dtype)
        if dtype == "bf16":  # the folder's embedding table is not rounded, the file's is
            assert (embedder.similarity_pairwise(embedder.encode(TEXTS), folder.encode(TEXTS)) > 0.999).all()
        else:
            assert np.array_equal(embedder.encode(TEXTS), folder.encode(TEXTS))
    with pytest.raises(InputError, match="the file holds q8_0"):
        Embedder(tmp_path / "q8_0.gguf", quantization="f32")


def test_a_progress_bar_goes_to_stderr(tiny: Embedder, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.encode(["a", "b"], show_progress_bar=True)
    out, err = capsys.readouterr()
    assert not out
    assert "2/2" in err


def test_the_public_names() -> None:
    assert gemlet.__all__ == sorted(gemlet.__all__)
    for name in gemlet.__all__:
        assert getattr(gemlet, name) is not None
    for name, member in inspect.getmembers(Embedder, inspect.isfunction):
        assert name.startswith("_") or member.__doc__, f"{name} has no docstring"


def test_ten_megabytes_of_text(tiny: Embedder) -> None:
    with pytest.warns(TruncationWarning):
        assert np.isfinite(tiny.encode("all the red planets " * 500_000)).all()
