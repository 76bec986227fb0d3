"""The tokenizer: the same ids as a slow one that follows the file by the book, as Hugging Face's, and as published."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from tiny_tokenizer import CONTROL, OUTSIDE, SIZE, pieces, slow_encode, tiny_tokenizer, tiny_tokenizer_json

from gemlet._core import Tokenizer
from gemlet.errors import InputError


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tiny_tokenizer_json(path)
    return path


@pytest.fixture(scope="module")
def tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.from_json(str(path))


@pytest.fixture(scope="module")
def published(checkpoint: Path) -> Tokenizer:
    return Tokenizer.from_json(str(checkpoint / "tokenizer.json"))


def ids(tokenizer: Tokenizer, text: str, parse_control: bool = False) -> list[int]:
    tokens, offsets = tokenizer.encode([text], parse_control)
    assert offsets.tolist() == [0, len(tokens)]
    return list(tokens.tolist())


def random_text(rng: random.Random, longest: int = 30) -> str:
    """Return words, added tokens whole and broken, runs, and characters that are no piece."""
    parts = [
        *pieces(),
        *CONTROL,
        " ",
        "  ",
        "\0",
        "q",
        "中",
        "\U0001f9ff",
        "the ",
        "query: ",
        "<eo",
        "s>",
        "<h1",
        "a" * 80,
    ]
    return "".join(rng.choice(parts) for _ in range(rng.randint(0, longest)))


TEXTS = [random_text(random.Random(seed)) for seed in range(300)]
# Longer than the 64 characters from which on a heap finds the next merge.
LONG_WORDS = ["a" * 64, "a" * 65, "a" * 203, "aah" * 70, "日本語" * 30, "::" * 33 + ":", "search" * 20, " " * 150]


@pytest.mark.parametrize("parse_control", [False, True])
def test_ids_are_those_of_the_slow_tokenizer(
    tokenizer: Tokenizer, document: dict[str, Any], parse_control: bool
) -> None:
    for text in TEXTS + LONG_WORDS:
        assert ids(tokenizer, text, parse_control) == slow_encode(document, text, parse_control), text


def test_ids_offsets_and_text_are_those_of_hugging_face(tokenizer: Tokenizer, path: Path) -> None:
    theirs = tokenizers.Tokenizer.from_file(str(path))
    for text in TEXTS + LONG_WORDS:
        encoding = theirs.encode(text, add_special_tokens=False)
        tokens, spans = tokenizer.encode_with_offsets(text, True)
        assert tokens.tolist() == encoding.ids, text
        assert spans.tolist() == [list(span) for span in encoding.offsets], text
        assert tokenizer.decode(tokens.tolist()) == theirs.decode(encoding.ids), text


def test_a_batch_is_its_texts_end_to_end(tokenizer: Tokenizer) -> None:
    tokens, offsets = tokenizer.encode(TEXTS, True)
    assert (tokens.dtype, offsets.dtype) == (np.int32, np.int64)
    for text, begin, end in zip(TEXTS, offsets[:-1], offsets[1:], strict=True):
        assert tokens[begin:end].tolist() == ids(tokenizer, text, True)
    counts = tokenizer.count(TEXTS, True)
    assert counts.dtype == np.int64
    assert counts.tolist() == np.diff(offsets).tolist()


def test_no_texts_and_an_empty_text(tokenizer: Tokenizer) -> None:
    tokens, offsets = tokenizer.encode([], False)
    assert (tokens.tolist(), offsets.tolist(), tokenizer.count([], False).tolist()) == ([], [0], [])
    assert ids(tokenizer, "") == []
    _, spans = tokenizer.encode_with_offsets("", False)
    assert spans.shape == (0, 2)


def test_a_control_token_in_a_text_is_text_unless_parsed(tokenizer: Tokenizer) -> None:
    assert ids(tokenizer, "a<eos>", parse_control=True)[-1] == CONTROL["<eos>"]
    for token in [*CONTROL, OUTSIDE]:
        literal = ids(tokenizer, f"a{token}b")
        assert not set(literal) & set(CONTROL.values())
        assert tokenizer.decode(literal) == f"a{token}b"


def test_a_parsed_control_token_without_an_embedding_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match=rf"text 1: the control token `{OUTSIDE}` at byte 2: its id {SIZE} has no"):
        tokenizer.encode(["", f"a {OUTSIDE}"], True)
    with pytest.raises(InputError):
        tokenizer.count([OUTSIDE], True)


def test_user_defined_pieces_are_found_from_the_left_longest_first(tokenizer: Tokenizer) -> None:
    def split(text: str) -> list[str]:
        return [tokenizer.id_to_piece(token) for token in ids(tokenizer, text)]

    assert split("\n" * 20) == ["\n" * 8, "\n" * 8, "\n" * 4]
    assert split("▁▁▁a") == ["▁▁▁", "a"]
    assert split(" ▁▁a") == ["▁", "▁▁", "a"]  # the text is searched before its space becomes a mark
    assert split("<<h1><h1") == ["<", "<h1>", "<", "h", "1"]


def test_the_bytes_of_a_character_have_its_span(tokenizer: Tokenizer) -> None:
    tokens, spans = tokenizer.encode_with_offsets("é中 q", False)
    assert [tokenizer.id_to_piece(token) for token in tokens] == ["é", "<0xE4>", "<0xB8>", "<0xAD>", "▁", "q"]
    assert spans.tolist() == [[0, 1], [1, 2], [1, 2], [1, 2], [2, 3], [3, 4]]


def test_a_spelled_byte_piece_is_text(tokenizer: Tokenizer) -> None:
    assert len(ids(tokenizer, "<0x41>")) == 6
    assert ids(tokenizer, "\0") == [tokenizer.piece_to_id("<0x00>")]


def test_decode(tokenizer: Tokenizer) -> None:
    byte = {n: tokenizer.piece_to_id(f"<0x{n:02X}>") for n in range(256)}
    text = "title: none | text: é中\n\n  the end\0"
    assert tokenizer.decode(ids(tokenizer, text)) == text
    assert tokenizer.decode([]) == ""
    assert tokenizer.decode([2, byte[0xE4], 1, byte[0xB8], byte[0xAD]]) == "中"  # control pieces are left out
    assert tokenizer.decode([byte[0xE4], byte[0xB8], byte[0x41]]) == "\ufffd\ufffd\ufffd"


def test_pieces_and_ids(tokenizer: Tokenizer) -> None:
    assert (tokenizer.vocab_size, tokenizer.bos, tokenizer.eos) == (SIZE, 2, 1)
    for number, piece in enumerate(pieces()):
        assert (tokenizer.id_to_piece(number), tokenizer.piece_to_id(piece)) == (piece, number)
    assert tokenizer.piece_to_id("absent") is None
    assert tokenizer.piece_to_id("") is None
    assert tokenizer.piece_to_id(OUTSIDE) is None


@pytest.mark.parametrize("number", [-1, SIZE, 2**31 - 1])
def test_an_id_outside_of_the_vocabulary(tokenizer: Tokenizer, number: int) -> None:
    with pytest.raises(InputError, match=f"id {number}"):
        tokenizer.id_to_piece(number)
    with pytest.raises(InputError, match=f"token 1 has id {number}"):
        tokenizer.decode([5, number])


def test_a_lone_surrogate_and_a_wrong_type_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UnicodeEncodeError):
        tokenizer.encode(["\ud800"], False)
    with pytest.raises(TypeError):
        tokenizer.encode([b"bytes"], False)


def test_threads_share_one_tokenizer(tokenizer: Tokenizer) -> None:
    alone = tokenizer.encode(TEXTS, True)[0].tolist()
    with ThreadPoolExecutor(8) as pool:
        for tokens, _ in pool.map(lambda _: tokenizer.encode(TEXTS, True), range(32)):
            assert tokens.tolist() == alone


@pytest.mark.parametrize("character", ["a", " ", "\n", "é", "中", "<"])
def test_a_million_equal_characters(tokenizer: Tokenizer, character: str) -> None:
    # A step for each pair of characters would be 10^12 steps: this would not end.
    text = character * 1_000_000
    tokens, spans = tokenizer.encode_with_offsets(text, True)
    assert tokenizer.decode(tokens.tolist()) == text
    assert (spans[0, 0], spans[-1, 1]) == (0, len(text))


PUBLISHED = {
    "": [],
    "a": [236746],
    "Hello, world!": [9259, 236764, 1902, 236888],
    "search_query: what powers the cell": [2305, 236779, 3278, 236787, 1144, 13361, 506, 2145],
    "\n" * 40: [137, 115],
    "  <h1> \n\n▁▁ ▁ <<h1>": [138, 184, 236743, 108, 138, 139, 236820, 184],
    "a\U0001f9ff\U000e0001b": [236746, 248979, 481, 398, 366, 367, 236763],
}


@pytest.mark.parametrize("text", PUBLISHED)
def test_ids_of_the_published_tokenizer(published: Tokenizer, text: str) -> None:
    assert ids(published, text) == PUBLISHED[text]
    assert published.vocab_size == 262_144


def test_control_tokens_of_the_published_tokenizer(published: Tokenizer) -> None:
    assert ids(published, "<eos> a <start_of_turn>", parse_control=True) == [1, 496, 236743, 105]
    assert ids(published, "<eos> a") == [236820, 211827, 236813, 496]
    with pytest.raises(InputError, match="262144"):
        published.encode(["<image_soft_token>"], True)
