"""A question → an answer from the user's own files, with its sources.   (index, question → Answer)

sources.py    passages, numbered, and the prompt
citations.py  what the answer names, checked as it is written
quotes.py     the answer of a machine without a model that writes: the best sentences
"""

from collections.abc import Callable, Iterator
from itertools import chain

from gemlet.ask.citations import Citations
from gemlet.ask.quotes import quotes
from gemlet.ask.sources import Source, as_sources, messages_for, place_of
from gemlet.errors import GenerationError
from gemlet.generate import Writer
from gemlet.search import Filter, Hit, Searchable, search

__all__ = ["Answer", "Source", "ask", "place_of"]

SOURCES = 6
BUDGET = 2400
"""Tokens of all sources together: small models read 4,096, and use the middle of much text badly."""

NO_MATCH = "Nothing in the index answers this."
_NOT_SAID = "the sources do not say"


class Answer:
    """Comes in pieces: iterate once, then read `text`, `cited` and `refused`.

    question, sources  what was asked, and what the answer may name; sources is empty when nothing was relevant
    nearest            then: the passage that came closest; None when the index is empty
    writer             the model that writes; None: sentences are quoted
    text               what was written
    cited              numbers of the sources that it names, in the order it does
    refused            nothing was relevant, or the sources do not say
    """

    def __init__(
        self,
        question: str,
        sources: list[Source],
        writer: str | None,
        pieces: Iterator[str],
        nearest: Hit | None = None,
    ) -> None:
        self.question, self.sources, self.writer, self.nearest = question, sources, writer, nearest
        self.text = ""
        self.cited: list[int] = []
        self._pieces = pieces

    def __iter__(self) -> Iterator[str]:
        """Yield the pieces as they are written. Raises GenerationError when the model breaks off."""
        citations = Citations(len(self.sources))
        for piece in citations.checked(self._pieces):
            self.text += piece
            self.cited = citations.cited
            yield piece
        self.cited = citations.cited

    @property
    def refused(self) -> bool:
        """Whether the answer is that there is none."""
        return not self.sources or self.text.strip().lower().startswith(_NOT_SAID)


def ask(
    index: Searchable,
    question: str,
    *,
    writer: Writer | Callable[[], Writer | None] | None = None,
    k: int = SOURCES,
    task: str = "question answering",
    wanted: Filter = Filter(),  # noqa: B008 - it cannot be changed
    min_probability: float | None = None,
    max_tokens: int = 512,
) -> Answer:
    """Find sources, and have the answer written from them; nothing is written when nothing is relevant.

    writer           a model that writes, or a function that finds or loads one and is called when there are sources;
                     None: the best sentences are quoted instead
    k                sources at most; fewer when they do not fit into BUDGET tokens
    task, wanted, min_probability  as in search()
    max_tokens       of the answer

    Raises what search() raises, and GenerationError when the model gives no first piece.
    """
    results = search(index, question, k=k, task=task, wanted=wanted, min_probability=min_probability, per_document=2)
    embedder = index.embedder
    sources = as_sources(results.hits, lambda text: int(embedder.count_tokens(text)[0]), BUDGET)
    if not sources:
        return Answer(question, [], None, iter([NO_MATCH]), next(iter(results.nearest), None))
    if callable(writer):
        writer = writer()
    if writer is None:
        return Answer(question, sources, None, iter([quotes(index, question, sources, task)]))
    pieces = writer.write(messages_for(question, sources), max_tokens=max_tokens)
    first = next((piece.lstrip() for piece in pieces if piece.strip()), None)
    if first is None:
        raise GenerationError(f"{writer.name} wrote nothing: try another model with --llm", writer.name)
    return Answer(question, sources, writer.name, chain([first], pieces))
