"""One test for each way a tokenizer.json can lie, or be another tokenizer's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_tokenizer import OUTSIDE, SIZE, tiny_tokenizer

from gemlet._core import Tokenizer
from gemlet.errors import UnsupportedModel, WeightsError

Document = dict[str, Any]
Change = Callable[[Document], object]


def load(path: Path, text: str | bytes) -> Tokenizer:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Tokenizer.from_json(str(path))


def put(keys: str, value: Any) -> Change:
    """Set document[a][b][...] for "a b ..."; an Ellipsis takes the key out."""

    def change(document: Document) -> None:
        *path, last = [int(key) if key.lstrip("-").isdigit() else key for key in keys.split()]
        for key in path:
            document = document[key]
        if value is ...:
            del document[last]
        else:
            document[last] = value

    return change


def rename(old: str, new: str) -> Change:
    """Give a piece another name, in its place."""

    def change(document: Document) -> None:
        model = document["model"]
        model["vocab"] = {new if piece == old else piece: number for piece, number in model["vocab"].items()}

    return change


def swap_merges(document: Document) -> None:
    merges = document["model"]["merges"]
    merges[70], merges[71] = merges[71], merges[70]


def vocab_behind_merges(document: Document) -> None:
    document["model"]["vocab"] = document["model"].pop("vocab")


def added_tokens_behind_model(document: Document) -> None:
    document["added_tokens"] = document.pop("added_tokens")


def byte_as_added_token(document: Document) -> None:
    added = document["added_tokens"]
    added.append({**added[-1], "content": "<0x41>", "id": document["model"]["vocab"]["<0x41>"], "special": False})
    added.sort(key=lambda token: token["id"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("normalizer", None), "`normalizer` is null, this engine runs only"),
        (put("normalizer", {"type": "NFKC"}), "`normalizer` is"),
        (put("normalizer content", "_"), "`normalizer` is"),
        (put("normalizer content", "▁" * 300), "▁, this engine runs only"),  # the message cuts it between characters
        (put("pre_tokenizer", {"type": "ByteLevel"}), "`pre_tokenizer` is"),
        (put("pre_tokenizer behavior", "Isolated"), "`pre_tokenizer` is"),
        (put("post_processor", ...), "`post_processor` is missing"),
        (put("post_processor single", []), "`post_processor.single` is"),
        (put("post_processor special_tokens <eos> ids", [106]), "`post_processor.special_tokens` is"),
        (put("decoder decoders", []), "`decoder` is"),
        (put("version", "2.0"), "`version` is"),
        (put("extra", 1), "`extra` is not a field"),
        (put("model type", "Unigram"), "`model.type` is"),
        (put("model dropout", 0.1), "`model.dropout` is 0.1"),
        (put("model unk_token", None), "`model.unk_token` is null"),
        (put("model byte_fallback", False), "`model.byte_fallback` is false"),
        (put("model byte_fallback", ...), "`model.byte_fallback` is missing"),
        (put("model ignore_merges", True), "`model.ignore_merges` is true"),
        (put("model end_of_word_suffix", "</w>"), "`model.end_of_word_suffix` is"),
        (put("model continuing_subword_prefix", "##"), "`model.continuing_subword_prefix` is"),
        (put("model extra", 1), "`model.extra` is not a field"),
        (put("added_tokens 3 lstrip", True), r"`added_tokens\[3\].lstrip` is true"),
        (put("added_tokens 3 rstrip", True), "rstrip"),
        (put("added_tokens 3 single_word", True), "single_word"),
        (put("added_tokens 3 normalized", True), "normalized"),
        (put("added_tokens 3 special", ...), r"`added_tokens\[3\].special` is missing"),
        (put("added_tokens 3 content", "<other>"), "differ about id 3"),
        (put("added_tokens 3 id", 9), r"`added_tokens\[4\].id` does not rise"),
        (put("added_tokens -1 special", False), "outside of the vocabulary"),
        (put("added_tokens -1 id", SIZE + 1), "outside of the vocabulary"),
        (put("model vocab he", 7), "does not list its ids as 0, 1, 2"),
        (put("model vocab <bos>", 3), "does not list its ids as 0, 1, 2"),
        (swap_merges, "`model.merges` differs from what the vocabulary implies at merge 70"),
        (put("model merges 70", ["a", "b"]), "at merge 70"),
        (put("model merges 70", ["a"]), "at merge 70"),
        (put("model merges 70", []), "at merge 70"),
        (put("model merges 0", ["▁", "▁", "▁"]), "at merge 0"),
        (put("model merges 70", ...), "at merge 70"),
        (put("model merges -1", ...), "lacks some"),
        (lambda d: d["model"]["merges"].append(["t", "t"]), "differs"),
        (rename("▁the", "▁thx"), "`model.merges` differs"),
        (vocab_behind_merges, "`model.merges` comes before `model.vocab`"),
        (added_tokens_behind_model, "`model.vocab` comes before `added_tokens`"),
    ],
)
def test_another_tokenizer(tmp_path: Path, change: Change, message: str) -> None:
    document = tiny_tokenizer()
    change(document)
    with pytest.raises(UnsupportedModel, match=message) as caught:
        load(tmp_path / "tokenizer.json", json.dumps(document))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("model vocab he", 1.5), "not an id"),
        (put("model vocab he", -1), "not an id"),
        (put("model vocab he", 2**64), "not an id"),
        (put("model vocab he", "1"), "expected a digit"),
        (put("added_tokens 3 id", 2**31), "not an id"),
        (put("added_tokens", {}), r"expected `\["),
        (put("model vocab", []), "expected `{`"),
        (put("model merges 0", "▁ ▁"), r"expected `\["),
        (put("model merges 0 0", 1), 'expected `"`'),
        (put("added_tokens 2 special", False), "lacks a control piece for bos"),
        (put("added_tokens -1 content", "<eos>"), "`<eos>` is there twice"),
        (put("added_tokens -1 content", ""), "is empty"),
        (byte_as_added_token, "lacks the byte piece `<0x41>`"),
        (rename("<unused0>", ""), "differ about"),
        (rename("ü", ""), "is empty"),
        (rename("ü", "x" + "ü" * 128), "`x(ü){19}` is empty or longer than 255 bytes"),
    ],
)
def test_a_wrong_value(tmp_path: Path, change: Change, message: str) -> None:
    document = tiny_tokenizer()
    change(document)
    with pytest.raises((WeightsError, UnsupportedModel), match=message):
        load(tmp_path / "tokenizer.json", json.dumps(document))


TEXT = json.dumps(tiny_tokenizer(), ensure_ascii=False)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"version": "1.0",', '"version": "1.0", "version": "1.0",', "the key `version` comes twice"),
        ('"type": "Replace",', '"type": "Replace", "type": "Replace",', 'the key "type" comes twice'),
        ('"<0x41>":', '"<0x42>":', "`<0x42>` is there twice"),
        ('"version"', '"version\x1f"', "a control character inside a string"),
        ('"version"', '"\\ud800"', r"expected `\\u`"),
        ('"version"', '"\\ud800\\u0041"', "a lone surrogate"),
        ('"version"', '"\\udc00"', "a lone surrogate"),
        ('"version"', '"\\x41"', "expected `u`"),
        ('"version"', '"\\u12"', "expected four hexadecimal digits"),
        ('"truncation": null', '"truncation": nil', "expected"),
        ('"truncation": null', '"truncation": 01', "spare 0"),
        ('"truncation": null', '"truncation": 1.', "expected a digit"),
        ('"truncation": null', '"truncation": 1e', "expected a digit"),
        ('"truncation": null', '"truncation": -', "expected a digit"),
        ('"truncation": null', '"truncation": [1,]', "a comma before the end"),
        ('"truncation": null', '"truncation": [1 2]', "expected `,`"),
        ('"truncation": null', '"truncation": {"a" 1}', "expected `:`"),
        ('"truncation": null', '"truncation": ' + "[" * 100_000, "more than 64 levels"),
    ],
)
def test_damaged_json(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(WeightsError, match=message):
        load(tmp_path / "tokenizer.json", TEXT.replace(old, new, 1))


@pytest.mark.parametrize("blob", [b"", b"\xef\xbb\xbf" + TEXT.encode(), TEXT.encode() + b"x", b"[]", b"\0" * 4096])
def test_no_json_object(tmp_path: Path, blob: bytes) -> None:
    with pytest.raises(WeightsError):
        load(tmp_path / "tokenizer.json", blob)


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x96"])
def test_invalid_utf8(tmp_path: Path, bad: bytes) -> None:
    with pytest.raises(WeightsError, match="invalid UTF-8"):
        load(tmp_path / "tokenizer.json", TEXT.encode().replace("ü".encode(), bad, 1))


def test_cut_off_anywhere(tmp_path: Path) -> None:
    blob = TEXT.encode()
    for length in range(1, len(blob), 211):
        with pytest.raises(WeightsError, match=r"byte \d+: "):
            load(tmp_path / "tokenizer.json", blob[:length])


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        Tokenizer.from_json(str(tmp_path / "nowhere"))


def test_fields_that_belong_to_a_call_are_ignored(tmp_path: Path) -> None:
    document = tiny_tokenizer()
    document["truncation"] = {"direction": "Right", "max_length": 2048, "strategy": "LongestFirst", "stride": 0}
    document["padding"] = {"strategy": "BatchLongest", "pad_id": 0, "pad_token": "<pad>"}
    assert load(tmp_path / "tokenizer.json", json.dumps(document)).vocab_size == SIZE
    assert load(tmp_path / "tokenizer.json", json.dumps(document, ensure_ascii=False, indent=4)).vocab_size == SIZE


def test_the_token_outside_may_be_missing(tmp_path: Path) -> None:
    document = tiny_tokenizer()
    del document["added_tokens"][-1]
    tokens, _ = load(tmp_path / "tokenizer.json", json.dumps(document)).encode([OUTSIDE], True)
    assert len(tokens) > 1
