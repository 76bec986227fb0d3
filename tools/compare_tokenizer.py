"""Compare the engine's tokenizer with Hugging Face's and with SentencePiece.   (checkpoint, texts → differences)

    python tools/compare_tokenizer.py --checkpoint FOLDER [--data-dir FOLDER] [--fuzz N] [--seed S]

Needs tokenizers and sentencepiece. Every file under --data-dir is read, archives member by member, and every text of it
compared three times: the file in parts of 65,536 characters, its lines, and its fields (columns, or the strings in
JSON). --fuzz adds N random strings that are made to be hard. For each text

    parse    ids equal tokenizers'; for one text in 16, and every random one, the offsets as well
    literal  without a control token in the text: ids equal parse's
             with one: ids equal tokenizers' under encode_special_tokens, and equal SentencePiece's - but not for
             <start_of_turn>, <end_of_turn>, <start_of_image>, <end_of_image>, which SentencePiece has as user-defined
             pieces, nor for "▁" in the text, which it takes for a space
    decode   the text comes out as tokenizers' decode gives it

Prints the texts, tokens and differences; exits with 1 when there is a difference.
"""

import argparse
import csv
import gzip
import io
import json
import random
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers

from gemlet import _core
from gemlet.errors import InputError

PART = 65_536  # characters of a file that are tokenised as one text
BATCH = 1 << 20  # characters that are handed over at once


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--fuzz", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    comparison = Comparison(options.checkpoint)
    if options.data_dir:
        for path in sorted(path for path in options.data_dir.rglob("*") if path.is_file()):
            before = comparison.texts, comparison.tokens
            comparison.run(texts_of(path), offsets_every=16)
            name = path.relative_to(options.data_dir)
            print(
                f"{comparison.texts - before[0]:9} texts {comparison.tokens - before[1]:11} tokens  {name}", flush=True
            )
    if options.fuzz:
        comparison.run(random_texts(options.checkpoint, options.fuzz, options.seed), offsets_every=1)
    print(f"{comparison.texts} texts, {comparison.tokens} tokens, {comparison.controlled} texts with a control token")
    print(f"{comparison.differences} differences")
    return 1 if comparison.differences or not comparison.texts else 0


# --- texts -----------------------------------------------------------------------------------------------------------


def texts_of(path: Path) -> Iterator[str]:
    for name, data in members(path.name, path.read_bytes()):
        text = data.decode("utf-8", "replace")
        yield from (text[i : i + PART] for i in range(0, len(text), PART))
        yield from text.splitlines()
        yield from fields(name, text)


