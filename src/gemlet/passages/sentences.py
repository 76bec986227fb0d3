"""Text → where its sentences are, in the scripts that mark their ends; linear in the length of the text."""

import re

_ENDS = ".!?…。！？．｡؟۔।॥։።፧᙮។៕၊။᠃᠉⸮"
_WIDE = "。！？．｡"  # no space stands behind these
_CLOSING = "\"'”’»)\\]）」』】〉》›"

_BOUNDARY = re.compile(
    rf"[{_WIDE}]+[{_CLOSING}]*"  # 1. East Asia
    rf"|[{_ENDS}]+[{_CLOSING}]*(?=\s)"  # 2. most others: the mark, then white space
    r"|་?།+(?=\s)"  # 3. Tibetan
    r"|\n[ \t]*(?=\n)"  # 4. a blank line ends whatever stood before it
    r"|\n(?=[ \t]*(?:[-*+•‣▪#]\s|\d{1,3}[.)]\s|\|))"  # 5. so do a list's next item and a table's next row
)

_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'“‘])(?:[A-Za-z]|(?:[A-Za-z]\.)+[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|Mt|vs|etc|cf|al|ca|approx|Fig|fig|Figs|"
    r"Eq|eq|Sec|sec|Ch|ch|No|no|Nr|nr|Vol|vol|pp|ed|eds|Inc|Ltd|Co|Corp|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|"
    r"bzw|usw|ggf|Abb|Abs|Art|Bd|Hrsg|Std|Tel|Str|Mme|Mlle|Sra?|Ud|Uds|núm|pág|стр|г|гг|им|ул|т|рис)$"
)
_LONGEST_ABBREVIATION = 12


def sentences(text: str) -> list[tuple[int, int]]:
    """Where each sentence begins and ends, in code points, without the white space between them.

    A full stop is no end behind an abbreviation or an initial, nor before a word in lower case; a blank line always is.
    """
    spans: list[tuple[int, int]] = []
    begin = 0
    for match in _BOUNDARY.finditer(text):
        end = match.end()
        if match[0] == "." and not _is_end(text, match.start(), end):
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
    if following[:1].islower():
        return False
    return _ABBREVIATION.search(text, max(stop - _LONGEST_ABBREVIATION, 0), stop) is None
