"""An answer as it is written → the same, its citations checked.   (pieces → pieces)"""

import re
from collections.abc import Iterator

LONGEST = 40  # characters of a citation such as "[1, 2, 3]": what is longer is text in brackets

_CITATION = re.compile(r"\[((?:source\s*)?\d+(?:\s*[,;–-]\s*(?:source\s*)?\d+)*)\]", re.IGNORECASE)
_BEGIN = re.compile(r"(?:\[[\s\dA-Za-z,;–-]*|`+)\Z")
_TICKS = re.compile(r"(`+)")


class Citations:
    """Checks the citations of an answer that comes in pieces.

    cited  the numbers of the sources that the answer names, in the order it does
    """

    def __init__(self, sources: int) -> None:
        self._sources = sources
        self._code = False  # between backticks
        self.cited: list[int] = []

    def checked(self, pieces: Iterator[str]) -> Iterator[str]:
        """Yield the pieces; "[1, 2]" becomes "[1][2]", a number that no source has is dropped, code stays as it is."""
        held = ""
        for piece in pieces:
            held += piece
            begin = _BEGIN.search(held)  # perhaps a citation whose end is still to come
            cut = begin.start() if begin and len(held) - begin.start() <= LONGEST else len(held)
            if text := self._checked(held[:cut]):
                yield text
            held = held[cut:]
        if held:
            yield self._checked(held)

    def _checked(self, text: str) -> str:
        """Text whose citations are whole."""
        parts = _TICKS.split(text)
        for i, part in enumerate(parts):
            if i % 2:
                self._code = not self._code
            elif not self._code:
                parts[i] = _CITATION.sub(self._replaced, part)
        return "".join(parts)

    def _replaced(self, found: re.Match[str]) -> str:
        numbers = [number for number in _numbers(found[1]) if 1 <= number <= self._sources]
        self.cited += [number for number in dict.fromkeys(numbers) if number not in self.cited]
        return "".join(f"[{number}]" for number in numbers)


def _numbers(inside: str) -> list[int]:
    """The numbers in "1, 3-5": a range counts each between its ends, if it is short."""
    numbers: list[int] = []
    for part in re.split(r"[,;]", inside):
        ends = [int(number[:6]) for number in re.findall(r"\d+", part)]
        numbers += range(ends[0], ends[-1] + 1) if ends[0] <= ends[-1] < ends[0] + 20 else ends
    return numbers