def members(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the files in an archive, or the file itself."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for inner in archive.namelist():
                yield from members(inner, archive.read(inner))
    elif ".tar" in name:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for entry in archive:
                if stream := archive.extractfile(entry):
                    yield from members(entry.name, stream.read())
    elif name.endswith(".gz"):
        yield from members(name.removesuffix(".gz"), gzip.decompress(data))
    else:
        yield name, data


def fields(name: str, text: str) -> Iterator[str]:
    if name.endswith((".csv", ".tsv")):
        dialect = csv.excel if name.endswith(".csv") else csv.excel_tab
        for row in csv.reader(io.StringIO(text), dialect):
            yield from row
    elif name.endswith(".json"):
        yield from strings(json.loads(text))
    elif name.endswith(".jsonl"):
        for line in text.splitlines():
            yield from strings(json.loads(line))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def random_texts(checkpoint: Path, count: int, seed: int) -> Iterator[str]:
    """Yield `count` strings: runs, broken and whole added tokens, pieces of the vocabulary, every plane of Unicode."""
    rng = random.Random(seed)
    document = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    pieces = list(document["model"]["vocab"])
    added = [token["content"] for token in document["added_tokens"]]
    control = [token["content"] for token in document["added_tokens"] if token["special"]]
    marked = [token for token in added if token[0] in "<["]
    ranges = [(0, 0x7F), (0x80, 0x7FF), (0x590, 0x8FF), (0x900, 0xDFF), (0x300, 0x36F), (0x2000, 0x2BFF)]
    ranges += [(0x3000, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xFFFF), (0x10000, 0x1FFFF), (0x20000, 0x10FFFF)]

    def character() -> str:
        return chr(rng.randint(*rng.choice(ranges)))

    def part() -> str:
        token = rng.choice(marked)
        cut = rng.randint(1, len(token))
        choices: list[str] = [
            rng.choice(" \n\t▁") * rng.choice([1, 1, 2, 3, 7, 30, 31, 32, 33, 62, 63, 100]),
            rng.choice([character(), rng.choice("aAx0.-'<>é日क")]) * rng.choice([1, 2, 3, 5, 17, 70]),
            rng.choice(pieces).replace("▁", rng.choice([" ", "▁"])),
            rng.choice(pieces) + rng.choice(pieces),
            rng.choice(added),
            rng.choice(control) if rng.random() < 0.3 else "<",
            token[:cut],
            token[:cut] + rng.choice(marked) + token[cut:],
            f"<0x{rng.randint(0, 255):02X}>",
            "".join(character() for _ in range(rng.randint(1, 12))),
            chr(rng.randint(0x1F300, 0x1FAFF)) + rng.choice(["\u200d", "\ufe0f", "\U0001f3fd"]) + "👩\u200d👩\u200d👧",
            rng.choice("\0\x01\x1b\r\x85\xa0\u200b\u200f\u2028\u202e\ufeff\ufffd"),
            rng.choice("aeiouקأक") + "".join(chr(rng.randint(0x300, 0x36F)) for _ in range(rng.randint(1, 5))),
            str(rng.randint(0, 10**9)) + rng.choice(["", ".", "%", "€"]),
        ]
        return rng.choice(choices)

    for _ in range(count):
        text = "".join(part() for _ in range(rng.choice([1, 2, 3, 5, 8, 20])))
        yield text.encode("utf-8", "replace").decode()  # no lone surrogates


# --- comparison ------------------------------------------------------------------------------------------------------


@dataclass
class Comparison:
    checkpoint: Path
    texts: int = 0
    tokens: int = 0
    controlled: int = 0
    differences: int = 0

    def __post_init__(self) -> None:
        path = str(self.checkpoint / "tokenizer.json")
        self.ours = _core.Tokenizer.from_json(path)
        self.theirs = tokenizers.Tokenizer.from_file(path)
        self.theirs_literal = tokenizers.Tokenizer.from_file(path)
        self.theirs_literal.encode_special_tokens = True
        self.sentencepiece = sentencepiece.SentencePieceProcessor(model_file=str(self.checkpoint / "tokenizer.model"))
        added = self.theirs.get_added_tokens_decoder()
        self.control = [token.content for token in added.values() if token.special]
        self.outside = {number for number in added if number >= self.ours.vocab_size}
        pieces = self.sentencepiece
        self.user_defined = [
            self.ours.id_to_piece(number)
            for number, token in added.items()
            if token.special and number < len(pieces) and not (pieces.is_control(number) or pieces.is_unknown(number))
        ]

    def run(self, texts: Iterable[str], offsets_every: int) -> None:
        batch: list[str] = []
        size = 0
        for text in texts:
            batch.append(text)
            size += len(text)
            if size > BATCH or len(batch) >= 10_000:
                self.compare(batch, offsets_every)
                batch, size = [], 0
        self.compare(batch, offsets_every)

    def compare(self, texts: list[str], offsets_every: int) -> None:
        plain = [text for text in texts if not any(token in text for token in self.control)]
        encodings = self.theirs.encode_batch(plain, add_special_tokens=False)
        ids, starts = self.ours.encode(plain, True)
        literal, _ = self.ours.encode(plain, False)
        self.expect("count", plain, self.ours.count(plain, True).tolist() == (starts[1:] - starts[:-1]).tolist())
        self.expect("literal", plain, literal.tolist() == ids.tolist())
        for row, (text, encoding) in enumerate(zip(plain, encodings, strict=True)):
            self.expect("parse", text, ids[starts[row] : starts[row + 1]].tolist() == encoding.ids)
            if row % offsets_every == 0:
                self.compare_offsets(text, encoding)
        for text in texts:
            if any(token in text for token in self.control):
                self.compare_controlled(text)
        self.texts += len(texts)
        self.tokens += len(ids)

    def compare_offsets(self, text: str, encoding: Any) -> None:
        ids, spans = self.ours.encode_with_offsets(text, True)
        self.expect("ids with offsets", text, ids.tolist() == encoding.ids)
        self.expect("offsets", text, spans.tolist() == [list(span) for span in encoding.offsets])
        self.expect("decode", text, self.ours.decode(ids.tolist()) == self.theirs.decode(encoding.ids))

    def compare_controlled(self, text: str) -> None:
        self.controlled += 1
        encoding = self.theirs.encode(text, add_special_tokens=False)
        if self.outside.isdisjoint(encoding.ids):
            self.compare_offsets(text, encoding)
        else:
            self.expect("refusal", text, self.refuses(text))
        ids = self.ours.encode([text], False)[0].tolist()
        self.tokens += len(ids)
        self.expect("literal", text, ids == self.theirs_literal.encode(text, add_special_tokens=False).ids)
        if not any(token in text for token in self.user_defined):
            spaced = text.replace("▁", " ")
            ids = self.ours.encode([spaced], False)[0].tolist()
            self.expect("SentencePiece", spaced, ids == self.sentencepiece.encode(spaced))

    def refuses(self, text: str) -> bool:
        try:
            self.ours.encode([text], True)
        except InputError:
            return True
        return False

    def expect(self, what: str, text: str | list[str], holds: bool) -> None:
        if not holds:
            self.differences += 1
            if self.differences <= 10:
                print(f"difference in {what}: {str(text)[:200]!a}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
