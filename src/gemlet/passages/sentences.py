"""Text → where its sentences are, in the scripts that mark their ends; linear in the length of the text."""

import re

_WIDE = "。！？．｡"
"""No space stands behind these."""
_STOPS = ".!?…؟۔।॥։።፧᙮។៕၊။᠃᠉⸮།"
_CLOSING = "\"'”’»)\\]）」』】〉》›"

_BOUNDARY = re.compile(
    rf"[{_WIDE}{_STOPS}\n](?:"  # a set at the beginning: what is none of these is passed over quickly
    rf"(?<=[{_WIDE}])[{_WIDE}]*[{_CLOSING}]*"
    rf"|(?<=[{_STOPS}])[{_STOPS}]*[{_CLOSING}]*(?=\s)"
    r"|(?<=\n)[ \t]*(?=\n)"  # a blank line ends whatever stood before it
    r"|(?<=\n)(?=[ \t]*(?:[-*+•‣▪#]\s|\d{1,3}[.)]\s|\|))"  # so do a list's next item and a table's next row
    r")"
)

_ABBREVIATIONS = frozenset(
    """
    Mr Mrs Ms Dr Prof Sr Jr St Mt vs etc cf al ca approx Fig fig Figs Eq eq Sec sec Ch ch No no Nr nr Vol vol pp ed eds
    Inc Ltd Co Corp Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec bzw usw ggf Abb Abs Art Bd Hrsg Std Tel Str Mme
    Mlle Sr Sra Ud Uds núm pág стр гг им ул рис тыс
    """.split()  # noqa: SIM905 - read as words
)
_LONGEST_ABBREVIATION = 10
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")


def sentences(text: str) -> list[tuple[int, int]]:
    """Where each sentence begins and ends, in code points, without the white space between them.

    A full stop is no end behind an abbreviation or an initial, nor before a word in lower case; a blank line always is,
    and so is a line break before an item of a list or a row of a table.
    """
    spans: list[tuple[int, int]] = []
    begin = 0
    for match in _BOUNDARY.finditer(text):
        start, end = match.span()
        if end - start == 1 and text[start] == "." and not _is_end(text, start, end):
            continue
        _add(spans, text, begin, end)
        begin = end
    _add(spans, text, begin, len(text))
    return spans


def _add(spans: list[tuple[int, int]], text: str, begin: int, end: int) -> None:
    sentence = text[begin:end]
    stripped = sentence.lstrip()
    if stripped:
        begin += len(sentence) - len(stripped)
        spans.append((begin, begin + len(stripped.rstrip())))


def _is_end(text: str, stop: int, end: int) -> bool:
    """Whether the full stop at this place ends a sentence."""
    following = text[end : end + 3].lstrip()
    if following and following[0].islower():
        return False
    before = text[max(stop - _LONGEST_ABBREVIATION, 0) : stop]
    if not before or before[-1].isspace():
        return True
    word = before.split()[-1].lstrip("([\"'“‘")
    return word not in _ABBREVIATIONS and not _INITIALS.fullmatch(word)
