"""What is measured: the texts of each case, and how often.   (sentences → cases)"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from texts import DOCUMENT, QUERY, Sentences, Writer, golden_texts

Count = Callable[[str], int]


@dataclass(frozen=True)
class Case:
    """Texts that are encoded in one call.

    rounds   processes of each runtime
    repeats  timed calls in a process
    warm     texts of the untimed call before them
    """

    name: str
    texts: list[str]
    tokens: int
    rounds: int
    repeats: int = 1
    warm: int = 1


def make_cases(sentences: Sentences, count: Count, *, quick: bool, rounds: int | None) -> list[Case]:
    """Return the timed cases; quick: fewer texts, calls and rounds."""
    writer = Writer(sentences, count, seed=1)
    few, many = (2, 2) if quick else (3, 5)
    one = {tokens: [writer.write(tokens, DOCUMENT)] for tokens in (256, 512, 2048)}
    documents = [writer.write(256, DOCUMENT) for _ in range(32 if quick else 256)]
    mixed = writer.mixed(64 if quick else 512)
    cases = [
        Case("query", [QUERY], count(QUERY), many, repeats=10 if quick else 40),
        Case("text-256", one[256], 256, many, repeats=3 if quick else 6),
        Case("text-512", one[512], 512, many, repeats=2 if quick else 4),
        Case("text-2048", one[2048], 2048, many, repeats=1 if quick else 2),
        Case("documents", documents, 256 * len(documents), few, warm=8),
        Case("mixed", mixed, sum(map(count, mixed)), few, warm=8),
        Case("cold", [QUERY], count(QUERY), many),
    ]
    return [replace(case, rounds=rounds) for case in cases] if rounds else cases


def make_cosine_case(sentences: Sentences, count: Count, *, quick: bool) -> tuple[Case, int]:
    """Return the texts of the cosines: goldens (and in how many languages), mixed lengths, some of 2,048 tokens."""
    writer = Writer(sentences, count, seed=2)
    texts, languages = golden_texts(every=4 if quick else 1)
    texts += writer.mixed(8 if quick else 96) + [writer.write(2048) for _ in range(1 if quick else 4)]
    return Case("cosine", texts, sum(map(count, texts)), rounds=1), languages
