"""The texts of the comparison: real sentences, cut to exact counts of tokens, the same in every run.   (seed → str)"""

import bisect
import json
import random
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUERY = "task: search result | query: Which planet is known as the Red Planet?"  # 18 tokens with <bos> and <eos>
DOCUMENT = "title: none | text: "
LIMIT = 2048
FILL = " and"  # one token wherever it stands

Sentences = dict[str, list[str]]  # by language


def own_sentences() -> Sentences:
    """Read the golden texts' sources: English prose, code, and a sentence in each of 42 languages, taken as one."""
    source = json.loads((ROOT / "tools" / "golden_texts.json").read_text(encoding="utf-8"))
    texts = {entry["id"]: entry["text"] for entry in source["texts"]}
    return {
        "en": source["prose"],
        "mixed": [text for name, text in texts.items() if name.startswith("lang-")],
        "code": [text for name, text in texts.items() if name.startswith("code-")],
    }


def read_sentences(path: Path) -> Sentences:
    """Read lines of {"text": ..., "language": ...}."""
    sentences: Sentences = {}
    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            sentences.setdefault(row.get("language", "unknown"), []).append(row["text"])
    return sentences


class Writer:
    """Writes texts of so many tokens, each in one language, the languages taking turns.

    count  a text's tokens, <bos> and <eos> included
    """

    def __init__(self, sentences: Sentences, count: Callable[[str], int], seed: int) -> None:
        self.sentences, self.count, self.random = sentences, count, random.Random(seed)
        self.turn = 0

    def write(self, tokens: int, prompt: str = "") -> str:
        """Return `prompt` and sentences in a random order, cut so that it has exactly so many tokens."""
        languages = sorted(self.sentences)
        sentences = self.sentences[languages[self.turn % len(languages)]]
        self.turn += 1
        parts = [prompt]
        while self.count("".join(parts)) <= tokens:
            parts += [sentence + " " for sentence in self.random.sample(sentences, min(8, len(sentences)))]
        return self._cut("".join(parts), tokens)

    def mixed(self, texts: int, shortest: int = 8, longest: int = 1024) -> list[str]:
        """Return texts whose lengths are spread evenly over the powers of two between the two."""
        ratio = longest / shortest
        return [self.write(round(shortest * ratio ** self.random.random())) for _ in range(texts)]

    def _cut(self, text: str, tokens: int) -> str:
        """Return the longest beginning that has no more than `tokens`, filled up with a short word."""
        end = bisect.bisect_right(range(len(text)), tokens, key=lambda end: self.count(text[:end])) - 1
        text = text[:end].rstrip()
        while (count := self.count(text)) < tokens:
            text += FILL
        if count != tokens:
            raise ValueError(f"no text of {tokens} tokens begins like {text[:60]!r}")
        return text


def golden_texts(every: int = 1) -> tuple[list[str], int]:
    """Return each `every`th golden text that all runtimes read alike, and how many languages they are in.

    Left out: texts that spell control tokens, which a tokenizer may parse or not, and longer ones than the model takes.
    """
    path = ROOT / "src" / "gemlet" / "goldens" / "goldens.json"
    entries = json.loads(path.read_text(encoding="utf-8"))["texts"]
    doubtful = ("control-", "tokenizer-")
    kept = [e for e in entries if e["tokens"] <= LIMIT and not e["id"].startswith(doubtful)][::every]
    languages = {e["language"] for e in kept if e["id"].startswith("lang-")}
    return [e["prompt"] + e["text"] for e in kept], len(languages)
