"""What a model that writes is asked, and how long it may take.   (messages → pieces of text)"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict


class Message(TypedDict):
    """One turn: role "system", "user" or "assistant", and what was said."""

    role: str
    content: str


class Writer(Protocol):
    """Writes the next turn of a conversation."""

    @property
    def name(self) -> str:
        """The model, as its server calls it."""

    def write(self, messages: Sequence[Message], *, max_tokens: int = 512) -> Iterator[str]:
        """Yield the answer in pieces as they come. Closing the iterator stops the model.

        Raises GenerationError.
        """


@dataclass
class Timeouts:
    """Seconds to wait: for the first piece (the model may be loading, and reads the sources), then for each next."""

    first: float = 300.0
    next: float = 60.0
