"""Texts → words in one writing, and runs of words as numbers.   (text → words → hashes)

A word is a run of letters, their marks and digits; of scripts that put no spaces between words, one character.
"""

import hashlib
import unicodedata
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_UNSPACED = [
    *(range(0x0E00, 0x0F00), range(0x1000, 0x10A0), range(0x1780, 0x1800)),  # Thai, Lao, Burmese, Khmer
    *(range(0x3040, 0x3100), range(0x3400, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x40000)),  # kana, Chinese
]  # fmt: skip
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no word's hash loses bits


class _Characters(dict[int, str]):
    """What str.translate() makes of each character, remembered."""

    def __missing__(self, code: int) -> str:
        kept = chr(code) if unicodedata.category(chr(code))[0] in "LMN" else " "
        self[code] = f" {kept} " if any(code in scope for scope in _UNSPACED) else kept
        return self[code]


_CHARACTERS = _Characters()


def words_of(text: str) -> list[str]:
    """The words of a text, without case, punctuation and differences of encoding (NFKC)."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_CHARACTERS).split()


def runs_of(words: list[str], length: int) -> Hashes:
    """A hash for each run of so many words, in order: [max(words - length + 1, 0)] uint64."""
    if len(words) < length:
        return np.empty(0, np.uint64)
    hashes = np.array([_hash(word) for word in words], np.uint64)
    count = len(words) - length + 1
    total = np.zeros(count, np.uint64)
    for at in range(length):
        total = total * _FACTOR + hashes[at : at + count]
    return total


@lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
