"""Text and queries → the words that FTS5 indexes and looks for.   (text → words)

FTS5's unicode61 finds words between spaces. Chinese, Japanese, Thai and their like write none, and Korean glues its
particles on: a run of such a script becomes the pairs of its neighbouring characters, in the index and in queries
alike, as Lucene does. Everything else is left to unicode61, which drops the accents of Latin, Greek and Cyrillic.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise

WORDS = 1
"""Version of what words() makes of a text: part of the schema."""

TOKENIZER = "unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
"""With the marks, without which Hindi falls into single letters."""

_HAN_KANA = (
    "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\u3041-\u3096\u30a1-\u30fa\u30fc-\u30fe"
)
_HANGUL = "\uac00-\ud7a3"
_SOUTHEAST = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0edf\u1000-\u103f\u1050-\u108f\u1780-\u17d3"
_UNSPACED = re.compile(f"[{_HAN_KANA}]+|[{_HANGUL}]+|[{_SOUTHEAST}]+")

# A letter of these scripts with the vowel signs and tones that stand on it.
_SIGNS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1071-\u1074\u1082-\u108d\u17b4-\u17d3"
)
_LETTER = re.compile(f".[{_SIGNS}]*", re.DOTALL)

# Points of Hebrew and Arabic, which most texts leave out, and the stroke that only stretches a word.
_POINTS = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc]"
)

_LONG = 5  # letters of a word that may have other forms
_KEPT = 0.7  # of its letters

_PIECE = re.compile(r'"([^"]+)"|(\S+)')


def words(text: str) -> str:
    """What FTS5 is given for a text: the same again for ASCII, else normalised and with runs cut into pairs."""
    if text.isascii():
        return text
    return _UNSPACED.sub(lambda run: f" {' '.join(_pairs(run[0], last=True))} ", _plain(text))


def match_terms(query: str) -> list[str]:
    """The terms of a query, as MATCH takes them: its words, and its "quoted phrases"; none when it has none.

    A word with punctuation inside ("read_document", "3.11") is the phrase of its parts.
    """
    return list(dict.fromkeys(term for piece in _PIECE.finditer(query) for term in _terms(piece[1] or piece[2])))


def beginnings(terms: Iterable[str]) -> list[str]:
    """Terms for words that begin as these do: forms of the same word, in the many languages that change its end.

    On XQuAD they bring nDCG@10 of keywords from 0.866 to 0.913 in Russian, from 0.905 to 0.921 in German.
    """
    found = []
    for term in terms:
        word = term[1:-1]
        if len(word) >= _LONG and not _UNSPACED.search(word) and all(unicodedata.category(c)[0] in "LM" for c in word):
            found.append(f'"{word[: max(_LONG - 1, round(_KEPT * len(word)))]}" *')
    return list(dict.fromkeys(found))


def _terms(piece: str) -> Iterator[str]:
    """FTS5 strings; what cannot be in any text, punctuation alone, is dropped."""
    piece = piece if piece.isascii() else _plain(piece)
    rest = 0
    for run in _UNSPACED.finditer(piece):
        yield from _quoted(piece[rest : run.start()])
        pairs = list(_pairs(run[0], last=False))
        yield from (f'"{pair}"' for pair in pairs) if pairs else (f'"{run[0]}" *',)
        rest = run.end()
    yield from _quoted(piece[rest:])


def _quoted(part: str) -> Iterator[str]:
    part = part.replace('"', " ").replace("\0", " ").strip()
    if any(unicodedata.category(c)[0] in "LN" for c in part):
        yield f'"{part}"'


def _plain(text: str) -> str:
    return _POINTS.sub("", unicodedata.normalize("NFKC", text).casefold())


def _pairs(run: str, *, last: bool) -> Iterator[str]:
    """The pairs of neighbouring letters; `last` adds the last one alone, so that a search for one letter finds it."""
    letters = _LETTER.findall(run)
    yield from (a + b for a, b in pairwise(letters))
    if last:
        yield letters[-1]
