"""What split() gives: a text of its own, with its title and its place in the file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Count = Callable[[Sequence[str]], Sequence[int]]
"""The tokens of each of many texts, as Embedder.count_tokens() counts them: with or without <bos> and <eos>."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that is embedded as one text.

    title       of the document, then the headings above the text: "Guide > Install > On Windows"; None: there is none
    first_line  1-based, as in Block; last_line is the line that the last character is in
    page        that it begins on, where the format has pages
    """

    text: str
    title: str | None
    first_line: int
    last_line: int
    page: int | None
