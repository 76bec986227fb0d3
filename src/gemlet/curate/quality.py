"""Texts that teach nothing: empty, too short or long, lines over and over, mostly symbols, in another language.

Source of the measures for lines and symbols: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights
from Training Gopher", arXiv 2112.11446, appendix A1.1. The limits here are for rows of a training set, which may be
short, and may be code.
"""

import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from gemlet.curate.words import words_of
from gemlet.errors import InputError, MissingExtra

_LINES = 4  # fewer lines tell nothing when one is there twice
_LETTERS = 20  # a text with fewer tells no language
_SURE = 0.9  # how probable another language must be


@dataclass(frozen=True)
class Quality:
    """What a text must be.

    min_words, max_words  words as contamination.py counts them; None: no limit
    repeated              at most this share of a text's lines may be there before, where it has 4 or more
    symbols               at most this share of what is no space may be neither letter nor digit
    """

    min_words: int = 1
    max_words: int | None = None
    repeated: float = 0.3
    symbols: float = 0.6

    def __post_init__(self) -> None:
        if self.min_words < 0 or (self.max_words is not None and self.max_words < max(self.min_words, 1)):
            raise InputError(
                f"min_words is {self.min_words} and max_words {self.max_words}: the first is 0 or more, "
                "the second no less than the first, and 1 or more"
            )
        for name, value in (("repeated", self.repeated), ("symbols", self.symbols)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} is {value}: it is a share, between 0 and 1")

    def fault(self, text: str) -> tuple[str, str] | None:
        """(reason, detail) of the first thing that is wrong with a text; None: nothing."""
        if not text.strip():
            return "empty", ""
        share = _symbols(text)
        if share > self.symbols:
            return "mostly symbols", f"{share:.0%} of its characters"
        words = len(words_of(text))
        if words < self.min_words:
            return "too short", _words(words)
        if self.max_words is not None and words > self.max_words:
            return "too long", _words(words)
        share = _repeated(text)
        if share > self.repeated:
            return "repeated lines", f"{share:.0%} of its lines"
        return None


def _words(count: int) -> str:
    return "1 word" if count == 1 else f"{count} words"


def _symbols(text: str) -> float:
    """The share of characters that are neither letters nor their marks nor digits; spaces do not count."""
    solid = [one for one in text if not one.isspace()]
    return sum(unicodedata.category(one)[0] not in "LMN" for one in solid) / len(solid)


def _repeated(text: str) -> float:
    """The share of lines that stand above already."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return 1 - len(set(lines)) / len(lines) if len(lines) >= _LINES else 0.0


def language_fault(wanted: Collection[str]) -> Callable[[str], tuple[str, str] | None]:
    """What says ("another language", which) of a text that is surely in none of these; codes as "en", "de", "zh".

    A text of fewer than 20 letters is let pass: it tells no language. By py3langid (extra `language`).

    Raises MissingExtra, InputError for a code that it does not know.
    """
    identifier = _identifier()
    codes = {code.lower() for code in wanted}
    unknown = sorted(codes - set(identifier.labels))
    if unknown:
        raise InputError(f"no language has the code {unknown[0]!r}: write two letters, as in en, de, zh")

    def fault(text: str) -> tuple[str, str] | None:
        if sum(one.isalpha() for one in text) < _LETTERS:
            return None
        ranked = identifier.rank(text)
        inside = sum(probability for code, probability in ranked if code in codes)
        return ("another language", ranked[0][0]) if 1 - inside >= _SURE else None

    return fault


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise MissingExtra("language", "telling languages apart") from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
