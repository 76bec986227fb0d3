"""A tokenizer.json of 512 pieces in the published file's shape, and a slow tokenizer to hold the engine's against."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

CONTROL = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<start_of_turn>": 6, "<end_of_turn>": 7}
OUTSIDE = "<image_soft_token>"  # a control token behind the vocabulary, as in the published file
SIZE = 512

USER_DEFINED = ["<mask>", "[multimodal]", *("\n" * n for n in range(1, 9)), *("▁" * n for n in range(2, 8))]
TAGS = ["<h1>", "</h1>", "<b>", "</b>", "<code>", "</code>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
# What the merges make, the first to be made in front.
WORDS = (
    "▁t he in er ▁a on re ▁the at en ▁s ▁w or ou ▁o nd it ▁b is ed es ▁p ing ▁c ▁in an ▁f al ar ▁of ▁and ▁m ▁th ▁d ▁h "
    "to st le ll ic om ▁to ▁is qu ▁qu ery ▁query ch se arch sear search ▁search ti tle title ▁title ex ext ▁text ta as "
    "ask task sk no ne none ▁none one su lt sult result ▁result ▁l aa aaa aaaa aaaaa ha haha hah )) ); ▁< >▁< </ éé üb "
    "日本 日本語 本語 かな ком ком. ко ом ::: :: 👍🏽 ☕☕ e\u0301"
)
MERGED = WORDS.split()
LETTERS = [*map(chr, range(0x21, 0x7F)), "▁", *"éüñß日本語かなкомя👍🏽☕", "\u0301", "\ufffd"]
TABS = ["\t" * n for n in range(1, 5)]


def pieces() -> list[str]:
    listed = [""] * 8
    for piece, number in CONTROL.items():
        listed[number] = piece
    listed[4:6] = USER_DEFINED[:2]
    listed += USER_DEFINED[2:] + TAGS + BYTES + MERGED + LETTERS + TABS
    return listed + [f"<unused{number}>" for number in range(SIZE - len(listed))]


def user_defined(piece: str) -> bool:
    return piece in USER_DEFINED + TAGS + TABS or piece.startswith("<unused")


def merges(listed: list[str]) -> list[list[str]]:
    """Every split of every piece into two, ordered as Hugging Face's conversion from SentencePiece orders them."""
    mergeable = [piece for piece in listed if piece not in CONTROL and piece not in BYTES]
    first = listed.index(MERGED[0])
    known = set(mergeable)
    keyed = []
    for piece in mergeable:
        number = listed.index(piece)
        turn = 0 if user_defined(piece) else number - first
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in known and right in known:
                keyed.append(((turn, -len(left), -len(right), number), [left, right]))
    return [merge for _, merge in sorted(keyed)]


def tiny_tokenizer() -> dict[str, Any]:
    listed = pieces()
    vocab = {piece: number for number, piece in enumerate(listed)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": number, "content": piece, **flags, "special": piece in CONTROL or piece == OUTSIDE}
        for number, piece in enumerate([*listed, OUTSIDE])
        if piece in CONTROL or user_defined(piece) or piece == OUTSIDE
    ]
    template = [
        {"SpecialToken": {"id": "<bos>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "<eos>", "type_id": 0}},
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": template,
            "pair": template,
            "special_tokens": {
                "<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]},
                "<eos>": {"id": "<eos>", "ids": [1], "tokens": ["<eos>"]},
            },
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges(listed),
        },
    }


def tiny_tokenizer_json(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tiny_tokenizer(), ensure_ascii=False, indent=1), encoding="utf-8")


def slow_encode(tokenizer: dict[str, Any], text: str, parse_control: bool) -> list[int]:
    """The ids by the book: find the added tokens, then always do the merge that the list names first."""
    added = {
        token["content"]: token["id"] for token in tokenizer["added_tokens"] if parse_control or not token["special"]
    }
    longest_first = sorted(added, key=len, reverse=True)
    ids: list[int] = []
    for part in re.split(f"({'|'.join(map(re.escape, longest_first))})", text):
        ids += [added[part]] if part in added else slow_merge(tokenizer, part.replace(" ", "▁"))
    return ids


def slow_merge(tokenizer: dict[str, Any], text: str) -> list[int]:
    vocab = tokenizer["model"]["vocab"]
    turns = {(left, right): turn for turn, (left, right) in enumerate(tokenizer["model"]["merges"])}
    symbols = list(text)
    while ready := [(turns[pair], at) for at, pair in enumerate(pairwise(symbols)) if pair in turns]:
        _, at = min(ready)
        symbols[at : at + 2] = ["".join(symbols[at : at + 2])]
    ids: list[int] = []
    for symbol in symbols:
        ids += [vocab[symbol]] if symbol in vocab else [vocab[f"<0x{byte:02X}>"] for byte in symbol.encode()]
    return ids
